import * as Effect from "effect/Effect"
import { ownTransport } from "../../src/proxy/client/OwnTransport.ts"
import { undiciTransport } from "../../src/proxy/client/UndiciTransport.ts"
import { makeOllaEngine } from "../../src/proxy/OllaEngine.ts"
import { bodySizes } from "./bodySizes.ts"
import { brokenAnswers } from "./brokenAnswers.ts"
import { engineContract } from "./engineContract.ts"
import { firstByteContract } from "./firstByteContract.ts"

const name = "olla on its own client"
const make = Effect.acquireRelease(
  Effect.sync(() => ({ plain: ownTransport(), secure: undiciTransport() })),
  ({ plain, secure }) =>
    Effect.sync(() => {
      plain.close()
      secure.close()
    })
).pipe(Effect.map(({ plain, secure }) => makeOllaEngine(plain, secure)))

engineContract(name, make)
bodySizes(name, make)
brokenAnswers(name, make)
firstByteContract(name, make)
