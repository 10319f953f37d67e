/**
 * What a client is told while a backend has not even sent a head: some send theirs with the first token, minutes after the
 * request, and a client that hears nothing for so long gives up. Only where it is known in advance what the answer will look like.
 */
import type { CarryRequest } from "./Carrier.ts"
import type { AnswerTranslator } from "./Dialect.ts"
import type { Sending } from "./Engine.ts"
import { pairsOfReply } from "./HeaderLines.ts"
import { flushHead } from "./NodeInternals.ts"

/** How often a translator is told of silence, in milliseconds. */
const silenceEvery = 1_000

/** All that are waiting, and the one timer for them: every stream waits, and nearly all for less than a second. */
const waitingNow = new Set<Opening>()
let timer: NodeJS.Timeout | undefined

const tick = (): void => {
  for (const opening of waitingNow) opening.tick()
}

export class Opening {
  readonly #sending: Sending
  readonly #waiting: NonNullable<AnswerTranslator["waiting"]>
  #lastSent = performance.now()

  constructor(sending: Sending, waiting: NonNullable<AnswerTranslator["waiting"]>) {
    this.#sending = sending
    this.#waiting = waiting
    waitingNow.add(this)
    timer ??= setInterval(tick, silenceEvery).unref()
  }

  tick(): void {
    const { response } = this.#sending
    if (response.destroyed || response.writableEnded) return
    const said = this.#waiting({ status: 200, headers: pairsOfReply(this.#sending.reply([])) }, performance.now() - this.#lastSent)
    if (said === undefined) return
    this.#lastSent = performance.now()
    if (said.head !== undefined && !response.headersSent) {
      response.writeHead(said.head.status, [...said.head.headers])
      flushHead(response)
    }
    if (said.bytes !== undefined) response.write(said.bytes)
  }

  stop(): void {
    waitingNow.delete(this)
    if (waitingNow.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** Says what `waited` does, which is made when it is asked for: nearly no request waits so long. */
export const firstNeeded = (waited: CarryRequest["waited"]): AnswerTranslator["waiting"] => {
  if (waited === undefined) return undefined
  let made: AnswerTranslator | undefined
  return (head, milliseconds) => {
    made ??= waited()
    return made.waiting?.(head, milliseconds)
  }
}
