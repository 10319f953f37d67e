/**
 * The chaos run: four backends, two of them within TLS, that refuse, hang, reset, close, cut, slow down and come back at random,
 * under many clients; a third of their answers is delimited by the connection's end alone. Says every promise that was broken and exits with 1 then:
 *
 *   - no request is answered twice, no answer is put together from two, no break is hidden, no stream is cut without cause;
 *   - nothing waits beyond its time limit;
 *   - nothing fails while a backend was in rotation and well all the time, but for a request that has ended the connections of two
 *     backends, or was sent to as many as one may be;
 *   - leases return to zero, and the heap after a forced collection to within 10 % of what it was after a calm warm-up.
 *
 * The resident memory is compared with the raw baseline's under the same load: as many requests of the same clients to the same
 * backends. The baseline has no failover and no time limits, so its clients spend much of the time waiting for backends that hang; it gets
 * up to three times as long.
 *
 *   node bench/chaos.ts [--seconds 300] [--clients 200] [--warm 20] [--engine olla|sherpa|undici] [--raw no]
 */
import { fork } from "node:child_process"
import { join } from "node:path"
import { certificates, type FromParent, type Mode, type ToParent } from "./chaosBackends.ts"
import { runClients, type Seen } from "./chaosClients.ts"
import { residentMb, startOlla, startScriptTarget, type Target } from "./processes.ts"

const argument = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback)
}
const seconds = Number(argument("seconds", "300"))
const clients = Number(argument("clients", "200"))
const warm = Number(argument("warm", "20"))
const engine = argument("engine", "olla")
const withRaw = argument("raw", "yes") !== "no"

/** Milliseconds, as configured below; slack is the machine's. */
const limits = { connect: 1_000, headers: 2_000, response: 6_000, idle: 1_500, slack: 1_500 }

interface Sample {
  readonly at: number
  /** By backend: in rotation, and its breaker closed. */
  readonly usable: ReadonlyArray<boolean>
}

const backends = fork(join(import.meta.dirname, "chaosBackends.ts"))
const modes: Array<Array<{ readonly at: number; readonly mode: Mode }>> = [[], [], [], []]
let report: ((told: ToParent & { readonly _tag: "report" }) => void) | undefined
const urls = await new Promise<ReadonlyArray<string>>((resolve) =>
  backends.on("message", (message: ToParent) => {
    if (message._tag === "ready") resolve(message.urls)
    else if (message._tag === "mode") modes[message.backend]?.push(message)
    else report?.(message)
  })
)
const say = (message: FromParent) => backends.send(message)
const reported = () =>
  new Promise<ToParent & { readonly _tag: "report" }>((resolve) => {
    report = resolve
    say("report")
  })
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const well = new Set<Mode>(["fine", "slow", "cut"])
/** Was this backend well, without a break, from `from` to `to`? */
const wellThroughout = (backend: number, from: number, to: number): boolean => {
  let before: Mode = "fine"
  for (const { at, mode } of modes[backend] ?? []) {
    if (at > to) break
    if (at >= from && !well.has(mode)) return false
    if (at < from) before = mode
  }
  return well.has(before)
}

const heapOf = (target: Target): Promise<{ readonly heapUsed: number; readonly external: number; readonly rss: number }> =>
  new Promise((resolve) => {
    target.child.once("message", (message) => resolve(message as never))
    target.child.send("heap")
  })

/** `most`: requests after which it ends before its time. */
const load = async (target: Target, run: string, forSeconds: number, chaotic: boolean, most = Number.POSITIVE_INFINITY) => {
  if (chaotic) say("begin")
  const aim = { port: target.port, path: target.path, run, patience: limits.response + 2 * limits.slack }
  const all = await runClients(aim, clients, Date.now() + forSeconds * 1000, most)
  say("calm")
  return all
}

const watch = (olla: Target, samples: Array<Sample>) => {
  let on = true
  const loop = async () => {
    while (on) {
      const { endpoints } = (await (await fetch(`http://127.0.0.1:${olla.port}/internal/status/endpoints`)).json()) as {
        readonly endpoints: ReadonlyArray<{ readonly name: string; readonly status: string; readonly circuit_breaker?: string }>
      }
      const usable = [0, 1, 2, 3].map((i) => {
        const endpoint = endpoints.find(({ name }) => name === `b${i}`)
        return endpoint?.status === "healthy" && (endpoint.circuit_breaker ?? "closed") === "closed"
      })
      samples.push({ at: Date.now(), usable })
      await pause(50)
    }
  }
  const running = loop()
  return () => {
    on = false
    return running
  }
}

/** `traffic.failover.max_attempts` */
const mostAttempts = 3

/** May it still be tried at whoever is left? Two backends that took a request and dropped the connection are enough for it. */
const isCovered = ({ attempts, text }: Seen): boolean => attempts < mostAttempts && !text.includes("upstream_crashed")

const freeThroughout = ({ start, end }: Seen, samples: ReadonlyArray<Sample>): number => {
  const first = samples.findLastIndex(({ at }) => at < start - 100)
  const last = samples.findIndex(({ at }) => at > end + 100)
  if (first < 0 || last < 0) return -1
  for (let i = 0; i < 4; i++)
    if (samples.slice(first, last + 1).every(({ usable }) => usable[i]) && wellThroughout(i, start - 300, end + 300)) return i
  return -1
}

const judge = (
  seen: ReadonlyArray<Seen>,
  samples: ReadonlyArray<Sample>,
  told: ToParent & { readonly _tag: "report" }
): ReadonlyArray<string> => {
  const broken: Array<string> = []
  const answered = new Map<string, number>()
  for (const id of told.answered) answered.set(id, (answered.get(id) ?? 0) + 1)
  for (const [id, times] of answered) if (times > 1) broken.push(`${id} was answered ${times} times`)
  const harmed = new Set(told.harmed)
  for (const each of seen) {
    const { id, how, status, backend, head, gap, end, start, stream } = each
    if (how === "wrong") broken.push(`${id} got an answer that is none: ${each.text}`)
    if (how === "whole" && !answered.has(id)) broken.push(`${id} got a whole answer that nobody gave`)
    if (how === "whole" && harmed.has(`${id} ${backend}`)) broken.push(`${id} was broken off, and its client was not told`)
    if (how === "none") broken.push(`${id} got no answer at all`)
    if (head > limits.response + limits.slack) broken.push(`${id} waited ${head} ms for a head (${status}, ${how}) ${each.text.trim()}`)
    if (gap > limits.idle + limits.slack) broken.push(`${id} was silent for ${gap} ms`)
    if (how === "none" && end - start > limits.response + limits.slack) broken.push(`${id} hung for ${end - start} ms`)
    if (how === "cut" && ![0, 1, 2, 3].some((i) => harmed.has(`${id} b${i}`)) && gap < limits.idle - 50)
      broken.push(
        `${id} was cut, and no backend had broken it off: ${stream ? "stream" : "whole"} of ${backend}, ${end - start} ms, silent for ${gap}`
      )
    if (how === "refused") {
      if (status !== 502 && status !== 503 && status !== 504) broken.push(`${id} got ${status}: ${each.text}`)
      const free = isCovered(each) ? freeThroughout(each, samples) : -1
      if (free >= 0)
        broken.push(`${id} got ${status} after ${each.attempts} attempts (${each.text.trim().slice(0, 120)}) while b${free} was free`)
    }
  }
  return broken
}

const count = (seen: ReadonlyArray<Seen>): string => {
  const by = new Map<string, number>()
  for (const { how, status } of seen) {
    const key = how === "refused" ? String(status) : how
    by.set(key, (by.get(key) ?? 0) + 1)
  }
  return [...by].map(([key, value]) => `${value} ${key}`).join(", ")
}

const yaml = `proxy:
  engine: ${engine === "sherpa" ? "sherpa" : "olla"}
  connection_timeout: ${limits.connect}ms
  response_header_timeout: ${limits.headers}ms
  response_timeout: ${limits.response}ms
  read_timeout: ${limits.idle}ms
`
const olla = await startOlla(urls, {
  name: engine,
  yaml,
  env: engine === "undici" ? { OLLA_ENGINE_CLIENT: "undici" } : {},
  endpoint: "check_interval: 1s, check_timeout: 800ms",
  secureEndpoint: `tls: {ca_file: "${join(certificates, "ca.pem")}", server_name: backend.test}`,
  execArgs: ["--expose-gc", "--import", join(import.meta.dirname, "heapProbe.ts")]
})
const broken: Array<string> = []
await load(olla, "warm", warm, false)
await pause(1_000)
const before = await heapOf(olla)
await reported()

const samples: Array<Sample> = []
const stopWatching = watch(olla, samples)
await pause(200)
const seen = await load(olla, "chaos", seconds, true)
await pause(limits.idle + limits.slack)
await stopWatching()
const told = await reported()
broken.push(...judge(seen, samples, told))
const resident = residentMb(olla.pid)

const { system } = (await (await fetch(`http://127.0.0.1:${olla.port}/internal/status`)).json()) as {
  readonly system: { readonly active_connections: number }
}
if (system.active_connections !== 0) broken.push(`${system.active_connections} leases are still held`)
const after = await heapOf(olla)
const growth = after.heapUsed / before.heapUsed - 1
if (growth > 0.1) broken.push(`the heap grew by ${(growth * 100).toFixed(1)} %`)

const longest = (of: (each: Seen) => number): number => seen.reduce((most, each) => Math.max(most, of(each)), 0)
const mb = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1)
console.log(`${engine}: ${clients} clients for ${seconds} s, ${modes.flat().length} changes of mode`)
console.log(`  ${seen.length} requests: ${count(seen)}`)
console.log(
  `  longest wait for a connection ${longest(({ connect }) => connect)} ms, for a head ${longest(({ head }) => head)} ms, longest silence ${longest(({ gap }) => gap)} ms`
)
console.log(
  `  heap ${mb(before.heapUsed)} MB after ${warm} s of calm load, ${mb(after.heapUsed)} MB after the chaos (${(growth * 100).toFixed(1)} %)`
)
console.log(`  resident ${resident.toFixed(0)} MB under load, ${mb(after.rss)} MB after a collection`)
await olla.stop()

if (withRaw) {
  const raw = await startScriptTarget("raw", "raw.ts", ...urls)
  await load(raw, "warm", warm, false)
  // What it holds after the same time, having done less.
  let soFar = 0
  setTimeout(() => {
    soFar = residentMb(raw.pid)
  }, seconds * 1000).unref()
  const rough = await load(raw, "chaos", seconds * 3, true, seen.length)
  await pause(limits.idle + limits.slack)
  const rawResident = residentMb(raw.pid)
  console.log(`raw: ${rough.length} requests: ${count(rough)}`)
  const share = (mb: number): string => (resident / mb).toFixed(2)
  console.log(`  resident ${rawResident.toFixed(0)} MB; Olla's is ${share(rawResident)} of it`)
  if (soFar > 0) console.log(`  ${soFar.toFixed(0)} MB after the same ${seconds} s, with less done; Olla's is ${share(soFar)} of it`)
  await raw.stop()
}
for (const each of broken.slice(0, 40)) console.log(`BROKEN: ${each}`)
console.log(broken.length === 0 ? "every promise was kept" : `${broken.length} promises were broken`)
backends.kill()
process.exit(broken.length === 0 ? 0 : 1)
