/**
 * What a hundred reloads cost the clients of a busy daemon: 200 running streams and 50 requests a second, while endpoints come and go, are
 * renamed and re-prioritised, credentials rotate, aliases, limits, balancer and engine change, and every tenth file is broken.
 * Prints failures, latencies calm and under reloads, and what the daemon holds before and after.
 *
 *   node bench/reloads.ts [reloads] [streams] [milliseconds between two reloads]
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { startBackend } from "../src/simulator/Backend.ts"
import { freePort } from "../test/contract/freePort.ts"
import type { Counts } from "./countProbe.ts"

const reloads = Number(process.argv[2] ?? 100)
const streams = Number(process.argv[3] ?? 200)
const requestsPerSecond = 50
/** Milliseconds. */
const calm = 6_000
const pause = Number(process.argv[4] ?? 100)

const root = join(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "olla-reloads-"))
const file = join(folder, "olla.yaml")
const port = await freePort()
const slow = { kind: "openai-compatible", models: ["s"], tokens: 150, tokensPerSecond: 15, quiet: true } as const
const quick = { kind: "openai-compatible", models: ["m"], tokens: 4, quiet: true } as const
// Two of each stay; the others come and go.
const backends = await Promise.all([slow, quick, slow, quick, slow, quick, slow, quick].map(startBackend))

const balancers = ["priority", "round-robin", "least-connections"]
const yamlOf = (n: number): string => {
  const here = backends.filter((_, i) => i < 4 || (n >> (i - 4)) % 2 === 0)
  const entries = here.map((backend, i) => {
    const name = i === 1 ? `quick-${n % 7}` : `b${backends.indexOf(backend)}`
    const auth = i < 2 ? ", auth: {type: bearer, token_file: token}" : ""
    return `      - {url: "${backend.url}", name: ${name}, type: openai-compatible, priority: ${1 + ((n + i) % 5)}, check_interval: ${5 + (n % 3)}s, headers: {X-Turn: "${n % 9}"}${auth}}`
  })
  return `server: {host: 127.0.0.1, port: ${port}, rate_limits: {global_requests_per_minute: ${n % 2 === 0 ? 0 : 100_000 + n}, per_ip_requests_per_minute: 0, burst_size: 100000}, request_limits: {max_body_size: ${10 + (n % 3)}MB}}
proxy: {load_balancer: ${balancers[n % 3]}, engine: ${n % 20 < 10 ? "olla" : "sherpa"}}
model_aliases: {big: [m], alias-${n % 11}: [m]}
logging: {level: ${n % 2 === 0 ? "warn" : "error"}}
discovery:
  static:
    endpoints:
${entries.join("\n")}
`
}
const write = (n: number): void => {
  writeFileSync(join(folder, "token"), `secret-${n}`)
  writeFileSync(file, yamlOf(n))
}

write(0)
const daemon = spawn(
  process.execPath,
  [`--import=${pathToFileURL(join(root, "bench", "countProbe.ts")).href}`, join(root, "dist", "main.js"), "--config", file],
  { cwd: folder, env: { PATH: process.env["PATH"] ?? "", OLLA_DIST: join(root, "dist") }, stdio: ["ignore", "ignore", "pipe"] }
)
let told = ""
daemon.stderr.on("data", (chunk: Buffer) => {
  told += chunk.toString()
})

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
interface Outcome {
  readonly ok: boolean
  readonly why: string
  readonly ms: number
}
const ask = (model: string, stream: boolean): Promise<Outcome> =>
  new Promise((resolve) => {
    const began = performance.now()
    const end = (ok: boolean, why: string) => resolve({ ok, why, ms: performance.now() - began })
    const asking = request({ agent, port, method: "POST", path: "/olla/proxy/v1/chat/completions" }, (answer) => {
      let text = ""
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString()
      })
      answer.on("error", (error) => end(false, error.message))
      answer.on("close", () => {
        const whole = answer.complete && answer.statusCode === 200 && (!stream || text.includes("[DONE]"))
        end(whole, whole ? "" : `${answer.statusCode} ${answer.complete ? text.slice(0, 200) : "cut"}`)
      })
    })
    asking.on("error", (error) => end(false, error.message))
    asking.end(JSON.stringify({ model, stream, messages: [{ role: "user", content: "Hi" }] }))
  })
const reload = (): Promise<{ readonly status: number; readonly ms: number }> =>
  new Promise((resolve, reject) => {
    const began = performance.now()
    request({ port, method: "POST", path: "/internal/reload", headers: { "X-Olla-Action": "1" } }, (answer) => {
      answer.resume().on("end", () => resolve({ status: answer.statusCode ?? 0, ms: performance.now() - began }))
    })
      .on("error", reject)
      .end()
  })
const counts = async (): Promise<Counts> => {
  told = ""
  daemon.kill("SIGUSR2")
  while (!/counts .*\n/.test(told)) await sleep(50)
  return JSON.parse(/counts (.*)\n/.exec(told)?.[1] ?? "{}")
}
/** Of the whole process so far. */
const cpuOf = (pid: number): number => {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ").slice(13, 15).map(Number)
  return ((user ?? 0) + (system ?? 0)) / 100
}
const isReady = (): Promise<boolean> =>
  new Promise((resolve) => {
    request({ port, path: "/internal/ready" }, (answer) => answer.resume().on("end", () => resolve(answer.statusCode === 200)))
      .on("error", () => resolve(false))
      .end()
  })
while (!(await isReady())) await sleep(100)
await sleep(1000)

const failures: Array<string> = []
let asked = 0
let streamed = 0
const latencies: Array<number> = []

/** Clients for as long as `during` takes; when it returns, all of them have had their answers. */
const withClients = async <A>(during: () => Promise<A>): Promise<A> => {
  let runs = true
  const running = Array.from({ length: streams }, async () => {
    while (runs) {
      const { ok, why } = await ask("s", true)
      streamed++
      if (!ok) failures.push(`stream: ${why}`)
    }
  })
  const ticking = (async () => {
    const open: Array<Promise<void>> = []
    // By a clock, so that a slow daemon is asked no less.
    const began = performance.now()
    for (let n = 0; runs; n++) {
      await sleep(Math.max(0, began + (n * 1000) / requestsPerSecond - performance.now()))
      open.push(
        ask(n % 3 === 0 ? "big" : "m", n % 2 === 0).then(({ ok, why, ms }) => {
          asked++
          latencies.push(ms)
          if (!ok) failures.push(`request: ${why}`)
        })
      )
    }
    await Promise.all(open)
  })()
  await sleep(2000)
  const result = await during()
  runs = false
  await Promise.all([...running, ticking])
  return result
}
const percentile = (of: ReadonlyArray<number>, share: number): number =>
  Math.round(([...of].sort((a, b) => a - b)[Math.min(of.length - 1, Math.floor(of.length * share))] ?? 0) * 10) / 10
const figures = (of: ReadonlyArray<number>) => ({
  n: of.length,
  p50: percentile(of, 0.5),
  p95: percentile(of, 0.95),
  p99: percentile(of, 0.99)
})

const say = (text: string): void => void process.stderr.write(`${Math.round(performance.now() / 1000)} s: ${text}\n`)

/** A hundred reloads in a row, with what clients saw meanwhile. */
const turn = async (from: number) => {
  latencies.length = 0
  const took: Array<number> = []
  const wrong: Array<string> = []
  for (let n = from + 1; n <= from + reloads; n++) {
    if (n % 10 === 9) writeFileSync(file, `${yamlOf(n)}proxy: [`)
    else write(n)
    const { status, ms } = await reload()
    took.push(ms)
    if (status !== (n % 10 === 9 ? 422 : 200)) wrong.push(`reload ${n}: ${status}`)
    await sleep(pause)
  }
  return { requests: figures(latencies), reload: figures(took), wrong }
}
/** Latencies without reloads. */
const calmTurn = async () => {
  latencies.length = 0
  await sleep(calm)
  return figures(latencies)
}
/** Counted with nobody there: to count stops the daemon for seconds. */
const counted = async (): Promise<Counts & { readonly cpuSeconds: number }> => {
  const cpuSeconds = cpuOf(daemon.pid ?? 0)
  write(0)
  await reload()
  agent.destroy()
  await sleep(3000)
  const result = { ...(await counts()), cpuSeconds }
  say(`counts: ${JSON.stringify(result)}`)
  return result
}
const before = await counted()
const calmed = await withClients(calmTurn)
say(`calm: ${JSON.stringify(calmed)}`)
const afterCalm = await counted()
const first = await withClients(() => turn(0))
say(`first: ${JSON.stringify(first)}`)
const between = await counted()
const second = await withClients(() => turn(reloads))
say(`second: ${JSON.stringify(second)}`)
const after = await counted()
console.log(
  JSON.stringify(
    {
      asked,
      streamed,
      failures: failures.length,
      firstFailures: failures.slice(0, 5),
      calm: calmed,
      reloading: [first, second],
      held: { before, afterCalm, afterFirst: between, afterSecond: after }
    },
    null,
    2
  )
)
daemon.kill("SIGTERM")
await once(daemon, "exit")
await Promise.all(backends.map((backend) => backend.stop()))
process.exit(failures.length + first.wrong.length + second.wrong.length > 0 ? 1 : 0)
