/** How fast tokens came, where the backend tells how many there were and not how long they took. Pure. */
import type { Exchange } from "../exchange/Exchange.ts"
import type { Usage } from "./Usage.ts"

const streams = /^(?:text\/event-stream|application\/(?:x-)?ndjson)/i

/** By the answer's type where it is known, else by what was asked for. */
export const isStreamed = ({ kept, stream }: Exchange): boolean =>
  kept.contentType === "" ? stream === true : streams.test(kept.contentType)

/** Milliseconds of a stream that say something: what was held back somewhere comes at once, at any speed. */
const shortest = 10

/** Milliseconds between two tokens; `undefined`: a whole answer comes at once, however long it was written. */
export const tokenInterval = (exchange: Exchange, usage: Usage | undefined): number | undefined => {
  const { lastAttempt } = exchange
  const tokens = usage?.outputTokens ?? 0
  if (lastAttempt === undefined || tokens < 2 || !isStreamed(exchange)) return undefined
  const { firstByte, lastByte } = lastAttempt.timings
  const millis = (lastByte > 0 ? lastByte : lastAttempt.ended) - firstByte
  return firstByte === 0 || millis <= 0 ? undefined : millis / (tokens - 1)
}

/** Tokens per second: the backend's own figure, else the measured one. */
export const speedOf = (exchange: Exchange, usage: Usage | undefined): number | undefined => {
  if (usage?.tokensPerSecond !== undefined) return usage.tokensPerSecond
  const interval = tokenInterval(exchange, usage)
  return interval === undefined || interval * ((usage?.outputTokens ?? 0) - 1) < shortest ? undefined : 1000 / interval
}
