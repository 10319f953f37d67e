import { trafficContract } from "./trafficContract.ts"

trafficContract("sherpa")
