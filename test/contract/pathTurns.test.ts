/** A path is a preference: who does not serve it passes its turn to the next endpoint that has the model, in every engine. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"

type Answer = (res: ServerResponse, body: string) => void

interface Scripted {
  readonly url: string
  /** Paths of everything that was asked but listings and probes. */
  readonly asked: Array<string>
  readonly stop: () => void
}

/** Lists its models, and answers everything else as `answer` says by path. */
const scripted = async (models: ReadonlyArray<string>, answer: (path: string) => Answer): Promise<Scripted> => {
  const asked: Array<string> = []
  const server: Server = createServer((req: IncomingMessage, res: ServerResponse) => {
    const path = req.url ?? ""
    if (req.method === "GET") {
      res.setHeader("content-type", "application/json")
      res.end(JSON.stringify({ object: "list", data: models.map((id) => ({ id, object: "model" })) }))
      return
    }
    asked.push(path)
    const chunks: Array<Buffer> = []
    req.on("data", (chunk: Buffer) => chunks.push(chunk))
    req.on("end", () => answer(path)(res, Buffer.concat(chunks).toString()))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    stop: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}

const said =
  (status: number, body: string | Buffer, headers: Record<string, string> = { "content-type": "application/json" }): Answer =>
  (res) => {
    res.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) })
    res.end(body)
  }

const fastApi = said(404, '{"detail":"Not Found"}')
const refusals: Readonly<Record<string, Answer>> = {
  "FastAPI's": fastApi,
  "vLLM's": said(404, '{"error":{"message":"Not Found","type":"Not Found","param":null,"code":404}}'),
  "llama.cpp's": said(404, '{"error":{"message":"File Not Found","type":"not_found_error","code":404}}'),
  "Ollama's, and every Go server's": said(404, "404 page not found", { "content-type": "text/plain" }),
  "OpenAI's": said(404, '{"error":{"message":"Invalid URL (POST /v1/x)","type":"invalid_request_error","param":null,"code":null}}'),
  "LM Studio's, with 200": said(200, '{"error":"Unexpected endpoint or method. (POST /v1/x)"}'),
  "a web server's page": said(404, "<html><head><title>404 Not Found</title></head></html>", { "content-type": "text/html" }),
  "an empty one": (res) => {
    res.writeHead(404)
    res.end()
  },
  "one in chunks": (res) => {
    res.writeHead(404, { "content-type": "application/json" })
    res.write('{"detail":')
    res.end('"Not Found"}')
  },
  "a compressed one": said(404, gzipSync('{"detail":"Not Found"}'), { "content-type": "application/json", "content-encoding": "gzip" }),
  "405": said(405, '{"detail":"Method Not Allowed"}'),
  "501, of what is not switched on": said(501, '{"error":{"code":501,"message":"This server does not support embeddings.","type":"x"}}')
}
const others: Readonly<Record<string, readonly [status: number, body: string]>> = {
  "of a model, by vLLM": [404, '{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","param":"model","code":404}}'],
  "of a model, by Ollama": [404, '{"error":"model \'m\' not found"}'],
  "of a response": [404, `{"error":{"message":"Response with id 'r' not found.","type":"invalid_request_error","code":404}}`],
  "nobody knows of": [404, '{"oops":true}'],
  "of the request": [400, '{"detail":"Not Found"}'],
  "short and good": [200, '{"ok":true}'],
  "long and bad": [404, JSON.stringify({ detail: "Not Found", why: "x".repeat(100_000) })]
}
const paths = (of: object, prefix: string) => new Map(Object.keys(of).map((name, n) => [name, `/v1/${prefix}${n}`] as const))
const refusedAt = paths(refusals, "refused")
const answeredAt = paths(others, "answered")

const engines: ReadonlyArray<readonly [name: string, engine: string, env: Record<string, string>]> = [
  ["olla", "olla", {}],
  ["olla over undici", "olla", { OLLA_ENGINE_CLIENT: "undici" }],
  ["sherpa", "sherpa", {}]
]

const chatAnswer: Answer = (res, body) => {
  if (JSON.parse(body).stream === true) {
    res.writeHead(200, { "content-type": "text/event-stream" })
    res.write('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"from b"},"finish_reason":null}]}\n\n')
    res.end('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
  } else {
    const choice = { index: 0, message: { role: "assistant", content: "from b" }, finish_reason: "stop" }
    said(200, JSON.stringify({ id: "c", object: "chat.completion", choices: [choice] }))(res, body)
  }
}

describe.each(engines)("a path that the first endpoint does not serve, with %s", (_name, engine, env) => {
  let a: Scripted
  let b: Scripted
  let omlx: Scripted
  let lmdeploy: Scripted
  let daemon: Daemon
  const backends = () => [a, b, omlx, lmdeploy]

  beforeAll(async () => {
    a = await scripted(["m"], (path) => {
      const refused = [...refusedAt].find(([, each]) => each === path)?.[0]
      if (refused !== undefined) return refusals[refused] as Answer
      if (path.startsWith("/v1/served"))
        return (res, body) => {
          const { odd } = JSON.parse(body) as { readonly odd?: { readonly status: number; readonly body: string } }
          said(odd?.status ?? 200, odd?.body ?? '{"from":"a"}')(res, body)
        }
      const answered = others[[...answeredAt].find(([, each]) => each === path)?.[0] ?? ""]
      return answered === undefined ? fastApi : said(answered[0], answered[1])
    })
    b = await scripted(["m"], (path) => {
      if (path === "/v1/chat/completions") return chatAnswer
      if (path === "/v1/nowhere") return said(404, '{"detail":"Not Found","by":"b"}')
      if (path === "/v1/dropped") return (res) => res.destroy()
      return (res, body) =>
        JSON.parse(body).stream === true
          ? res.writeHead(200, { "content-type": "text/event-stream" }).end('data: {"from":"b"}\n\n')
          : said(200, '{"from":"b"}')(res, body)
    })
    omlx = await scripted(["r"], () => fastApi)
    lmdeploy = await scripted(["r", "alone"], () => said(200, '{"from":"lmdeploy"}'))
    const entry = (name: string, { url }: Scripted, type: string, priority: number) =>
      `      - {url: "${url}", name: ${name}, type: ${type}, priority: ${priority}, ${rareChecks}}\n`
    daemon = await startDaemon(
      // Errors that are of no path are repeated elsewhere otherwise.
      `proxy: {engine: ${engine}, load_balancer: priority}\ntraffic: {enabled: false}\ndiscovery:\n  static:\n    endpoints:\n${entry("a", a, "vllm", 300)}${entry("b", b, "openai-compatible", 200)}${entry("omlx", omlx, "omlx", 100)}${entry("lmdeploy", lmdeploy, "lmdeploy", 50)}`,
      { env }
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    for (const backend of backends()) backend.stop()
  })
  beforeEach(() => {
    for (const { asked } of backends()) asked.length = 0
  })

  const post = (path: string, body: object, route = "/olla/proxy") =>
    fetch(`${daemon.url}${route}${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } })

  it.each([...refusedAt])("is the next one's, where the refusal is %s", async (_refusal, path) => {
    const answer = await post(path, { model: "m" })
    expect([answer.status, answer.headers.get("x-olla-endpoint"), await answer.text()]).toEqual([200, "b", '{"from":"b"}'])
    expect([a.asked, b.asked]).toEqual([[path], [path]])
    // It is remembered.
    const streamed = await post(`${path}?again=1`, { model: "m", stream: true })
    expect([streamed.status, await streamed.text()]).toEqual([200, 'data: {"from":"b"}\n\n'])
    expect([a.asked.length, b.asked.length]).toEqual([1, 2])
  })
  it.each([...answeredAt])("is not what an answer says that is %s: it reaches the client", async (name, path) => {
    const answer = await post(path, { model: "m" })
    expect([answer.status, answer.headers.get("x-olla-endpoint"), await answer.text()]).toEqual([
      ...[others[name]?.[0], "a"],
      others[name]?.[1]
    ])
    expect(b.asked).toEqual([])
  })
  it.each([
    ["501", 501, '{"error":{"message":"beam search is not supported","type":"NotImplementedError","code":501}}'],
    ["a 404 in a router's words", 404, '{"detail":"Not Found"}']
  ])("is none where it served the path before, whatever one client gets out of it: %s", async (_name, status, body) => {
    const path = `/v1/served${status}`
    expect((await post(path, { model: "m" })).headers.get("x-olla-endpoint")).toBe("a")
    const odd = await post(path, { model: "m", odd: { status, body } })
    expect([odd.status, odd.headers.get("x-olla-endpoint"), b.asked.length]).toEqual([200, "b", 1])
    expect((await post(path, { model: "m" })).headers.get("x-olla-endpoint")).toBe("a")
  })
  it("is refused in the last one's words where nobody serves it, and then only one is asked", async () => {
    for (const asked of [2, 3]) {
      const answer = await post("/v1/nowhere", { model: "m" })
      expect(answer.status).toBe(404)
      expect(await answer.text()).toContain("Not Found")
      expect(a.asked.length + b.asked.length).toBe(asked)
    }
  })
  it("ends in the failure of an endpoint that might have served it", async () => {
    const answer = await post("/v1/dropped", { model: "m" })
    expect([answer.status, await answer.text()]).toEqual([502, expect.stringContaining("endpoint b")])
  })
  it("is asked of a kind that does not list it where the kind that does refuses, or has not got the model", async () => {
    for (const [model, first] of [
      ["r", ["/v1/rerank"]],
      ["alone", []]
    ] as const) {
      omlx.asked.length = 0
      const answer = await post("/v1/rerank", { model, query: "q", documents: [] })
      expect([answer.status, await answer.text()]).toEqual([200, '{"from":"lmdeploy"}'])
      expect(omlx.asked).toEqual(first)
    }
  })
  it.each(["/olla/anthropic/v1/messages", "/v1/messages"])("is the next one's in translation too: %s", async (route) => {
    const body = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }] }
    const whole = await post("", body, route)
    expect([whole.status, whole.headers.get("x-olla-endpoint")]).toEqual([200, "b"])
    expect(await whole.json()).toMatchObject({ content: [{ type: "text", text: "from b" }] })
    const streamed = await post("", { ...body, stream: true }, route)
    const text = await streamed.text()
    expect([streamed.status, text.includes("from b"), text.includes("message_stop")]).toEqual([200, true, true])
  })
  it("is the next one's for Responses", async () => {
    const answer = await post("", { model: "m", input: "hi" }, "/v1/responses")
    expect([answer.status, answer.headers.get("x-olla-endpoint"), await answer.text()]).toEqual([
      200,
      "b",
      expect.stringContaining("from b")
    ])
  })
})
