/**
 * `npm run bench -- traffic`: what choosing, failing over and waiting in line are worth. First simulations in virtual time, each load under
 * every dispatcher with the same seeds; then trials with the built daemon, real processes and real time. Each figure stands beside what
 * it is to be; nothing is asserted.
 *
 *   npm run bench -- traffic [--only simulations,trials,poison,cancels] [--seeds 1,2,3] [--seconds 60] [--cancels 10000]
 *                            [--bad 503] [--balancers adaptive,least-connections,off]
 */
import { adaptiveWith } from "./Adaptive.ts"
import { leastConnections, type MakeDispatcher, oracle, roundRobin } from "./Dispatchers.ts"
import { type Figures, percentile } from "./Figures.ts"
import { caching, overload, type Run, swapping, unequal } from "./Simulations.ts"

const argument = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback)
}
const only = argument("only", "simulations,trials,poison,cancels").split(",")
const seeds = argument("seeds", "1,2,3").split(",").map(Number)
const seconds = Number(argument("seconds", "60"))
const count = Number(argument("cancels", "10000"))

/** By the name that is told. */
const dispatchers: Readonly<Record<string, MakeDispatcher>> = {
  "round-robin": roundRobin,
  "least-connections": leastConnections,
  adaptive: adaptiveWith("adaptive"),
  "adaptive, frozen metrics": adaptiveWith("adaptive, frozen metrics", { metrics: "frozen" }),
  "adaptive, no metrics": adaptiveWith("adaptive, no metrics", { metrics: "none" }),
  "adaptive with a line": adaptiveWith("adaptive with a line", { limit: 4 }),
  oracle
}

const inSeconds = (millis: number): string => (Number.isFinite(millis) ? `${(millis / 1000).toFixed(2)} s` : "never")
const inPercent = (part: number, digits = 1): string => `${(100 * part).toFixed(digits)} %`
const median = (values: ReadonlyArray<number>): number => percentile(values, 0.5)

/** One load under every dispatcher: the median over the seeds of each figure. */
const compare = (title: string, names: ReadonlyArray<string>, run: (name: string, seed: number) => Run) => {
  if (title !== "") console.log(`\n${title}`)
  const all = new Map<string, ReadonlyArray<Run>>()
  for (const name of names) {
    all.set(
      name,
      seeds.map((seed) => run(name, seed))
    )
  }
  return {
    /** Median over the seeds. */
    of: (name: string, pick: (figures: Figures) => number, light = false): number =>
      median((all.get(name) ?? []).map((each) => pick(light ? (each.light ?? each.figures) : each.figures))),
    lines: (tell: (name: string) => string) => {
      for (const name of names) console.log(`  ${name.padEnd(26)} ${tell(name)}`)
    },
    /** The worst of all seeds, of a figure beside another dispatcher's with the same seed. */
    worst: (name: string, beside: string, pick: (figures: Figures, other: Figures) => number): number => {
      const others = all.get(beside) ?? []
      return Math.max(...(all.get(name) ?? []).map(({ figures }, i) => pick(figures, others[i]?.figures ?? figures)))
    }
  }
}

/** A target of what is not there says nothing. */
const target = (what: string, figure: string, wanted: string, met: boolean): void => {
  if (/NaN|Infinity/.test(figure)) return
  console.log(`    ${met ? "met   " : "MISSED"} ${what}: ${figure} (wanted: ${wanted})`)
}

const simulate = (): void => {
  console.log(`Simulations in virtual time, seeds ${seeds.join(", ")}: medians; in "worst" the worst of them`)
  const dispatcher = (name: string) => {
    const found = dispatchers[name]
    if (found === undefined) throw new Error(`no dispatcher ${name}`)
    return found
  }
  for (const load of [0.1, 0.5, 0.8]) {
    const names = ["round-robin", "least-connections", "adaptive", "oracle"]
    const title = `(a) 8 engines with caches, conversations, ${inPercent(load, 0)} of their slots taken`
    const seen = compare(title, names, (name, seed) => caching(dispatcher(name), seed, load))
    seen.lines(
      (name) =>
        `hits ${inPercent(seen.of(name, ({ hitRate }) => hitRate))}  first token p50 ${inSeconds(seen.of(name, ({ p50 }) => p50))} p95 ${inSeconds(seen.of(name, ({ p95 }) => p95))}  max/mean of requests ${seen.of(name, ({ spread }) => spread).toFixed(2)}, of work ${seen.of(name, ({ workSpread }) => workSpread).toFixed(2)}  engines used ${seen.of(name, ({ used }) => used)}`
    )
    const hits = -seen.worst("adaptive", "oracle", (its, best) => -its.hitRate / best.hitRate)
    target("hits beside the oracle, worst", inPercent(hits), "at least 90 %", hits >= 0.9)
    if (load < 0.5) {
      const used = -seen.worst("adaptive", "oracle", ({ used }) => -used)
      target("engines used, worst", String(used), "several", used > 1)
    } else {
      const spread = seen.worst("adaptive", "oracle", ({ workSpread }) => workSpread)
      target("max/mean of work, worst", spread.toFixed(2), "under 1.3", spread < 1.3)
    }
  }

  for (const foreign of [0, 0.3]) {
    const names = ["round-robin", "least-connections", "adaptive", "adaptive, frozen metrics", "adaptive, no metrics", "oracle"]
    const title = "(b) 1x, 2x and 4x machines at 80 % of what they do together"
    const of = foreign === 0 ? title : `${title}, ${inPercent(foreign, 0)} of it asked for past Olla`
    const seen = compare(of, names, (name, seed) => unequal(dispatcher(name), seed, foreign))
    seen.lines((name) => `first token p50 ${inSeconds(seen.of(name, ({ p50 }) => p50))} p95 ${inSeconds(seen.of(name, ({ p95 }) => p95))}`)
    const toOracle = seen.worst("adaptive", "oracle", (its, best) => its.p95 / best.p95)
    const toLeast = seen.worst("adaptive", "least-connections", (its, other) => its.p95 / other.p95)
    const frozen = seen.worst("adaptive, frozen metrics", "least-connections", (its, other) => its.p95 / other.p95)
    if (foreign === 0) {
      target("p95 beside the oracle, worst", toOracle.toFixed(2), "at most 1.15", toOracle <= 1.15)
      target("p95 beside least-connections, worst", toLeast.toFixed(2), "at most 0.70", toLeast <= 0.7)
    } else
      console.log(`           p95 beside the oracle, worst: ${toOracle.toFixed(2)}; beside least-connections, worst: ${toLeast.toFixed(2)}`)
    target("with frozen metrics beside least-connections, worst", frozen.toFixed(2), "at most 1.00", frozen <= 1)
  }

  for (const [title, weights] of [
    ["(c) 4 hosts with room for one model each, 4 models", [1, 1, 1, 1]],
    ["(c) the same, 5 models of which two are rare", [8, 4, 2, 1, 1]]
  ] as const) {
    const names = ["round-robin", "least-connections", "adaptive", "oracle"]
    const seen = compare(title, names, (name, seed) => swapping(dispatcher(name), seed, weights))
    seen.lines(
      (name) =>
        `loads ${seen.of(name, ({ loads }) => loads)}, twice at a time ${seen.of(name, ({ duplicateLoads }) => duplicateLoads)}  first token p50 ${inSeconds(seen.of(name, ({ p50 }) => p50))} p95 ${inSeconds(seen.of(name, ({ p95 }) => p95))}`
    )
    const best = (oracles: number) => (weights.length === 4 ? 4 : oracles)
    const loads = seen.worst("adaptive", "oracle", (its, other) => its.loads / best(other.loads))
    const twice = seen.worst("adaptive", "oracle", (its) => its.duplicateLoads)
    target(
      `loads beside ${weights.length === 4 ? "one for each model" : "the oracle's"}, worst`,
      loads.toFixed(2),
      "at most 1.20",
      loads <= 1.2
    )
    target("a model loaded twice at a time, worst", String(twice), "0", twice === 0)
  }

  for (const hosts of [8, 2]) {
    const line = "adaptive with a line"
    const names = ["least-connections", line]
    const title = `(d) ${hosts} hosts of four places, one client asks for three times what there is; the other one, first alone, then beside it`
    const alone = compare(title, names, (name, seed) => overload(dispatcher(name), seed, hosts, false))
    alone.lines(
      (name) =>
        `first token p50 ${inSeconds(alone.of(name, ({ p50 }) => p50, true))} p95 ${inSeconds(alone.of(name, ({ p95 }) => p95, true))}`
    )
    const seen = compare("", names, (name, seed) => overload(dispatcher(name), seed, hosts, true))
    seen.lines(
      (name) =>
        `first token p50 ${inSeconds(seen.of(name, ({ p50 }) => p50, true))} p95 ${inSeconds(seen.of(name, ({ p95 }) => p95, true))}, of which p95 ${inSeconds(seen.of(name, ({ waitP95 }) => waitP95, true))} in line`
    )
    const ratio = seen.of(line, ({ p95 }) => p95, true) / alone.of(line, ({ p95 }) => p95, true)
    if (hosts > 2) target("its p95 beside the one alone", ratio.toFixed(2), "under 2", ratio < 2)
    else
      console.log(
        `           its p95 beside the one alone: ${ratio.toFixed(2)}; whoever is served is not interrupted, and a place becomes free every 0.27 s`
      )
    const order = seen.worst(line, line, ({ outOfOrder }) => outOfOrder)
    target("requests served before an earlier one of their client, worst", String(order), "0", order === 0)
  }
}

/** What Olla is configured with, by the name that `--balancers` knows. */
const ollas: Readonly<Record<string, string>> = {
  adaptive: "proxy: {load_balancer: adaptive}",
  "least-connections": "proxy: {load_balancer: least-connections}",
  sherpa: "proxy: {engine: sherpa, load_balancer: adaptive}",
  off: "traffic: {enabled: false}"
}

const balancers = argument("balancers", "adaptive,off").split(",")

const tryHosts = async (): Promise<void> => {
  const { badnesses, trial } = await import("./Trials.ts")
  const bad = argument("bad", "")
  console.log(`\nLive: 3 hosts, one turns bad, 50 clients, ${seconds} s`)
  for (const [name, badness] of Object.entries(badnesses)) {
    if (!name.includes(bad)) continue
    console.log(`  ${name}`)
    for (const balancer of balancers) {
      const figures = await trial(badness, ollas[balancer] ?? "", seconds, 20_000)
      const { requests, failed, shareAfter5s, p50, p95, longest, backAfter, words } = figures
      const success = 1 - failed / Math.max(1, requests)
      console.log(
        `    ${balancer.padEnd(18)} ${requests} requests, ${inPercent(success, 2)} good, ${inPercent(shareAfter5s, 2)} of attempts there after 5 s, p50 ${p50.toFixed(0)} ms p95 ${p95.toFixed(0)} ms longest ${inSeconds(longest)}, ${backAfter === undefined ? "not back" : `back after ${inSeconds(backAfter)}`}`
      )
      for (const each of words) console.log(`      ${each}`)
      if (balancer === "off") continue
      target("good answers", inPercent(success, 2), "at least 99.5 %", success >= 0.995)
      target("attempts on the bad one", inPercent(shareAfter5s, 2), "under 2 %", shareAfter5s < 0.02)
    }
  }
}

const tryPoison = async (): Promise<void> => {
  const { poison } = await import("./Poison.ts")
  console.log("\nLive: a prompt that ends every server that reads it, 5 hosts")
  for (const balancer of balancers) {
    const { crashed, hosts, status, text } = await poison(ollas[balancer] ?? "")
    console.log(`    ${balancer.padEnd(18)} ${crashed} of ${hosts} ended, the client got ${status} ${text.trim().slice(0, 200)}`)
    if (balancer !== "off") target("servers that one request ended", String(crashed), "at most 2", crashed <= 2)
  }
}

const tryCancels = async (): Promise<void> => {
  const { cancels } = await import("./Cancels.ts")
  const { Random } = await import("./Random.ts")
  console.log(`\nLive: ${count} clients that leave in one phase or another, seed ${seeds[0]}`)
  for (const balancer of balancers) {
    const { left, millis } = await cancels(new Random(seeds[0] ?? 1), count, ollas[balancer] ?? "")
    console.log(`    ${balancer.padEnd(18)} ${inSeconds(millis)}${left.length === 0 ? "" : `; ${left.slice(0, 6).join("; ")}`}`)
    target("counters that are not at zero", String(left.length), "0", left.length === 0)
  }
}

if (only.includes("simulations")) simulate()
if (only.includes("trials")) await tryHosts()
if (only.includes("poison")) await tryPoison()
if (only.includes("cancels")) await tryCancels()
