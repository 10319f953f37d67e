import * as Effect from "effect/Effect"
import { undiciTransport } from "../../src/proxy/client/UndiciTransport.ts"
import { makeOllaEngine } from "../../src/proxy/OllaEngine.ts"
import { bodySizes } from "./bodySizes.ts"
import { brokenAnswers } from "./brokenAnswers.ts"
import { engineContract } from "./engineContract.ts"
import { firstByteContract } from "./firstByteContract.ts"

const name = "olla on undici"
const make = Effect.acquireRelease(
  Effect.sync(() => undiciTransport()),
  (transport) => Effect.sync(() => transport.close())
).pipe(Effect.map((transport) => makeOllaEngine(transport, transport)))

engineContract(name, make)
bodySizes(name, make)
brokenAnswers(name, make)
firstByteContract(name, make)
