import { trafficContract } from "./trafficContract.ts"

trafficContract("olla")
