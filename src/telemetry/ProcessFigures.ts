/**
 * What this process uses: memory, collections, handles, delay of the event loop. Plain numbers in bytes and milliseconds;
 * whoever shows them formats them.
 */
import { availableParallelism } from "node:os"
import { constants, monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks"
import { getHeapStatistics } from "node:v8"
import { runtime } from "../version.ts"
import type { HistogramTotals } from "./metrics/Histogram.ts"
import { Histogram } from "./metrics/Histogram.ts"

export type Pressure = "LOW" | "MEDIUM" | "HIGH"
export type HandleHealth = "HEALTHY" | "NORMAL" | "ELEVATED" | "CONCERNING"

export interface ProcessFigures {
  /** V8's heap in use. */
  readonly heapUsed: number
  /** V8's heap as taken from the system. */
  readonly heapTotal: number
  /** Taken and given back. */
  readonly heapReleased: number
  /** V8's ceiling. */
  readonly heapLimit: number
  /** Buffers and other memory outside the heap. */
  readonly external: number
  readonly resident: number
  readonly pressure: Pressure
  readonly collections: number
  readonly collectionTime: number
  readonly averageCollection: number
  /** Share of the uptime, 0 to 1. */
  readonly collectionShare: number
  /** Epoch milliseconds; 0: none yet. */
  readonly lastCollection: number
  /** Live asynchronous resources, at least 1. */
  readonly handles: number
  readonly handleHealth: HandleHealth
  /** Mean and 99th percentile since the start, beyond the sampling interval. */
  readonly loopDelay: { readonly mean: number; readonly p99: number }
  readonly uptime: number
  readonly runtime: string
  readonly processors: number
}

/** Milliseconds between two samples of the event loop's delay: each of them wakes a daemon that has nothing to do. */
const sampling = 250

const collections = { count: 0, time: 0, last: 0 }

/** Kinds of collections, by node's numbers for them, and the bounds of their durations in seconds. */
const collectionKinds: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"]
])
const collectionBounds = [0.001, 0.01, 0.1, 1, 2, 5]
const durations = new Map<string, Histogram>()

/** Those kinds that there were. */
export const collectionTotals = (): ReadonlyArray<{ readonly kind: string; readonly totals: HistogramTotals }> =>
  [...durations].map(([kind, histogram]) => ({ kind, totals: histogram.totals() }))

const noteCollection = (kind: string, millis: number): void => {
  let histogram = durations.get(kind)
  if (histogram === undefined) {
    histogram = new Histogram(collectionBounds)
    durations.set(kind, histogram)
  }
  histogram.add(millis / 1000)
}

let delay: ReturnType<typeof monitorEventLoopDelay> | undefined
let observer: PerformanceObserver | undefined

/** Counts collections and samples the loop from now on; the second call does nothing. Returns its end. */
export const watchProcess = (): (() => void) => {
  if (observer === undefined) {
    observer = new PerformanceObserver((list) => {
      for (const { duration, detail } of list.getEntries() as Array<PerformanceEntry & { readonly detail?: unknown }>) {
        noteCollection(collectionKinds.get((detail as { readonly kind?: number } | undefined)?.kind ?? 0) ?? "other", duration)
        collections.count++
        collections.time += duration
        collections.last = Date.now()
      }
    })
    observer.observe({ entryTypes: ["gc"] })
    delay = monitorEventLoopDelay({ resolution: sampling })
    delay.enable()
  }
  return () => {
    observer?.disconnect()
    delay?.disable()
    observer = undefined
    delay = undefined
  }
}

/** How full the heap is; a full one is only worth an alarm when it cannot grow much further. */
export const pressureOf = (used: number, total: number, limit: number): Pressure => {
  const share = total === 0 ? 0 : used / total
  return share > 0.9 && used > 0.9 * limit ? "HIGH" : share > 0.7 ? "MEDIUM" : "LOW"
}

export const handleHealthOf = (count: number): HandleHealth =>
  count > 1000 ? "CONCERNING" : count > 500 ? "ELEVATED" : count > 100 ? "NORMAL" : "HEALTHY"

/** Nanoseconds of the monitor, which counts its own interval in, as milliseconds of delay. */
const delayMillis = (nanos: number | undefined): number =>
  nanos === undefined || Number.isNaN(nanos) ? 0 : Math.max(0, nanos / 1e6 - sampling)

export const processFigures = (): ProcessFigures => {
  const memory = process.memoryUsage()
  const heap = getHeapStatistics()
  const handles = Math.max(1, process.getActiveResourcesInfo().length)
  const uptime = process.uptime() * 1000
  return {
    heapUsed: memory.heapUsed,
    heapTotal: memory.heapTotal,
    heapReleased: Math.max(0, heap.total_heap_size - heap.total_physical_size),
    heapLimit: heap.heap_size_limit,
    external: memory.external,
    resident: memory.rss,
    pressure: pressureOf(memory.heapUsed, memory.heapTotal, heap.heap_size_limit),
    collections: collections.count,
    collectionTime: collections.time,
    averageCollection: collections.count === 0 ? 0 : collections.time / collections.count,
    collectionShare: collections.time / Math.max(1, uptime),
    lastCollection: collections.last,
    handles,
    handleHealth: handleHealthOf(handles),
    loopDelay: { mean: delayMillis(delay?.mean), p99: delayMillis(delay?.percentile(99)) },
    uptime,
    runtime,
    processors: availableParallelism()
  }
}
