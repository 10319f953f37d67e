import { proxyingContract } from "./proxyingContract.ts"

proxyingContract("olla", "olla")
