/**
 * The kinds of value that documents are made of. Each document is a Schema: what is sent is encoded by it, its TypeScript
 * type is what the builders must produce, and docs/openapi.yaml is written from it.
 */
import * as Schema from "effect/Schema"

const text = (description: string, examples: ReadonlyArray<string>) => Schema.String.annotate({ description, examples })

export const Timestamp = Schema.String.annotate({ format: "date-time", description: "RFC 3339" })
export const Bytes = text("Bytes, base 1024, two decimals", ["512 B", "1.50 GB"])
export const Percent = text("Per cent, one decimal", ["0%", "97.3%", "100%"])
/** `N/A` while there was no traffic. */
export const Rate = text("Per cent, one decimal; `N/A` without traffic", ["N/A", "97.3%"])
export const Latency = text("Milliseconds below a second, else seconds with one decimal", ["245ms", "367.5s"])
export const Ago = text("Time since", ["never", "42s ago", "5h ago"])
export const Until = text("Time until", ["unknown", "now", "in 25s"])
export const Uptime = text("Time since the start", ["30s", "1h 30m"])
export const Duration = text("Duration in Go's form", ["532.1ms", "3m20s", "2h5m0s"])

export const Count = Schema.Int.annotate({ description: "Never negative" })
export const Milliseconds = Schema.Int.annotate({ description: "Whole milliseconds" })
export const Real = Schema.Finite

export const EndpointStatus = Schema.Literals([
  "healthy",
  "busy",
  "warming",
  "unhealthy",
  "offline",
  "unknown",
  "config_error",
  "rate_limited"
]).annotate({ description: "healthy, busy and warming are routable" })

export const BreakerState = Schema.Literals(["closed", "half-open", "open"])

export const Percentiles = Schema.Struct({ p50: Milliseconds, p95: Milliseconds, p99: Milliseconds }).annotate({
  identifier: "Percentiles",
  description: "Over the last ten minutes"
})

export const RequestsByClass = Schema.Struct({
  "2xx": Count,
  "3xx": Count,
  "4xx": Count,
  "5xx": Count,
  transport: Count.annotate({ description: "Failures without an HTTP answer" }),
  cancelled: Count.annotate({ description: "The client left before the end" })
}).annotate({ identifier: "RequestsByClass" })

export const LastRequestError = Schema.Struct({
  at: Timestamp,
  request_id: Schema.String,
  model: Schema.String.annotate({ description: "As it was asked for; empty: none" }),
  status: Schema.Int.annotate({ description: "Of the answer; 0: there was none" }),
  cause: Schema.String.annotate({ examples: ["connect_refused", "upstream_5xx"] }),
  phase: Schema.String.annotate({ description: "Where the attempt was when it ended", examples: ["connect", "wait", "stream"] }),
  message: Schema.String.annotate({ description: "What the backend said, else what happened" })
}).annotate({ identifier: "LastRequestError" })

export const EndpointId = Schema.String.annotate({
  description: "Short stable name of an endpoint: a hash of its URL without credentials and query",
  examples: ["1gi2muj"]
})
export const EndpointUrl = Schema.String.annotate({ description: "Without user information, query and fragment" })

/** A document's value while it is built: keys that are not always there may be `undefined`. */
export type Building<A> = { readonly [K in keyof A]: Record<never, never> extends Pick<A, K> ? A[K] | undefined : A[K] }

/** Leaves out the keys that are `undefined`. */
export const present = <A extends object>(fields: Building<A>): A => {
  const out: Partial<A> = {}
  for (const key of Object.keys(fields) as Array<keyof A & string>) {
    const value = fields[key]
    if (value !== undefined) out[key] = value as A[typeof key]
  }
  return out as A
}
