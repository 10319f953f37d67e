/**
 * What is decided of an exchange's trace while it runs. The spans themselves are made at its end, if at all: until then there is
 * nothing but a flag, and ids where the flag is set.
 */
import * as Context from "effect/Context"
import type { Exchange } from "./Exchange.ts"
import { isTraceparent, traceIdOf } from "./TraceContext.ts"

export interface Tracing {
  /** A request for a backend begins; `traceparent` is the client's, as it came. */
  readonly accepted: (exchange: Exchange, traceparent: string) => void
  /** The trace is sent for certain, sampled or not, and now has an id: it may be told to the client. */
  readonly isSure: (exchange: Exchange) => boolean
}

/** Nobody sends traces: a client's goes on untouched. */
export const noTracing: Tracing = {
  accepted: (exchange, traceparent) => {
    if (traceparent === "" || !isTraceparent(traceparent)) return
    exchange.traceparent = traceparent
    exchange.traceId = traceIdOf(traceparent)
  },
  isSure: () => false
}

export const TracingDecisions = Context.Reference<Tracing>("olla/exchange/Tracing", { defaultValue: () => noTracing })
