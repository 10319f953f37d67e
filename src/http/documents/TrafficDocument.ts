/** /internal/status/traffic: who waits, what failover may still do, and each model on each endpoint. */
import * as Schema from "effect/Schema"
import { Count, Milliseconds, Real, Timestamp } from "./Values.ts"

const LaneSignals = Schema.Struct({
  running: Count,
  waiting: Count,
  kv_used: Schema.NullOr(Real).annotate({ description: "0 to 1; null: it does not say" }),
  slots: Schema.NullOr(Count).annotate({ description: "Requests that it works on at once; null: it does not say" }),
  age_ms: Milliseconds,
  used: Schema.Boolean.annotate({ description: "Too old and frozen reports are not" })
}).annotate({ identifier: "LaneSignals", description: "What the backend told of its load last" })

export const TrafficLane = Schema.Struct({
  endpoint: Schema.String,
  model: Schema.String.annotate({ description: "As the endpoint calls it; empty: requests without a model" }),
  state: Schema.Literals(["open", "slow_start", "trial", "paused", "ejected", "missing"]),
  until: Schema.optionalKey(Timestamp).annotate({ description: "When it may be tried again" }),
  reason: Schema.optionalKey(Schema.String).annotate({ examples: ["status_5xx", "status_429", "timeout", "transport", "missing"] }),
  failures: Count.annotate({ description: "In a row" }),
  ejections: Count.annotate({ description: "In a row" }),
  in_flight: Count,
  limit: Count.annotate({ description: "The endpoint's `max_concurrent`; 0: none" }),
  weight: Real.annotate({ description: "The endpoint's, or the part of it that a slow start allows" }),
  residency: Schema.Literals(["resident", "loading", "cold", "unknown"]),
  pace_ms: Schema.NullOr(Real).annotate({ description: "Milliseconds per 1,000 prompt tokens to the first byte; null: not measured" }),
  turn_ms: Milliseconds.annotate({ description: "Mean duration of an attempt" }),
  load_ms: Milliseconds.annotate({ description: "What loading the model takes, learned or guessed from its size" }),
  outstanding_tokens: Count,
  cached_blocks: Count.annotate({ description: "Blocks of prompts that the backend has probably kept" }),
  signals: Schema.NullOr(LaneSignals).annotate({ description: "null: nobody tells" })
}).annotate({ identifier: "TrafficLane" })

const TrafficOn = Schema.Struct({
  timestamp: Timestamp,
  enabled: Schema.Literal(true),
  balancer: Schema.String,
  queue: Schema.Struct({
    waiting: Count,
    max_waiting: Count,
    oldest_ms: Milliseconds,
    by_class: Schema.Struct({ high: Count, normal: Count, low: Count }),
    by_model: Schema.Record(Schema.String, Count)
  }),
  failover: Schema.Struct({
    requests_10s: Count,
    extra_10s: Count.annotate({ description: "Attempts beyond the first" }),
    allowed_10s: Count,
    denied_total: Count
  }),
  lanes: Schema.Array(TrafficLane).annotate({ description: "By endpoint as configured, then by model" })
})

export const TrafficDocument = Schema.Union([TrafficOn, Schema.Struct({ enabled: Schema.Literal(false) })]).annotate({
  identifier: "Traffic",
  description: "`enabled` alone where `traffic.enabled` is false"
})
