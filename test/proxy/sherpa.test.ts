import { makeSherpaEngine } from "../../src/proxy/SherpaEngine.ts"
import { bodySizes } from "./bodySizes.ts"
import { brokenAnswers } from "./brokenAnswers.ts"
import { engineContract } from "./engineContract.ts"
import { firstByteContract } from "./firstByteContract.ts"

engineContract("sherpa", makeSherpaEngine)
bodySizes("sherpa", makeSherpaEngine)
brokenAnswers("sherpa", makeSherpaEngine)
firstByteContract("sherpa", makeSherpaEngine)
