/** About the daemon itself: health, readiness, process figures, version. */
import * as Schema from "effect/Schema"
import { Bytes, Count, Duration, Real, Timestamp } from "./Values.ts"

export const HealthDocument = Schema.Struct({ status: Schema.Literal("healthy") }).annotate({ identifier: "Health" })

export const ReadyDocument = Schema.Struct({ status: Schema.Literal("ready") }).annotate({ identifier: "Ready" })

export const NotReadyDocument = Schema.Struct({
  status: Schema.Literal("not_ready"),
  reason: Schema.Literals(["no_routable_endpoint", "stopping"])
}).annotate({ identifier: "NotReady" })

export const ProcessDocument = Schema.Struct({
  timestamp: Timestamp,
  memory: Schema.Struct({
    heap_alloc: Bytes,
    heap_sys: Bytes,
    heap_inuse: Bytes,
    heap_released: Bytes,
    stack_inuse: Bytes,
    total_alloc: Bytes,
    memory_pressure: Schema.Literals(["LOW", "MEDIUM", "HIGH"])
  }),
  request_bodies: Schema.Struct({
    held: Bytes.annotate({ description: "Memory for bodies that are received or sent on now" }),
    largest: Bytes.annotate({ description: "The most that was held at a time" }),
    limit: Schema.String.annotate({
      description: "`server.request_limits.max_buffered` as it takes effect",
      examples: ["1.00 GB", "none"]
    }),
    refused: Count.annotate({ description: "Requests that got 503 for want of it" })
  }),
  garbage_collection: Schema.Struct({
    last_gc: Schema.String.annotate({ description: "RFC 3339; empty before the first" }),
    total_gc_time: Schema.String.annotate({ description: "Empty before the first", examples: ["120ms"] }),
    avg_gc_pause: Schema.String.annotate({ description: "Empty before the first", examples: ["2.9ms"] }),
    gc_cpu_fraction: Real,
    num_gc_cycles: Count
  }),
  goroutines: Schema.Struct({
    health_status: Schema.Literals(["HEALTHY", "NORMAL", "ELEVATED", "CONCERNING"]),
    count: Count.annotate({ description: "Live handles of the event loop" }),
    cgo_calls: Count
  }),
  runtime: Schema.Struct({
    uptime: Duration,
    go_version: Schema.String.annotate({ description: "The runtime's version" }),
    num_cpu: Count,
    gomaxprocs: Count
  }),
  allocations: Schema.Struct({ total_mallocs: Count, total_frees: Count, net_objects: Count })
}).annotate({
  identifier: "Process",
  description: "Keys are those of the reference, a Go program; values are the nearest figures of this runtime"
})

export const VersionDocument = Schema.Struct({
  name: Schema.Literal("Olla"),
  version: Schema.String,
  edition: Schema.String,
  description: Schema.String,
  build: Schema.Struct({ commit: Schema.String, date: Schema.String, go_version: Schema.String, platform: Schema.String }),
  capabilities: Schema.Array(Schema.String),
  capabilities_experimental: Schema.Array(Schema.String),
  supported_backends: Schema.Array(Schema.String),
  api: Schema.Struct({
    version: Schema.Literal("v1"),
    endpoints: Schema.Struct({
      health: Schema.String,
      metrics: Schema.String,
      process: Schema.String,
      status: Schema.String,
      version: Schema.String
    })
  }),
  links: Schema.Struct({ homepage: Schema.String, documentation: Schema.String, releases: Schema.String })
}).annotate({ identifier: "Version" })
