/**
 * Loaded into a daemon with `--import`: at SIGUSR2 it writes how many objects of the kinds that a reload makes are alive, after a
 * collection, what the process holds open, and its memory. One line of JSON on standard error.
 */
import { readdirSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { queryObjects } from "node:v8"
import * as Effect from "effect/Effect"

export interface Counts {
  readonly endpoints: number
  readonly actors: number
  readonly pools: number
  readonly connections: number
  readonly fibers: number
  /** Handles of the event loop by kind. */
  readonly timers: number
  readonly descriptors: number
  readonly heapMb: number
  readonly rssMb: number
}

const dist = process.env["OLLA_DIST"] ?? ""
const kind = async (path: string, name: string): Promise<abstract new () => object> =>
  (await import(pathToFileURL(`${dist}/${path}.js`).href))[name]
const fiber = Effect.runFork(Effect.void).constructor as abstract new () => object

process.on("SIGUSR2", async () => {
  const [endpoint, actor, pool, connection] = await Promise.all([
    kind("endpoint/Endpoint", "Endpoint"),
    kind("endpoint/EndpointActor", "EndpointActor"),
    kind("proxy/client/ConnectionPool", "ConnectionPool"),
    kind("proxy/client/Connection", "Connection")
  ])
  const count = (of: abstract new () => object): number => Number(queryObjects(of as never, { format: "count" }))
  const figures = {
    endpoints: count(endpoint),
    actors: count(actor),
    pools: count(pool),
    connections: count(connection),
    fibers: count(fiber),
    timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout").length,
    descriptors: readdirSync("/proc/self/fd").length,
    heapMb: Math.round(process.memoryUsage().heapUsed / 104_857.6) / 10,
    rssMb: Math.round(process.memoryUsage().rss / 1_048_576)
  }
  process.stderr.write(`counts ${JSON.stringify(figures)}\n`)
})
