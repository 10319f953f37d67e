/** A known workload: n requests of each kind, some of them failing; and how times and sizes are written in the documents. */
import { expect } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask, chat } from "./ask.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"

export let gpu: SimulatedBackend
export let laptop: SimulatedBackend
export let plain: SimulatedBackend
export let daemon: Daemon
export let limited = 0

export const get = async (path: string) => (await ask(daemon.port, { path })).json()
export const post = (path: string, body: string, headers: Readonly<Record<string, string>> = {}) =>
  ask(daemon.port, { method: "POST", path, headers: { "content-type": "application/json", ...headers }, body })

export const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
export const ago = expect.stringMatching(/^(?:\d+s|1m) ago$/)
export const latency = expect.stringMatching(/^(?:\d+ms|\d+\.\ds)$/)
export const millis = expect.any(Number)
export const bytes = expect.stringMatching(/^(?:\d+ B|\d+\.\d\d [KMG]B)$/)
export const percentiles = { p50: millis, p95: millis, p99: millis }
export const classes = (some: Readonly<Record<string, number>> = {}) => ({
  "2xx": 0,
  "3xx": 0,
  "4xx": 0,
  "5xx": 0,
  transport: 0,
  cancelled: 0,
  ...some
})

export const startWorkload = async (): Promise<void> => {
  gpu = await startBackend({ kind: "vllm", models: ["chat-big", "pair"], text: "From the GPU. " })
  laptop = await startBackend({ kind: "ollama", models: ["pair", "qwen3:8b"], text: "From the laptop. " })
  plain = await startBackend({ kind: "openai-compatible", models: ["plain"], text: "Plain. " })
  daemon = await startDaemon(
    `proxy: {load_balancer: priority}\n${endpointsYaml(
      [
        { name: "gpu", backend: gpu, extra: "priority: 200" },
        { name: "laptop", backend: laptop, extra: "priority: 150" },
        { name: "plain", backend: plain }
      ],
      "check_interval: 2s, check_timeout: 1900ms"
    )}`,
    { server: "  request_limits: {max_body_size: 10000, max_header_size: 4096}\n" }
  )
  const completions = "/olla/openai/v1/chat/completions"
  const expectStatus = async (status: number, path: string, body: string, headers: Readonly<Record<string, string>> = {}) =>
    expect((await post(path, body, headers)).status).toBe(status)
  // One that the first endpoint drops and the second answers.
  gpu.setFault({ _tag: "reset" })
  await expectStatus(200, "/olla/proxy/v1/chat/completions", chat("pair"))
  gpu.setFault(undefined)
  await eventually(
    () => get("/internal/status/endpoints"),
    (document) => document.healthy_count === 3
  )
  // Five good ones, two that fail at the backend, one that the backend refuses.
  for (let i = 0; i < 3; i++) await expectStatus(200, completions, chat("chat-big"))
  for (let i = 0; i < 2; i++) await expectStatus(200, completions, chat("chat-big", true))
  gpu.setFault({ _tag: "status", status: 500 })
  for (let i = 0; i < 2; i++) await expectStatus(500, completions, chat("chat-big"))
  gpu.setFault({ _tag: "status", status: 422 })
  await expectStatus(422, completions, chat("chat-big"))
  gpu.setFault(undefined)
  // What Olla refuses itself.
  for (let i = 0; i < 3; i++) await expectStatus(404, completions, chat("nobody-has-it"))
  for (let i = 0; i < 2; i++) await expectStatus(404, "/no/route", "{}")
  await expectStatus(413, completions, chat("x".repeat(20_000)))
  await expectStatus(413, "/internal/status", "x".repeat(20_000))
  await expectStatus(431, completions, chat("chat-big"), { "x-long": "x".repeat(5_000) })
  // Anthropic's: two natively, one of them streamed; one in translation; one that is no request.
  const message = (model: string, stream = false) =>
    JSON.stringify({ model, stream, max_tokens: 5, messages: [{ role: "user", content: "Hi" }] })
  await expectStatus(200, "/olla/anthropic/v1/messages", message("chat-big"))
  await expectStatus(200, "/olla/anthropic/v1/messages", message("chat-big", true))
  await expectStatus(200, "/olla/anthropic/v1/messages", message("plain"))
  await expectStatus(400, "/olla/anthropic/v1/messages", "{}")
  // More looks at the health route than its bucket holds.
  const looks = await Promise.all(Array.from({ length: 80 }, () => ask(daemon.port, { path: "/internal/health" })))
  limited = looks.filter(({ status }) => status === 429).length
  await eventually(
    () => get("/internal/status"),
    (document) => document.system.total_requests === 12 && document.system.active_connections === 0
  )
}

export const stopWorkload = async (): Promise<void> => {
  await daemon?.stop()
  await Promise.all([gpu, laptop, plain].map((backend) => backend?.stop()))
}

export const endpoint = (name: string, backend: SimulatedBackend, priority: number) => ({
  id: expect.stringMatching(/^[0-9a-z]{1,7}$/),
  name,
  url: backend.url,
  status: "healthy",
  admin: "active",
  priority,
  avg_latency_ms: millis,
  min_latency_ms: millis,
  max_latency_ms: millis,
  health_check_at: time,
  next_check_at: time,
  circuit_breaker: "closed",
  latency_ms: percentiles,
  ttft_ms: percentiles,
  last_request_error: null
})

/** Streams of three tokens are measured on a slow machine, and come at once on a fast one. */
// biome-ignore lint/suspicious/noExplicitAny: a document, whatever it is
export const withoutSpeeds = (document: any) =>
  JSON.parse(JSON.stringify(document, (key, value) => (key === "avg_tokens_per_second" ? undefined : value)))

/** Of the last of its requests that went wrong. */
export const lastOfGpu = {
  at: time,
  request_id: expect.stringMatching(/^\w+-\w+-[0-9a-f]{8}$/),
  model: "chat-big",
  status: 500,
  cause: "upstream_5xx",
  phase: "stream",
  message: expect.stringMatching(/./)
}
