/**
 * What a backend told about its answer. Read from the kept bytes after the end, once per exchange,
 * however many want it: statistics and the log line both ask at the same moment, so the last answer is remembered.
 */
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import type { UsageFigures } from "../profile/UsageExtraction.ts"

export type Usage = UsageFigures

/** `undefined`: nothing was found, or nobody wanted it. Never throws. */
export type ReadUsage = (exchange: Exchange, attempt: Attempt) => Usage | undefined

export const noUsage: ReadUsage = () => undefined

/** Asks `read` once per exchange, and only when an answer was relayed to its end. */
export const usageReader = (read: ReadUsage): ReadUsage => {
  let last: Exchange | undefined
  let figures: Usage | undefined
  return (exchange, attempt) => {
    if (exchange === last) return figures
    last = exchange
    figures = undefined
    if (exchange.outcome?._tag !== "completed" || exchange.kept.tail.length === 0) return undefined
    try {
      figures = read(exchange, attempt)
    } catch {
      figures = undefined
    }
    return figures
  }
}
