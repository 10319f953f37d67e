/** /internal/stats/*: usage of models, translators and sticky sessions. */
import * as Schema from "effect/Schema"
import { Ago, Bytes, Count, Latency, Percent, Percentiles, Real, RequestsByClass, Timestamp } from "./Values.ts"

export const ModelEndpointStats = Schema.Struct({
  endpoint_name: Schema.String,
  request_count: Count,
  success_rate: Real.annotate({ description: "0 to 100" }),
  average_latency: Latency,
  last_used: Ago,
  consecutive_errors: Count
}).annotate({ identifier: "ModelEndpointStats" })

export const ModelStats = Schema.Struct({
  name: Schema.String.annotate({ description: "As the backend knows it" }),
  total_requests: Count.annotate({ description: "Attempts" }),
  successful_requests: Count,
  failed_requests: Count,
  success_rate: Percent,
  total_traffic: Bytes,
  average_latency: Latency,
  p95_latency: Latency,
  p99_latency: Latency,
  last_requested: Ago,
  unique_clients: Count.annotate({ description: "By address" }),
  routing_hits: Count.annotate({ description: "Requests that their first endpoint answered" }),
  routing_misses: Count.annotate({ description: "Requests that needed a retry" }),
  routing_fallbacks: Count.annotate({ description: "Requests whose routing decision was `fallback`" }),
  requests_by_class: RequestsByClass,
  latency_ms: Schema.optionalKey(Percentiles),
  ttft_ms: Schema.optionalKey(Percentiles),
  prompt_tokens: Schema.optionalKey(Count),
  completion_tokens: Schema.optionalKey(Count),
  avg_tokens_per_second: Schema.optionalKey(Real),
  endpoint_breakdown: Schema.optionalKey(Schema.Record(Schema.String, ModelEndpointStats)).annotate({
    description: "By endpoint name, with `include_endpoints=true` only"
  })
}).annotate({ identifier: "ModelStats" })

export const ModelStatsDocument = Schema.Struct({
  timestamp: Timestamp,
  models: Schema.Array(ModelStats).annotate({ description: "Most requested first" }),
  endpoints: Schema.Record(Schema.String, ModelEndpointStats).annotate({
    description: "By endpoint name, over all models; filled with `include_summary=true` only"
  }),
  summary: Schema.Struct({
    total_models: Count,
    active_models: Count.annotate({ description: "Requested within the last hour" }),
    total_requests: Count,
    overall_success_rate: Percent,
    total_traffic: Bytes,
    most_popular_model: Schema.String,
    least_popular_model: Schema.String
  })
}).annotate({ identifier: "ModelStatistics" })

export const TranslatorStats = Schema.Struct({
  translator_name: Schema.String.annotate({ examples: ["anthropic"] }),
  total_requests: Count,
  successful_requests: Count,
  failed_requests: Count,
  success_rate: Percent,
  passthrough_rate: Percent,
  average_latency: Latency,
  passthrough_requests: Count.annotate({ description: "Sent to a backend that speaks the API itself" }),
  translation_requests: Count,
  streaming_requests: Count,
  non_streaming_requests: Count,
  fallback_no_compatible_endpoints: Count,
  fallback_translator_does_not_support_passthrough: Count,
  fallback_cannot_passthrough: Count,
  backend_errors: Count.annotate({ description: "Answers of 400 and above by backends; those below 500 are no failures" })
}).annotate({ identifier: "TranslatorStats" })

export const TranslatorStatsDocument = Schema.Struct({
  timestamp: Timestamp,
  translators: Schema.Array(TranslatorStats).annotate({ description: "Those that had a request, most requested first" }),
  summary: Schema.Struct({
    total_translators: Count,
    active_translators: Count,
    total_requests: Count,
    overall_success_rate: Percent,
    overall_passthrough_rate: Percent,
    total_passthrough: Count,
    total_translations: Count,
    total_streaming: Count,
    total_non_streaming: Count
  })
}).annotate({ identifier: "TranslatorStatistics" })

export const StickyStatsDocument = Schema.Union([
  Schema.Struct({ enabled: Schema.Literal(false) }),
  Schema.Struct({
    enabled: Schema.Literal(true),
    active_sessions: Count,
    insertions: Count,
    hits: Count,
    misses: Count,
    evictions: Count,
    max_sessions: Count,
    idle_ttl_seconds: Count
  })
]).annotate({ identifier: "StickyStatistics" })
