/** What a client is told when its request could be carried to nobody. */
import { performance } from "node:perf_hooks"
import type { Exchange } from "../exchange/Exchange.ts"
import { type Failure, failure } from "../exchange/Failure.ts"
import type { Candidate } from "../routing/Router.ts"
import type { Refused } from "./Carrier.ts"
import { failureText } from "./FailureText.ts"

/** Nobody could even be asked. */
export const refusedUnasked = (candidates: ReadonlyArray<Candidate>): Refused => {
  const why = candidates.length === 0 ? "no endpoints available" : "no routable endpoints available"
  return { _tag: "refused", failure: failure("unreachable", why), message: `endpoint selection failed: ${why}` }
}

export interface LastFailure {
  readonly failure: Failure
  /** Of the endpoint. */
  readonly name: string
}

/** `isConnection`: nobody could be reached at all. `candidates`: how many there were. */
export const refusedAfter = (
  { failure: why, name }: LastFailure,
  exchange: Exchange,
  candidates: number,
  isConnection: boolean
): Refused => {
  const text = failureText(why, name, performance.now() - exchange.timings.accepted)
  if (!isConnection || why.kind === "breaker_open" || why.kind === "descriptors") return { _tag: "refused", failure: why, message: text }
  const isOnly = candidates === 1 && exchange.attempts.length === 1
  const who = isOnly ? `the only reachable endpoint ${exchange.model === "" ? "for this request" : "with this model"}` : "all endpoints"
  return { _tag: "refused", failure: why, message: `${who} failed with ${isOnly ? "a connection error" : "connection errors"}: ${text}` }
}

/** It is not sent to anybody else: it may be what made them crash. */
export const refusedAsCrashing = (last: LastFailure, exchange: Exchange, endpoints: number): Refused => {
  const text = failureText(last.failure, last.name, performance.now() - exchange.timings.accepted)
  const code = "upstream_crashed"
  const message = `${code}: ${endpoints} endpoints ended the connection in the middle of this request, which is not sent to another one: ${text}`
  return { _tag: "refused", failure: last.failure, message, code }
}
