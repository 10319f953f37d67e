/**
 * What the catalogue costs at 500 endpoints x 200 models: the time of a rebuild, for how long it holds the loop at a time,
 * memory of a snapshot, and the cost of a decision by fleet size. Three fleets: every endpoint with the same models, each
 * with its own, and Ollama lists with digests and tags; the first two are the extremes.
 *
 *   node bench/catalogue.ts [endpoints] [models]
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"
import { defaultRules } from "../src/catalogue/AttributeRules.ts"
import type { InventoryEntry } from "../src/catalogue/Inventory.ts"
import { Inventory } from "../src/catalogue/Inventory.ts"
import { listedFor } from "../src/catalogue/Listing.ts"
import type { UnifiedModel } from "../src/catalogue/ModelOffer.ts"
import { NameMap } from "../src/catalogue/NameMap.ts"
import { NameReading } from "../src/catalogue/NameReading.ts"
import type { Snapshot } from "../src/catalogue/Snapshot.ts"
import { type BuildInput, buildSnapshot } from "../src/catalogue/SnapshotBuilding.ts"
import { decodeConfig } from "../src/config/ConfigLoading.ts"
import { Endpoint } from "../src/endpoint/Endpoint.ts"
import { loadEndpoints } from "../src/endpoint/EndpointLoading.ts"
import { lanePolicyOf } from "../src/endpoint/lane/LaneCondition.ts"
import { inSlices } from "../src/endpoint/TimeSlices.ts"
import { listingBytes } from "../src/http/ListingAnswer.ts"
import type { ListedModel } from "../src/profile/ListedModel.ts"
import { loadProfiles } from "../src/profile/ProfileLoading.ts"
import { Eligibility } from "../src/routing/Eligibility.ts"
import { strict } from "../src/routing/Routing.ts"

const buildInSlices = (input: BuildInput) => inSlices(buildSnapshot(input))
setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void
const heapMb = async (): Promise<number> => {
  for (let n = 0; n < 4; n++) {
    collect()
    await new Promise(setImmediate)
  }
  return process.memoryUsage().heapUsed / 1_048_576
}

const allocatedMb = (): number => getHeapStatistics().total_allocated_bytes / 1_048_576

const count = Number(process.argv[2] ?? 500)
const each = Number(process.argv[3] ?? 200)
const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

const endpointsOf = (size: number, type: string): ReadonlyArray<Endpoint> => {
  const list = Array.from({ length: size }, (_, i) => `{url: "http://10.0.${i >> 8}.${i & 255}:1", name: e${i}, type: ${type}}`).join(", ")
  const { config } = decodeConfig(`discovery: {static: {endpoints: [${list}]}}`, "bench.yaml", {})
  if (config === undefined) throw new Error("the bench's configuration is wrong")
  const port = {
    now: () => 0,
    policy: () => ({ checkInterval: 1, probes: true, discovery: { enabled: false, interval: 1 } }),
    command: () => {},
    hurry: () => {},
    breakerTurned: () => {},
    gone: () => {},
    lanes: {
      policy: () => lanePolicyOf(config.traffic.ejection, false),
      random: () => 0.5,
      turned: () => {},
      loaded: () => {},
      rested: () => {}
    }
  }
  return loadEndpoints(config, profiles, {}, () => "").specs.map((spec) => {
    const endpoint = new Endpoint(spec, port)
    endpoint.modelsSyncedAt = 1
    endpoint.step({ _tag: "ProbeDue", now: 0 })
    const result = { status: "healthy", errorType: 0, statusCode: 200, cause: "", latency: 1, rateLimit: undefined } as const
    endpoint.step({ _tag: "ProbeFinished", startedAt: 0, now: 0, result, jitter: 0, listed: true, answered: false })
    return endpoint
  })
}

const families = ["qwen3", "llama3.2", "mistral-small", "deepseek-r1", "gemma3", "phi4-mini", "codestral", "nomic-embed-text"]
const sizes = ["1b", "4b", "8b", "14b", "32b", "70b"]
const nameOf = (n: number): string => `${families[n % families.length]}:${sizes[n % sizes.length]}-v${n}`

type Fleet = { readonly title: string; readonly type: string; readonly model: (endpoint: number, n: number) => ListedModel }

const fleets: ReadonlyArray<Fleet> = [
  {
    title: "the same models everywhere",
    type: "vllm",
    model: (_, n) => ({ name: nameOf(n), type: "vllm", lastSeen: 1, created: 1, details: { max_context_length: 32_768 } })
  },
  {
    title: "each endpoint its own models",
    type: "vllm",
    model: (e, n) => ({ name: nameOf(e * each + n), type: "vllm", lastSeen: 1, created: 1, details: { max_context_length: 32_768 } })
  },
  {
    title: "Ollama, 2000 blobs under two tags",
    type: "ollama",
    model: (e, n) => {
      const blob = (e * 7 + n) % 2000
      const tagged = (e + n) % 2 === 0 ? `${nameOf(blob)}` : `${nameOf(blob)}-copy:latest`
      return {
        name: tagged,
        lastSeen: 1,
        size: 5e9,
        details: {
          digest: `sha256:${blob.toString(16).padStart(64, "0")}`,
          family: "qwen3",
          parameter_size: "8.2B",
          quantization_level: "Q4_K_M",
          format: "gguf",
          modified_at: 1_700_000_000_000
        }
      }
    }
  }
]

const inputOf = (
  listings: ReadonlyArray<InventoryEntry>,
  firstSeen = new NameMap<number>(),
  reading = new NameReading(defaultRules)
): BuildInput => ({
  listings,
  reading,
  firstSeen,
  freshFor: 60_000,
  aliases: { big: [nameOf(1), nameOf(2)] },
  unify: true,
  version: 1
})

interface Watched<A> {
  readonly value: A
  readonly took: number
  /** Times between two turns of the loop, ms. */
  readonly turns: ReadonlyArray<number>
  /**
   * What the loop's own thread worked in each, collections included, ms: on a busy machine the only honest measure. Kernels
   * account in ticks of some 4 ms, so that a single value is coarse, and one above 5 means two ticks.
   */
  readonly own: ReadonlyArray<number>
}

const ownTime = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

const watched = async <A>(work: () => Promise<A>): Promise<Watched<A>> => {
  const turns: Array<number> = []
  const own: Array<number> = []
  let running = true
  let last = performance.now()
  let lastOwn = ownTime()
  const tick = () => {
    const now = performance.now()
    const nowOwn = ownTime()
    turns.push(now - last)
    own.push(nowOwn - lastOwn)
    last = now
    lastOwn = nowOwn
    if (running) setImmediate(tick)
  }
  setImmediate(tick)
  await new Promise(setImmediate)
  turns.length = 0
  own.length = 0
  const began = performance.now()
  const value = await work()
  const took = performance.now() - began
  await new Promise(setImmediate)
  running = false
  return { value, took, turns, own }
}

/**
 * The longest step of a rebuild, ms: the same steps are run several times, and of each the shortest time counts, so that
 * neither other processes nor collections of garbage, which fall on other steps each time, are taken for the step's own work.
 */
const longestStep = (input: () => BuildInput, runs: number): { readonly longest: number; readonly sum: number; readonly steps: number } => {
  const best: Array<number> = []
  for (let run = 0; run < runs; run++) {
    const steps = buildSnapshot(input())
    for (let i = 0; ; i++) {
      const began = performance.now()
      const done = steps.next().done
      const took = performance.now() - began
      best[i] = Math.min(best[i] ?? Number.POSITIVE_INFINITY, took)
      if (done === true) break
    }
  }
  return { longest: Math.max(...best), sum: best.reduce((total, took) => total + took, 0), steps: best.length }
}

const all = (models: ReadonlyArray<UnifiedModel>) => listedFor(models, undefined, { servableOnly: true })

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const shown = (values: ReadonlyArray<number>): string =>
  `${median(values).toFixed(1)} [${Math.min(...values).toFixed(1)}-${Math.max(...values).toFixed(1)}]`

const decisionNanos = (snapshot: Snapshot, fleet: ReadonlyArray<Endpoint>, model: string): number => {
  const inspection = { model, spelling: model, field: "model", stream: undefined, capabilities: [] } as const
  const constraints = { scope: undefined, profiles: profiles.forPath("/v1/chat/completions") }
  const rounds = 100_000
  let best = Number.POSITIVE_INFINITY
  let sum = 0
  for (let run = 0; run < 5; run++) {
    const began = performance.now()
    for (let n = 0; n < rounds; n++) sum += strict(new Eligibility(snapshot, fleet, constraints, inspection)).candidates.length
    best = Math.min(best, ((performance.now() - began) * 1e6) / rounds)
  }
  if (sum === 0) throw new Error(`${model} has no candidates`)
  return best
}

const listingsOf = (endpoints: ReadonlyArray<Endpoint>, fleet: Fleet, models: number): ReadonlyArray<InventoryEntry> =>
  endpoints.map(
    (endpoint, e) =>
      new Inventory(
        endpoint,
        fleet.type,
        Array.from({ length: models }, (_, n) => fleet.model(e, n))
      )
  )

console.log(`node ${process.version}, ${count} endpoints x ${each} models`)
const measure = async (fleet: Fleet): Promise<void> => {
  const endpoints = endpointsOf(count, fleet.type)
  const listings = listingsOf(endpoints, fleet, each)
  const firstSeen = new NameMap<number>()
  const reading = new NameReading(defaultRules)
  const without = await heapMb()
  let snapshot: Snapshot = await Effect.runPromise(buildInSlices(inputOf(listings, firstSeen, reading)))
  const memory = (await heapMb()) - without
  const runs: Array<Watched<Snapshot>> = []
  const allocated: Array<number> = []
  for (let run = 0; run < 9; run++) {
    const before = allocatedMb()
    const one = await watched(() =>
      Effect.runPromise(buildInSlices({ ...inputOf(listings, firstSeen, reading), before: snapshot.unified }))
    )
    snapshot = one.value
    if (run < 2) continue
    runs.push(one)
    allocated.push(allocatedMb() - before)
  }
  const steps = longestStep(() => ({ ...inputOf(listings, firstSeen, reading), before: snapshot.unified }), 12)
  const turns = runs.flatMap((run) => run.turns)
  console.log(`\n${fleet.title}: ${snapshot.unified.length} unified models`)
  console.log(
    `  rebuild, ms                        ${shown(runs.map((run) => run.took))} by the clock, ${steps.sum.toFixed(1)} of own work in ${steps.steps} steps`
  )
  console.log(`  longest step (own work), ms        ${steps.longest.toFixed(2)}`)
  console.log(
    `  longest turn of the loop, ms       ${shown(runs.map((run) => Math.max(...run.turns)))} by the clock; over 5 ms ${turns.filter((turn) => turn > 5).length} of ${turns.length}`
  )
  const own = runs.flatMap((run) => run.own)
  console.log(
    `  own time of a turn, ms             at most ${Math.max(...own).toFixed(1)}; over 5 ms ${own.filter((turn) => turn > 5).length} of ${own.length}; a whole rebuild ${shown(runs.map((run) => run.own.reduce((sum, turn) => sum + turn, 0)))}`
  )
  console.log(`  allocated in a rebuild, MB         ${shown(allocated)}`)
  console.log(`  memory of a catalogue, MB          ${memory.toFixed(1)} (what is remembered of names included, the lists themselves not)`)
  const written: Array<Watched<Buffer>> = []
  for (let run = 0; run < 5; run++)
    written.push(
      await watched(() => Effect.runPromise(inSlices(listingBytes("unified", snapshot.unified, { select: all, kinds: new Set() }))))
    )
  const turnsOfList = written.slice(1).flatMap((run) => run.own)
  console.log(
    `  writing the whole unified list     ${shown(written.slice(1).map((run) => run.took))} ms by the clock, ${((written[0]?.value.length ?? 0) / 1_048_576).toFixed(1)} MB; own time of a turn at most ${Math.max(...turnsOfList).toFixed(1)} ms, over 5 ms ${turnsOfList.filter((turn) => turn > 5).length} of ${turnsOfList.length}`
  )
}
for (const fleet of fleets) {
  await measure(fleet)
  await new Promise(setImmediate)
}

console.log("\none decision (strict, path looked up before), ns, by fleet size, model on two endpoints:")
const own: Fleet = { title: "", type: "vllm", model: (e, n) => ({ name: e < 2 && n === 0 ? "wanted" : nameOf(e * each + n), lastSeen: 1 }) }
for (const size of [2, 10, 100, count]) {
  const endpoints = endpointsOf(size, "vllm")
  const snapshot = await Effect.runPromise(buildInSlices(inputOf(listingsOf(endpoints, own, each))))
  console.log(
    `  ${String(size).padStart(4)} endpoints, ${String(snapshot.unified.length).padStart(6)} models: ${decisionNanos(snapshot, endpoints, "wanted").toFixed(0)}`
  )
}
const everywhere = endpointsOf(count, "vllm")
const everywhereSnapshot = await Effect.runPromise(buildInSlices(inputOf(listingsOf(everywhere, fleets[0] as Fleet, each))))
console.log(
  `  ${count} endpoints that all have it: ${decisionNanos(everywhereSnapshot, everywhere, nameOf(1)).toFixed(0)} (each candidate's status is looked at)`
)
