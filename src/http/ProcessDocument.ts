/** /internal/process: the reference's fields with Node's nearest equivalents (http-api.md 11.8). */
import { availableParallelism } from "node:os"
import { PerformanceObserver } from "node:perf_hooks"
import { getHeapStatistics } from "node:v8"
import { bytes, duration, timestamp } from "./Formats.ts"

const collections = { count: 0, millis: 0, last: 0 }
let watching = false

/** Counts garbage collections from now on; once for the process. */
export const watchCollections = (): void => {
  if (watching) return
  watching = true
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      collections.count++
      collections.millis += entry.duration
      collections.last = Date.now()
    }
  }).observe({ entryTypes: ["gc"] })
}

const pressure = (used: number, limit: number): "LOW" | "MEDIUM" | "HIGH" =>
  used / limit < 0.5 ? "LOW" : used / limit < 0.8 ? "MEDIUM" : "HIGH"

const health = (count: number): string => (count <= 100 ? "HEALTHY" : count <= 500 ? "NORMAL" : count <= 1000 ? "ELEVATED" : "CONCERNING")

export const processDocument = (now: number, startedAt: number): Record<string, unknown> => {
  const memory = process.memoryUsage()
  const heap = getHeapStatistics()
  const handles = process.getActiveResourcesInfo().length
  const contexts = heap.number_of_native_contexts
  return {
    timestamp: timestamp(now),
    memory: {
      heap_alloc: bytes(memory.heapUsed),
      heap_sys: bytes(memory.rss),
      heap_inuse: bytes(memory.heapTotal),
      heap_released: bytes(Math.max(0, heap.total_heap_size - heap.total_physical_size)),
      stack_inuse: bytes(memory.external),
      total_alloc: bytes(heap.malloced_memory + memory.heapTotal),
      memory_pressure: pressure(heap.used_heap_size, heap.heap_size_limit)
    },
    garbage_collection: {
      last_gc: collections.last === 0 ? "" : timestamp(collections.last),
      total_gc_time: collections.count === 0 ? "" : duration(collections.millis),
      avg_gc_pause: collections.count === 0 ? "" : duration(collections.millis / collections.count),
      gc_cpu_fraction: Number((collections.millis / Math.max(1, now - startedAt)).toFixed(6)),
      num_gc_cycles: collections.count
    },
    goroutines: { health_status: health(handles), count: handles, cgo_calls: 0 },
    runtime: {
      uptime: duration(now - startedAt),
      go_version: `node${process.version}`,
      num_cpu: availableParallelism(),
      gomaxprocs: availableParallelism()
    },
    allocations: { total_mallocs: heap.malloced_memory, total_frees: 0, net_objects: contexts }
  }
}
