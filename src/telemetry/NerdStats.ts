/** The records at shutdown for `engineering.show_nerdstats`, as data. */
import { formatDuration } from "../config/Duration.ts"
import { build } from "../version.ts"
import type { Fields } from "./LogRecord.ts"
import { zonedTime } from "./LogRecord.ts"
import type { LogSink } from "./LogSink.ts"
import type { ProcessFigures } from "./ProcessFigures.ts"

const units = ["KB", "MB", "GB", "TB", "PB"]

/** `0 B`, `1.50 MB`. */
export const humanBytes = (bytes: number): string => {
  if (bytes < 1024) return `${bytes} B`
  let [value, unit] = [bytes / 1024, 0]
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(2)} ${units[unit]}`
}

/** `2.345ms`, `42s`, `2h30m15s`: fractions only below a second. */
export const humanDuration = (millis: number): string =>
  millis < 1000 ? formatDuration(Math.round(millis * 1000) / 1000) : formatDuration(Math.floor(millis / 1000) * 1000)

export const nerdStats = (figures: ProcessFigures): ReadonlyArray<readonly [message: string, fields: Fields]> => [
  [
    "Process Memory Stats",
    {
      heap_alloc: humanBytes(figures.heapUsed),
      heap_sys: humanBytes(figures.heapTotal),
      heap_inuse: humanBytes(figures.heapUsed),
      heap_released: humanBytes(figures.heapReleased),
      stack_inuse: humanBytes(0),
      total_alloc: humanBytes(figures.resident),
      external: humanBytes(figures.external),
      rss: humanBytes(figures.resident),
      memory_pressure: figures.pressure
    }
  ],
  ["Process Allocation Stats", { total_mallocs: 0, total_frees: 0, net_objects: 0 }],
  ...(figures.collections === 0
    ? []
    : [
        [
          "Garbage Collection Stats",
          {
            num_gc_cycles: figures.collections,
            last_gc: zonedTime(figures.lastCollection),
            total_gc_time: humanDuration(figures.collectionTime),
            gc_cpu_fraction: Number(figures.collectionShare.toFixed(6))
          }
        ] as const
      ]),
  ["Goroutine Stats", { num_goroutines: figures.handles, goroutine_health: figures.handleHealth, num_cgo_calls: 0 }],
  [
    "Runtime Stats",
    {
      uptime: humanDuration(figures.uptime),
      go_version: figures.runtime,
      num_cpu: figures.processors,
      gomaxprocs: figures.processors,
      event_loop_delay_mean: humanDuration(figures.loopDelay.mean),
      event_loop_delay_p99: humanDuration(figures.loopDelay.p99)
    }
  ],
  ["Build Info", { version: build.version, commit: build.commit, date: build.date, user: build.user, tool: build.tool }],
  [
    "Process Health Summary",
    {
      memory_pressure: figures.pressure,
      goroutine_status: figures.handleHealth,
      uptime: humanDuration(figures.uptime),
      avg_gc_pause: humanDuration(figures.averageCollection)
    }
  ]
]

export const writeNerdStats = (sink: LogSink, figures: ProcessFigures): void => {
  for (const [message, fields] of nerdStats(figures)) sink.write("info", message, fields)
}
