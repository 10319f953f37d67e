/** /internal/status and /internal/status/endpoints: the whole, and each endpoint. */
import * as Schema from "effect/Schema"
import {
  Ago,
  BreakerState,
  Bytes,
  Count,
  EndpointId,
  EndpointStatus,
  EndpointUrl,
  LastRequestError,
  Latency,
  Milliseconds,
  Percentiles,
  Rate,
  Real,
  RequestsByClass,
  Timestamp,
  Until,
  Uptime
} from "./Values.ts"

/** What both documents tell of an endpoint. */
const endpointFields = {
  id: EndpointId,
  name: Schema.String,
  url: EndpointUrl,
  status: EndpointStatus,
  admin: Schema.Literals(["active", "draining", "drained"]).annotate({
    description: "What operators have said of it: `draining` while attempts of before run, `drained` when none does"
  }),
  priority: Schema.Int,
  success_rate: Rate,
  avg_latency_ms: Schema.optionalKey(Milliseconds).annotate({ description: "Of successful attempts; absent before the first attempt" }),
  min_latency_ms: Milliseconds,
  max_latency_ms: Milliseconds,
  health_check_at: Schema.optionalKey(Timestamp),
  next_check_at: Schema.optionalKey(Timestamp),
  circuit_breaker: BreakerState,
  last_request_error: Schema.NullOr(LastRequestError).annotate({
    description:
      "The last attempt that failed, or was answered with 500 and above or 429, since the start; no probe and no success wipes it"
  }),
  requests_by_class: RequestsByClass,
  latency_ms: Schema.optionalKey(Percentiles),
  ttft_ms: Schema.optionalKey(Percentiles)
}

export const StatusEndpoint = Schema.Struct({
  ...endpointFields,
  connections: Count.annotate({ description: "Attempts under way" }),
  requests: Count.annotate({ description: "Attempts" }),
  avg_latency: Latency,
  traffic: Bytes,
  last_check: Ago,
  next_check: Until,
  issues: Schema.String.annotate({
    description:
      "Joined by a comma and a space: `consecutive failures`, `low success rate`, `high latency`, `unavailable`, `authentication rejected`, `rate limited`, `circuit breaker open`, `model list unreadable`; empty: none"
  }),
  models: Schema.Struct({
    last_updated: Timestamp.annotate({ description: "The zero time before the first listing" }),
    count: Count
  })
}).annotate({ identifier: "StatusEndpoint" })

/** A finding about the configuration, as `validate --json` has it. */
export const ConfigFinding = Schema.Struct({
  severity: Schema.Literals(["error", "warning"]),
  message: Schema.String,
  file: Schema.optionalKey(Schema.String),
  line: Schema.optionalKey(Schema.Int),
  column: Schema.optionalKey(Schema.Int),
  key: Schema.optionalKey(Schema.String),
  suggestion: Schema.optionalKey(Schema.String),
  example: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "ConfigFinding" })

const ResolvedName = Schema.Struct({
  name: Schema.String,
  endpoints: Count.annotate({ description: "How many it stands for now" }),
  resolved_at: Schema.NullOr(Timestamp).annotate({ description: "Of the last answer; null: none yet" }),
  last_error: Schema.NullOr(Schema.String).annotate({ description: "Why the last look-up came to nothing; null: it did not" })
}).annotate({ identifier: "ResolvedName" })

const Configured = Schema.Struct({
  generation: Schema.Int.annotate({ description: "1 at the start, one more with each reload that changed anything" }),
  loaded_at: Timestamp,
  source: Schema.String.annotate({ description: "Path of the file; empty: built-in defaults and variables" }),
  last_error: Schema.NullOr(Schema.Struct({ at: Timestamp, message: Schema.String, findings: Schema.Array(ConfigFinding) })).annotate({
    description: "Why the last reload was refused; null: it was not"
  }),
  restart_needed: Schema.Array(Schema.String).annotate({
    description: "Keys that are otherwise than at the start and count from the next one"
  })
}).annotate({ identifier: "ConfigStatus" })

export const EndpointUsage = Schema.Struct({
  requests: Count.annotate({ description: "Answers with token figures" }),
  avg_latency_ms: Milliseconds,
  avg_tokens_per_second: Schema.optionalKey(Real).annotate({
    description: "As backends tell it, else measured on streams whose tokens they count; absent without either"
  }),
  avg_prompt_tokens: Real,
  avg_completion_tokens: Real
}).annotate({ identifier: "EndpointUsage" })

export const StatusDocument = Schema.Struct({
  timestamp: Timestamp,
  proxy: Schema.Struct({
    engine: Schema.String,
    profile: Schema.String,
    balancer: Schema.String,
    endpoints: Schema.Record(Schema.String, EndpointUsage).annotate({ description: "By endpoint name" })
  }),
  endpoints: Schema.Array(StatusEndpoint),
  config: Configured,
  access: Schema.optionalKey(
    Schema.Struct({
      keys: Count,
      anonymous: Schema.Literals(["deny", "allow", "limited"]),
      source: Schema.String.annotate({ description: "Path of the keys file; empty: there is none" }),
      generation: Schema.Int.annotate({ description: "1 with the first table of keys, one more with each other one" }),
      loaded_at: Timestamp,
      last_error: Schema.NullOr(Schema.String).annotate({ description: "Why the keys file as it is now is not in force; null: it is" })
    }).annotate({ identifier: "AccessStatus" })
  ).annotate({ description: "Absent while nobody is asked for a key" }),
  tls: Schema.optionalKey(
    Schema.Struct({
      min_version: Schema.Literals(["1.2", "1.3"]),
      certificates: Schema.Array(
        Schema.Struct({
          names: Schema.Array(Schema.String),
          not_after: Timestamp,
          fingerprint_sha256: Schema.String,
          loaded_at: Timestamp,
          last_error: Schema.NullOr(Schema.String).annotate({ description: "Why the files as they are now do not serve; null: they do" })
        })
      )
    }).annotate({ identifier: "TlsStatus" })
  ).annotate({ description: "Absent while the listener speaks plain HTTP" }),
  discovery: Schema.Array(ResolvedName).annotate({ description: "Names of `discovery.dns`, in its order" }),
  security: Schema.Struct({
    status: Schema.Literals(["normal", "elevated"]),
    blocked_ips: Count.annotate({ description: "Clients that were rate limited within the last hour" }),
    violations: Schema.Struct({ rate_limits: Count, size_limits: Count })
  }),
  system: Schema.Struct({
    start_time: Timestamp,
    status: Schema.Literals(["healthy", "degraded", "critical"]),
    endpoints_up: Schema.String.annotate({ examples: ["9/10"] }),
    success_rate: Rate,
    avg_latency: Latency,
    total_traffic: Bytes,
    uptime: Uptime,
    version: Schema.String,
    commit: Schema.String,
    active_connections: Count,
    security_violations: Count,
    total_requests: Count.annotate({ description: "Client requests that were dispatched, by their final outcome" }),
    total_failures: Count,
    total_attempts: Count,
    total_retries: Count.annotate({ description: "Attempts less requests" }),
    has_traffic: Schema.Boolean,
    requests_by_class: RequestsByClass,
    rejections: Schema.Struct({ "404": Count, "413": Count, "429": Count, "431": Count, "503": Count }).annotate({
      description: "Requests that Olla refused itself, by status"
    }),
    latency_ms: Schema.optionalKey(Percentiles),
    ttft_ms: Schema.optionalKey(Percentiles)
  })
}).annotate({ identifier: "Status" })

export const ListedEndpoint = Schema.Struct({
  ...endpointFields,
  type: Schema.String.annotate({ description: "As configured" }),
  detected_type: Schema.optionalKey(Schema.String).annotate({ description: "What an endpoint of type `auto` turned out to be" }),
  model_count: Count,
  request_count: Count,
  active_connections: Count,
  health_check: Schema.String.annotate({ description: "Time since the last probe; empty before the first", examples: ["12s ago"] }),
  response_time: Schema.optionalKey(Latency).annotate({ description: "Of the last answered probe" }),
  last_model_sync: Schema.optionalKey(Ago),
  last_model_sync_at: Schema.optionalKey(Timestamp),
  issues: Schema.optionalKey(
    Schema.Literals([
      "unavailable",
      "authentication rejected",
      "rate limited",
      "circuit breaker open",
      "unstable",
      "low success rate",
      "model list unreadable"
    ])
  ).annotate({ description: "The gravest one" }),
  last_error: Schema.optionalKey(Schema.String).annotate({ description: "Why the last probe, attempt or model listing failed" }),
  actor_restarts: Schema.optionalKey(Count).annotate({ description: "How often watching this endpoint crashed and began anew" }),
  discovery_disabled: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "ListedEndpoint" })

export const EndpointsDocument = Schema.Struct({
  timestamp: Timestamp,
  endpoints: Schema.Array(ListedEndpoint),
  total_count: Count,
  healthy_count: Count,
  routable_count: Count
}).annotate({ identifier: "Endpoints" })
