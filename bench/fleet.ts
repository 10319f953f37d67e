/**
 * What watching a large fleet costs: 1,000 endpoints on their own ports, probed every five seconds. Prints the time from
 * start to all healthy, CPU per probe, memory, what one hanging and a hundred flapping endpoints change for the rest,
 * and for how long reading a very long listing holds up the event loop.
 *
 *   node bench/fleet.ts [endpoints] [seconds]
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { createInterface } from "node:readline"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { decodeConfig } from "../src/config/ConfigLoading.ts"
import { Settings } from "../src/config/Settings.ts"
import { BackendClient } from "../src/endpoint/BackendClient.ts"
import { loadEndpoints } from "../src/endpoint/EndpointLoading.ts"
import { Fleet } from "../src/endpoint/Fleet.ts"
import { layerWith } from "../src/endpoint/FleetLive.ts"
import { loadProfiles, layer as profilesLayer } from "../src/profile/ProfileLoading.ts"

export interface FleetFigures {
  readonly endpoints: number
  readonly allHealthyMs: number
  readonly rssMbBefore: number
  readonly rssMbAfter: number
  /** Live heap after a collection, kilobytes for one endpoint with its backend client, listing and fiber. */
  readonly heapKbPerEndpoint: number
  readonly steady: ProbingFigures
  /** With one hanging and a hundred flapping endpoints; `rest` is all others. */
  readonly troubled: ProbingFigures & { readonly restUnhealthy: number; readonly restChanges: number }
  readonly listings: ReadonlyArray<{
    readonly models: number
    readonly registered: number
    readonly readMs: number
    readonly longestBlockMs: number
  }>
}

export interface ProbingFigures {
  readonly probesPerSecond: number
  readonly cpuMicrosPerProbe: number
  readonly cpuPercent: number
  /** Between two probes of one endpoint without trouble; 5,000 plus jitter is right. */
  readonly longestGapMs: number
  readonly longestBlockMs: number
}

const interval = 5000
setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void
const heapKb = (): number => {
  collect()
  return process.memoryUsage().heapUsed / 1024
}
const rssMb = (): number => Math.round(process.memoryUsage().rss / 1_048_576)
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export const run = async (endpoints = 1000, seconds = 15): Promise<FleetFigures> => {
  const backends = spawn(process.execPath, [join(import.meta.dirname, "fleetBackends.ts"), String(endpoints)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  try {
    const [line] = (await once(createInterface({ input: backends.stdout }), "line")) as [string]
    return await measure(JSON.parse(line) as ReadonlyArray<number>, seconds, (word) => backends.stdin.write(`${word}\n`))
  } finally {
    backends.stdin.end()
    backends.kill()
  }
}

const fleetOf = (entries: ReadonlyArray<string>, client: Layer.Layer<BackendClient>): Layer.Layer<Fleet> => {
  const { config } = decodeConfig(`discovery: { static: { endpoints: [${entries.join(", ")}] } }`, "bench.yaml", {})
  if (config === undefined) throw new Error("the bench's configuration is wrong")
  const settings = Settings.layerOf(config)
  return Layer.orDie(
    layerWith(
      loadEndpoints(
        config,
        loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } }),
        {},
        () => ""
      ).specs
    )
  ).pipe(
    Layer.provide(Layer.mergeAll(settings, Layer.provide(profilesLayer(join(import.meta.dirname, ".."), {}), settings), client)),
    Layer.provide(Logger.layer([]))
  )
}

const measure = async (ports: ReadonlyArray<number>, seconds: number, tell: (word: "trouble" | "calm") => void): Promise<FleetFigures> => {
  const starts = new Map<string, Array<number>>()
  let probes = 0
  const counting = Layer.effect(
    BackendClient,
    Effect.map(BackendClient, (client) => ({
      get: (request: Parameters<typeof client.get>[0]) => {
        if (request.body === "discard") {
          probes++
          const { host } = new URL(request.url)
          starts.get(host)?.push(performance.now()) ?? starts.set(host, [performance.now()])
        }
        return client.get(request)
      }
    }))
  ).pipe(Layer.provide(BackendClient.layer))

  const rest = ports.slice(101).map((port) => `127.0.0.1:${port}`)
  const probing = async (): Promise<ProbingFigures> => {
    starts.clear()
    probes = 0
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    const cpu = process.cpuUsage()
    const began = performance.now()
    await sleep(seconds * 1000)
    const used = process.cpuUsage(cpu)
    const took = performance.now() - began
    delay.disable()
    const micros = used.user + used.system
    const gaps = rest.flatMap((host) => (starts.get(host) ?? []).map((at, n, all) => (n === 0 ? 0 : at - (all[n - 1] ?? at))))
    return {
      probesPerSecond: Math.round((probes * 1000) / took),
      cpuMicrosPerProbe: Math.round(micros / Math.max(probes, 1)),
      cpuPercent: Math.round(micros / took / 1) / 10,
      longestGapMs: Math.round(Math.max(0, ...gaps)),
      longestBlockMs: Math.round(delay.max / 1e6)
    }
  }

  const heapBefore = heapKb()
  const rssMbBefore = rssMb()
  const entries = ports.map((port, n) => `{ url: "http://127.0.0.1:${port}", name: e${n}, type: vllm, check_interval: ${interval}ms }`)
  const watched = Effect.gen(function* () {
    const began = performance.now()
    const fleet = yield* Fleet
    yield* fleet.ready
    const allHealthyMs = Math.round(performance.now() - began)
    const unready = fleet.endpoints.filter(({ state, models }) => state.status !== "healthy" || models.length !== 3).length
    if (unready > 0) throw new Error(`${unready} endpoints were not healthy with their models after start-up`)
    const steady = yield* Effect.promise(probing)
    const rssMbAfter = rssMb()
    const heapKbPerEndpoint = Math.round((heapKb() - heapBefore) / ports.length)
    const restUrls = new Set(rest.map((host) => `http://${host}`))
    let restChanges = 0
    fleet.onEvent((event) => {
      if (event._tag === "StatusChanged" && restUrls.has(event.endpoint.url)) restChanges++
    })
    tell("trouble")
    const troubled = yield* Effect.promise(probing)
    const restUnhealthy = fleet.endpoints.filter(({ url, state }) => restUrls.has(url) && state.status !== "healthy").length
    tell("calm")
    return { allHealthyMs, rssMbBefore, rssMbAfter, heapKbPerEndpoint, steady, troubled: { ...troubled, restUnhealthy, restChanges } }
  })
  const figures = await Effect.runPromise(watched.pipe(Effect.provide(fleetOf(entries, counting))))

  const listings: Array<FleetFigures["listings"][number]> = []
  for (const models of [1_000, 10_000, 100_000]) {
    const entry = `{ url: "http://127.0.0.1:${ports[0]}", name: long, type: vllm, model_url: /many/${models} }`
    const reading = Effect.gen(function* () {
      const fleet = yield* Fleet
      yield* fleet.ready
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      const began = performance.now()
      yield* fleet.refreshModels(fleet.endpoints)
      const readMs = Math.round(performance.now() - began)
      yield* Effect.promise(() => sleep(50))
      delay.disable()
      return { models, registered: fleet.endpoints[0]?.models.length ?? 0, readMs, longestBlockMs: Math.round(delay.max / 1e6) }
    })
    listings.push(await Effect.runPromise(reading.pipe(Effect.provide(fleetOf([entry], BackendClient.layer)))))
  }
  return { endpoints: ports.length, ...figures, listings }
}

const print = (figures: FleetFigures): void => {
  const probing = (name: string, each: ProbingFigures): string =>
    `${name}: ${each.probesPerSecond} probes/s, ${each.cpuMicrosPerProbe} us CPU per probe, ${each.cpuPercent} % of a core, longest gap ${each.longestGapMs} ms, longest block ${each.longestBlockMs} ms`
  const lines = [
    `endpoints: ${figures.endpoints}`,
    `start to all healthy with models: ${figures.allHealthyMs} ms`,
    `memory: ${figures.rssMbBefore} MB before, ${figures.rssMbAfter} MB after; ${figures.heapKbPerEndpoint} KB live heap per endpoint`,
    probing("steady", figures.steady),
    probing("one hanging, a hundred flapping", figures.troubled),
    `  of the rest: ${figures.troubled.restUnhealthy} not healthy, ${figures.troubled.restChanges} changes of status`,
    ...figures.listings.map(
      (each) =>
        `listing of ${each.models} models: ${each.registered} registered, read in ${each.readMs} ms, longest block ${each.longestBlockMs} ms`
    )
  ]
  process.stdout.write(`${lines.join("\n")}\n`)
}

if (import.meta.main) print(await run(Number(process.argv[2] ?? 1000), Number(process.argv[3] ?? 15)))
