/**
 * What the process uses, under the names that the libraries of Node's world gave these figures, so that common boards work. The
 * event loop is sampled from the first scrape on, and each scrape tells of the time since the one before.
 */
import { readdirSync, readFileSync } from "node:fs"
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks"
import { collectionTotals } from "../ProcessFigures.ts"
import type { Family } from "../PrometheusText.ts"

/** Milliseconds between two samples of the loop. */
const resolution = 20

let delay: ReturnType<typeof monitorEventLoopDelay> | undefined
let utilization: EventLoopUtilization | undefined

/** Seconds beyond the sampling interval, which the monitor counts in. */
const lag = (nanos: number | undefined): number =>
  nanos === undefined || !Number.isFinite(nanos) ? 0 : Math.max(0, nanos / 1e9 - resolution / 1e3)

/** `undefined` where the system has no such files. */
const openDescriptors = (): number | undefined => {
  try {
    // The one that reads the folder is no news.
    return readdirSync("/proc/self/fd").length - 1
  } catch {
    return undefined
  }
}

const mostDescriptors = (): number | undefined => {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

export const processFamilies = (): ReadonlyArray<Family> => {
  const { user, system } = process.cpuUsage()
  const memory = process.memoryUsage()
  if (delay === undefined) {
    delay = monitorEventLoopDelay({ resolution })
    delay.enable()
  }
  const [p50, p99, max] = delay.count === 0 ? [0, 0, 0] : [delay.percentile(50), delay.percentile(99), delay.max]
  delay.reset()
  const before = utilization
  utilization = performance.eventLoopUtilization()
  const busy = before === undefined ? utilization.utilization : performance.eventLoopUtilization(utilization, before).utilization
  const family = (type: "gauge" | "counter", name: string, help: string, value: number | undefined): Family => ({
    name,
    type,
    help,
    samples: value === undefined ? [] : [{ labels: {}, value }]
  })
  return [
    family("counter", "process_cpu_seconds_total", "User and system CPU time.", (user + system) / 1e6),
    family("gauge", "process_resident_memory_bytes", "Resident memory.", memory.rss),
    family("gauge", "process_start_time_seconds", "Start of the process, Unix time.", Math.round(performance.timeOrigin) / 1000),
    family("gauge", "process_open_fds", "Open file descriptors.", openDescriptors()),
    family("gauge", "process_max_fds", "Most file descriptors that may be open.", mostDescriptors()),
    family("gauge", "nodejs_heap_size_used_bytes", "Heap in use.", memory.heapUsed),
    family("gauge", "nodejs_heap_size_total_bytes", "Heap taken from the system.", memory.heapTotal),
    family("gauge", "nodejs_external_memory_bytes", "Memory of buffers and other objects outside the heap.", memory.external),
    family("gauge", "nodejs_eventloop_utilization", "Share of the time since the last scrape in which the event loop was busy.", busy),
    family("gauge", "nodejs_eventloop_lag_p50_seconds", "Median lag of the event loop since the last scrape.", lag(p50)),
    family("gauge", "nodejs_eventloop_lag_p99_seconds", "99th percentile of the event loop's lag since the last scrape.", lag(p99)),
    family("gauge", "nodejs_eventloop_lag_max_seconds", "Longest lag of the event loop since the last scrape.", lag(max)),
    {
      name: "nodejs_gc_duration_seconds",
      type: "histogram",
      help: "Garbage collections by kind.",
      samples: collectionTotals().map(({ kind, totals }) => ({ labels: { kind }, histogram: totals }))
    }
  ]
}
