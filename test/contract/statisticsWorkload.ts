import { type Fault, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type ReadFamily, readPrometheus } from "../telemetry/promText.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"

export type Json = Record<string, unknown>
// biome-ignore lint/suspicious/noExplicitAny: documents are read by path, and a wrong path fails the comparison
export type Document = any

export const classes = (counts: Partial<Record<string, number>>) => ({
  "2xx": 0,
  "3xx": 0,
  "4xx": 0,
  "5xx": 0,
  transport: 0,
  cancelled: 0,
  ...counts
})

export let first: SimulatedBackend
export let second: SimulatedBackend
export let slow: SimulatedBackend
export let gone: SimulatedBackend
export let daemon: Daemon
/** Body bytes that clients got, by endpoint and model. */
export const got = new Map<string, number>()

export const documents = {} as Record<"status" | "endpoints" | "models" | "translators" | "sticky", Document>
export let metrics: ReadonlyMap<string, ReadFamily>

export const get = async (path: string): Promise<Document> => (await fetch(`${daemon.url}${path}`)).json()

export const post = (path: string, body: Json | string, init: RequestInit = {}) =>
  fetch(`${daemon.url}${path}`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...init,
    headers: { "content-type": "application/json", ...init.headers }
  })

export const messages = [{ role: "user", content: "Hello" }]

/** Sends it `times` times, reads each answer as far as it goes, and remembers the bytes where they count. */
export const send = async (times: number, path: string, body: Json, headers: Record<string, string> = {}): Promise<void> => {
  for (let n = 0; n < times; n++) {
    const response = await post(path, body, { headers })
    const at = `${response.headers.get("x-olla-endpoint")} ${String(body["model"])}`
    let size = 0
    try {
      for await (const chunk of response.body ?? []) size += (chunk as Uint8Array).length
      // A refusal of Olla's own names the endpoint too, and is no traffic of its.
      if (response.status !== 502) got.set(at, (got.get(at) ?? 0) + size)
    } catch {
      // It broke off: nothing of it counts.
    }
  }
}

export const chat = (model: string, more: Json = {}) => ["/olla/openai/v1/chat/completions", { model, messages, ...more }] as const
export const anthropic = (model: string, more: Json = {}) =>
  ["/olla/anthropic/v1/messages", { model, messages, max_tokens: 100, ...more }] as const

export const faulty = async (backend: SimulatedBackend, fault: Fault, times: number, body: () => Promise<void>) => {
  backend.setFault(fault, "inference", times)
  await body()
  backend.setFault(undefined)
}

export const routable = (count: number) =>
  eventually(
    () => get("/internal/status/endpoints"),
    (status) => status.routable_count === count
  )

/** Leaves as soon as something has come, or, with `early`, before anything can. */
export const leave = async (model: string, early: boolean): Promise<void> => {
  const abort = new AbortController()
  const asked = post(...chat(model, { stream: !early }), { signal: abort.signal })
  asked.catch(() => {})
  if (early)
    await eventually(
      () => slow.active(),
      (count) => count > 0
    )
  else await (await asked).body?.getReader().read()
  abort.abort()
  await eventually(
    () => slow.active(),
    (count) => count === 0
  )
}

/** What the workload is, by endpoint, model and outcome; the numbers below are written from it by hand. */
export const work = async (): Promise<void> => {
  await send(3, ...chat("whole"))
  await send(2, ...chat("streamed", { stream: true, stream_options: { include_usage: true } }))
  await faulty(first, { _tag: "status", status: 400 }, 2, () => send(2, ...chat("refused")))
  await faulty(first, { _tag: "status", status: 503 }, 2, () => send(2, ...chat("broken")))
  await faulty(first, { _tag: "cut", after: 2 }, 1, () => send(1, ...chat("cut", { stream: true })))
  // The first endpoint drops the connection and is out of rotation until its next check; the second answers.
  for (let n = 0; n < 2; n++) {
    await faulty(first, { _tag: "reset" }, 1, () => send(1, ...chat("both")))
    await routable(3)
  }
  // Nobody else has it: 502.
  await faulty(first, { _tag: "reset" }, 1, () => send(1, ...chat("alone")))
  await routable(3)
  await send(2, ...anthropic("native"))
  await send(1, ...anthropic("native", { stream: true }))
  await send(2, ...anthropic("foreign"))
  await send(1, ...anthropic("foreign", { stream: true }))
  // Errors of the translator's own.
  await post("/olla/anthropic/v1/messages", "{")
  await send(1, ...anthropic("nobody-has-this"))
  await leave("left", false)
  slow.setFault({ _tag: "slowHeaders", delay: 60_000 })
  await leave("early", true)
  slow.setFault(undefined)
  await send(3, ...chat("whole"), { "x-olla-session-id": "one" })
  // Refusals: unknown model, known model without an endpoint, unknown paths, sizes.
  await send(2, ...chat("nobody-has-this"))
  await send(1, ...chat("gone"))
  for (const path of ["/nowhere", "/olla/nobody/v1/x", "/internal/nothing"]) await (await fetch(`${daemon.url}${path}`)).text()
  await (await post(...chat("whole", { padding: "x".repeat(20_000) }))).text()
  await (await post("/internal/health", "x".repeat(20_000))).text()
  await (await fetch(`${daemon.url}/internal/health`, { headers: { "x-long": "x".repeat(5_000) } })).text()
}

export const startWorkload = async (): Promise<void> => {
  const models = ["whole", "streamed", "refused", "broken", "cut", "both", "alone", "native"]
  first = await startBackend({ kind: "vllm", models })
  second = await startBackend({ kind: "openai-compatible", models: ["both", "foreign"] })
  slow = await startBackend({ kind: "vllm", models: ["left", "early"], tokensPerSecond: 5 })
  gone = await startBackend({ kind: "vllm", models: ["gone"] })
  daemon = await startDaemon(
    `proxy:
  load_balancer: priority
  sticky_sessions: {enabled: true, key_sources: [session_header]}
translators:
  anthropic: {enabled: true, passthrough_enabled: true}
${endpointsYaml([
  { name: "first", backend: first, extra: "priority: 100" },
  { name: "second", backend: second, extra: "priority: 50" },
  { name: "slow", backend: slow, extra: "priority: 50" },
  { name: "gone", backend: gone, extra: "priority: 50" }
])}`,
    { server: "  request_limits: {max_body_size: 10000, max_header_size: 4096}\n" }
  )
  await gone.kill()
  await routable(3)
  await work()
  await eventually(
    () => get("/internal/status"),
    ({ system }) => system.total_requests === 24 && system.active_connections === 0
  )
  const [status, endpoints, stats, translators, sticky, text] = await Promise.all([
    get("/internal/status"),
    get("/internal/status/endpoints"),
    get("/internal/stats/models?include_endpoints=true&include_summary=true"),
    get("/internal/stats/translators"),
    get("/internal/stats/sticky"),
    fetch(`${daemon.url}/internal/metrics`).then((response) => response.text())
  ])
  Object.assign(documents, { status, endpoints, models: stats, translators, sticky })
  metrics = readPrometheus(text)
}

export const stopWorkload = async (): Promise<void> => {
  await daemon?.stop()
  await Promise.all([first, second, slow, gone].map((backend) => backend?.stop()))
}

export const value = (family: string, labels: Record<string, string> = {}): number | undefined => {
  const samples =
    metrics.get(family)?.samples.filter((sample) => Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted)) ?? []
  return samples.length === 0 ? undefined : samples.reduce((sum, sample) => sum + sample.value, 0)
}

export const bytesOf = (wanted: (endpoint: string, model: string) => boolean): number =>
  [...got].reduce((sum, [at, size]) => {
    const [endpoint = "", model = ""] = at.split(" ")
    return wanted(endpoint, model) ? sum + size : sum
  }, 0)

export const named = (list: ReadonlyArray<Document>, name: string): Document => list.find((entry) => entry.name === name)
