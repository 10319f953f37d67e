import * as Effect from "effect/Effect"
import { undiciTransport } from "../../src/proxy/client/UndiciTransport.ts"
import { makeOllaEngine } from "../../src/proxy/OllaEngine.ts"
import { engineContract } from "./engineContract.ts"

engineContract(
  "olla on undici",
  Effect.acquireRelease(
    Effect.sync(() => undiciTransport()),
    (transport) => Effect.sync(() => transport.close())
  ).pipe(Effect.map((transport) => makeOllaEngine(transport, transport)))
)
