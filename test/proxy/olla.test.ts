import * as Effect from "effect/Effect"
import { ownTransport } from "../../src/proxy/client/Transport.ts"
import { makeOllaEngine } from "../../src/proxy/OllaEngine.ts"
import { engineContract } from "./engineContract.ts"

engineContract(
  "olla on its own client",
  Effect.acquireRelease(
    Effect.sync(() => ownTransport()),
    (transport) => Effect.sync(() => transport.close())
  ).pipe(Effect.map((transport) => makeOllaEngine(transport, transport)))
)
