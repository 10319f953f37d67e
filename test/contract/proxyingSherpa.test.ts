import { proxyingContract } from "./proxyingContract.ts"

proxyingContract("sherpa", "sherpa")
