/** A kind of backend that nobody has heard of: one YAML file, no code. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"

const profile = `name: cedarserve
display_name: "CedarServe"
routing:
  prefixes: [cedarserve, cedar]
api:
  openai_compatible: true
  model_discovery_path: /v1/models
  health_check_path: /healthz
  paths: [/healthz, /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/score]
  anthropic_support:
    enabled: true
    messages_path: /claude/v1/messages
    limitations: [no_vision]
request:
  response_format: openai
models:
  context_patterns:
    - {pattern: "*-64k*", context: 65536}
metrics:
  extraction:
    enabled: true
    source: response_body
    format: json
    paths:
      model: "$.model"
      input_tokens: "$.usage.prompt_tokens"
      output_tokens: "$.usage.completion_tokens"
      gen_ms: "$.cedar.decode_ms"
    calculations:
      tokens_per_second: "gen_ms > 0 ? (output_tokens * 1000.0) / gen_ms : 0"
`

/** The server itself: it knows nothing of Olla's kinds. */
const asked: Array<string> = []
const bodies: Record<string, unknown> = {
  "GET /healthz": { ok: true },
  "GET /v1/models": {
    object: "list",
    data: [{ id: "oak-7b", object: "model", created: 1_770_000_000, owned_by: "cedar", max_model_len: 32_768 }]
  },
  "POST /v1/chat/completions": {
    id: "c1",
    object: "chat.completion",
    model: "oak-7b",
    choices: [{ index: 0, message: { role: "assistant", content: "from cedar" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 120, completion_tokens: 480, total_tokens: 600 },
    cedar: { decode_ms: 6000 }
  },
  "POST /claude/v1/messages": {
    id: "m1",
    type: "message",
    role: "assistant",
    model: "oak-7b",
    content: [{ type: "text", text: "natively" }],
    stop_reason: "end_turn",
    usage: { input_tokens: 1, output_tokens: 1 }
  },
  "POST /v1/score": { score: 0.5 }
}

let server: Server
let daemon: Daemon
beforeAll(async () => {
  server = createServer((request, response) => {
    const what = `${request.method} ${request.url}`
    asked.push(what)
    request.resume().on("end", () => {
      const body = bodies[what]
      response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" }).end(JSON.stringify(body ?? {}))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  daemon = await startDaemon(
    `discovery:
  static:
    endpoints:
      - {name: cedar-1, url: "http://127.0.0.1:${port}", type: cedarserve, priority: 70, check_interval: 1s, check_timeout: 500ms}
`,
    { files: { "config/profiles/cedarserve.yaml": profile } }
  )
})
afterAll(async () => {
  await daemon?.stop()
  server?.closeAllConnections()
  server?.close()
})

const get = (path: string) => fetch(`${daemon.url}${path}`)
const post = (path: string, body: unknown) =>
  fetch(`${daemon.url}${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } })
const chat = { model: "oak-7b", messages: [{ role: "user", content: "hi" }] }

describe("a thirteenth kind", () => {
  it("is probed and read at its own paths", async () => {
    expect(asked).toContain("GET /healthz")
    expect(asked).toContain("GET /v1/models")
    const { endpoints } = (await (await get("/internal/status/endpoints")).json()) as { endpoints: ReadonlyArray<unknown> }
    expect(endpoints).toMatchObject([{ name: "cedar-1", type: "cedarserve", status: "healthy", priority: 70, model_count: 1 }])
  })
  it("has its models under both prefixes, with what the listing told", async () => {
    for (const prefix of ["cedarserve", "cedar"])
      expect(await (await get(`/olla/${prefix}/v1/models`)).json()).toEqual({
        object: "list",
        data: [{ id: "oak-7b", object: "model", owned_by: "olla", created: 1_770_000_000, max_model_len: 32_768, context_length: 32_768 }]
      })
    expect(await (await get("/olla/models")).json()).toMatchObject({
      data: [{ id: "oak-7b", olla: { max_context_length: 32_768, availability: [{ endpoint: "cedar-1", state: "unknown" }] } }]
    })
    expect(await (await get("/olla/models?format=vllm")).json()).toMatchObject({ data: [{ id: "oak-7b", max_model_len: 32_768 }] })
  })
  it.each([
    "/olla/cedar/v1/chat/completions",
    "/olla/cedarserve/v1/chat/completions",
    "/olla/openai/v1/chat/completions",
    "/olla/proxy/v1/chat/completions"
  ])("answers at %s", async (path) => {
    const answer = await post(path, chat)
    expect([answer.status, answer.headers.get("x-olla-backend-type"), answer.headers.get("x-olla-endpoint")]).toEqual([
      200,
      "cedarserve",
      "cedar-1"
    ])
    expect(asked.findLast((line) => line !== "GET /healthz")).toBe("POST /v1/chat/completions")
  })
  it("is handed its private paths", async () => {
    expect(await (await post("/olla/cedar/v1/score", { model: "oak-7b" })).json()).toEqual({ score: 0.5 })
  })
  it("gets Anthropic requests natively, and those with an image in translation", async () => {
    const message = { ...chat, max_tokens: 9 }
    expect(await (await post("/olla/anthropic/v1/messages", message)).json()).toMatchObject({ content: [{ text: "natively" }] })
    expect(asked.findLast((line) => line !== "GET /healthz")).toBe("POST /claude/v1/messages")
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "aGk=" } }
    const seen = await post("/olla/anthropic/v1/messages", { ...message, messages: [{ role: "user", content: [image] }] })
    expect(await seen.json()).toMatchObject({ content: [{ text: "from cedar" }] })
    expect(asked.findLast((line) => line !== "GET /healthz")).toBe("POST /v1/chat/completions")
  })
  it("has its own figures in the log", async () => {
    await post("/olla/cedar/v1/chat/completions", chat)
    const line = await eventually(
      () =>
        daemon
          .output()
          .split("\n")
          .findLast((text) => text.includes('"input_tokens":120')),
      (text) => text !== undefined
    )
    const { tokens_per_sec, output_tokens } = JSON.parse(line ?? "{}") as Record<string, unknown>
    expect([output_tokens, Number(tokens_per_sec)]).toEqual([480, 80])
  })
  it("is told by name when none of it is there", async () => {
    server.closeAllConnections()
    server.close()
    await eventually(
      async () => ((await (await get("/internal/status/endpoints")).json()) as { routable_count: number }).routable_count,
      (count) => count === 0
    )
    for (const prefix of ["cedarserve", "cedar"]) {
      const answer = await post(`/olla/${prefix}/v1/chat/completions`, chat)
      expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining(`No ${prefix} endpoints available`)])
    }
  })
})
