import { makeSherpaEngine } from "../../src/proxy/SherpaEngine.ts"
import { engineContract } from "./engineContract.ts"

engineContract("sherpa", makeSherpaEngine)
