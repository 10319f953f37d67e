/** The last request that an endpoint failed, for its status: what a good probe does not tell and must not wipe. Pure. */
import { attemptCause, attemptFailed, attemptPhase, type Cause, type PhaseName } from "../../exchange/Cause.ts"
import type { Attempt, Exchange } from "../../exchange/Exchange.ts"
import { failureWords } from "../../proxy/FailureText.ts"
import { backendError } from "./BackendError.ts"

export interface LastRequestError {
  /** Epoch milliseconds. */
  readonly at: number
  readonly requestId: string
  readonly model: string
  /** 0: no answer. */
  readonly status: number
  readonly cause: Cause
  readonly phase: PhaseName
  readonly message: string
}

/** `undefined`: the attempt did not fail, or its endpoint was not even asked. `quotes`: the backend's own words may be told. */
export const lastRequestError = (exchange: Exchange, attempt: Attempt, at: number, quotes: boolean): LastRequestError | undefined => {
  const cause = attemptCause(attempt)
  if (cause === "breaker_open" || !(attemptFailed(attempt) || cause === "upstream_429")) return undefined
  const { failure, status } = attempt
  const message =
    failure !== undefined ? failureWords(failure) : ((quotes ? backendError(exchange.kept) : undefined) ?? `it answered with ${status}`)
  return { at, requestId: exchange.id, model: exchange.model, status, cause, phase: attemptPhase(attempt), message }
}
