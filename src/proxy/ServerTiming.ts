/** `Server-Timing`: whose time it was, as far as it is known when an answer's head is written. */
import { performance } from "node:perf_hooks"
import type { Exchange } from "../exchange/Exchange.ts"

const tenths = (millis: number): string => String(Math.round(Math.max(0, millis) * 10) / 10)

/** Of the attempt that answers: what came before it is in `olla` or was other attempts'. */
export const serverTiming = (exchange: Exchange, now = performance.now()): string => {
  const { attempts, lastAttempt, timings } = exchange
  const { accepted, received } = timings
  const queued = exchange.waited(now)
  if (lastAttempt === undefined) {
    const own = `olla;dur=${tenths(now - Math.max(accepted, received) - queued)}`
    return queued > 0 ? `${own}, queue;dur=${tenths(queued)}` : own
  }
  const { leased, connected, headers } = lastAttempt.timings
  const until = headers > 0 ? headers : now
  const earlier = attempts.slice(0, -1).reduce((sum, { ended, timings: { leased: from } }) => sum + Math.max(0, ended - from), 0)
  const olla = until - Math.max(accepted, received) - earlier - queued - (until - leased)
  const reached = connected > 0 ? connected : until
  return `olla;dur=${tenths(olla)}, queue;dur=${tenths(queued)}, connect;dur=${tenths(reached - leased)}, backend;dur=${tenths(until - reached)}, attempts;desc="${attempts.length}"`
}
