/** /internal/process: names of fields that a Go runtime would report, filled with Node's nearest equivalents. */
import type { BodyBudget } from "../guard/BodyBudget.ts"
import { processFigures } from "../telemetry/ProcessFigures.ts"
import type { ProcessDocument } from "./documents/DaemonDocuments.ts"
import { bytes, duration, timestamp } from "./Formats.ts"

export const processDocument = (now: number, bodies: BodyBudget): typeof ProcessDocument.Type => {
  const figures = processFigures()
  const collected = figures.collections > 0
  return {
    timestamp: timestamp(now),
    memory: {
      heap_alloc: bytes(figures.heapUsed),
      heap_sys: bytes(figures.heapTotal),
      heap_inuse: bytes(figures.heapUsed),
      heap_released: bytes(figures.heapReleased),
      stack_inuse: bytes(0),
      total_alloc: bytes(figures.resident),
      memory_pressure: figures.pressure
    },
    request_bodies: {
      held: bytes(bodies.held),
      largest: bytes(bodies.largest),
      limit: Number.isFinite(bodies.limit) ? bytes(bodies.limit) : "none",
      refused: bodies.refused
    },
    garbage_collection: {
      last_gc: collected ? timestamp(figures.lastCollection) : "",
      total_gc_time: collected ? duration(figures.collectionTime) : "",
      avg_gc_pause: collected ? duration(figures.averageCollection) : "",
      gc_cpu_fraction: Number(figures.collectionShare.toFixed(6)),
      num_gc_cycles: figures.collections
    },
    goroutines: { health_status: figures.handleHealth, count: figures.handles, cgo_calls: 0 },
    runtime: { uptime: duration(figures.uptime), go_version: figures.runtime, num_cpu: figures.processors, gomaxprocs: figures.processors },
    allocations: { total_mallocs: 0, total_frees: 0, net_objects: 0 }
  }
}
