/**
 * What a client is told while a backend has not even sent a head: some send theirs with the first token, minutes after the
 * request, and a client that hears nothing for so long gives up. Only for translated answers: of others it is not known in advance what
 * they will look like.
 */
import type { AnswerTranslator } from "./Dialect.ts"
import type { Sending } from "./Engine.ts"
import { pairsOfReply } from "./HeaderLines.ts"
import { flushHead } from "./NodeInternals.ts"

/** How often a translator is told of silence, in milliseconds. */
const silenceEvery = 1_000

export class Opening {
  readonly #timer: NodeJS.Timeout

  constructor(sending: Sending, waiting: NonNullable<AnswerTranslator["waiting"]>) {
    const { response } = sending
    let lastSent = performance.now()
    this.#timer = setInterval(() => {
      if (response.destroyed || response.writableEnded) return
      const said = waiting({ status: 200, headers: pairsOfReply(sending.reply([])) }, performance.now() - lastSent)
      if (said === undefined) return
      lastSent = performance.now()
      if (said.head !== undefined && !response.headersSent) {
        response.writeHead(said.head.status, [...said.head.headers])
        flushHead(response)
      }
      if (said.bytes !== undefined) response.write(said.bytes)
    }, silenceEvery)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
