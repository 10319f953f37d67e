/**
 * Traces as a collector gets them from a daemon, decoded by OTLP's own schema; and once more in a real Jaeger, where `OLLA_JAEGER` names
 * its binary (all-in-one 1.76).
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import net from "node:net"
import { setTimeout as after } from "node:timers/promises"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type DecodedSpan, decodeSpans } from "../telemetry/tracing/otlp.ts"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"
import { type Answer, ModelServer, sse } from "./modelServer.ts"

/** Takes spans, or does what a test says. */
class TestCollector {
  readonly spans: Array<DecodedSpan> = []
  readonly types = new Set<string>()
  readonly #server: Server
  down = false

  constructor() {
    this.#server = createServer((req, res) => {
      const parts: Array<Buffer> = []
      req.on("data", (part: Buffer) => parts.push(part))
      req.on("end", () => {
        if (this.down) return void req.socket.destroy()
        const type = req.headers["content-type"] ?? ""
        this.types.add(type)
        this.spans.push(...decodeSpans(type, Buffer.concat(parts)))
        res.writeHead(200, { "content-type": type }).end(type.endsWith("json") ? "{}" : "")
      })
    })
  }

  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1")
    await once(this.#server, "listening")
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  stop(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  /** All spans of a trace, once its request and so many attempts are there. */
  async trace(id: string, spans: number): Promise<ReadonlyArray<DecodedSpan>> {
    return eventually(
      () => this.spans.filter(({ traceId }) => traceId === id),
      (found) => found.length >= spans
    )
  }
}

const chunk = (delta: object, end: string | null = null, more: object = {}) =>
  `data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta, finish_reason: end }], ...more })}\n\n`
const streaming: Answer = (res) => {
  sse(res)
  res.write(chunk({ role: "assistant", content: "a" }))
  setTimeout(() => res.end(`${chunk({}, "stop", { usage: { prompt_tokens: 7, completion_tokens: 5 } })}data: [DONE]\n\n`), 20)
}
const hangsUp: Answer = (_res, _asked, req) => req.socket.destroy()
const hangs: Answer = (res) => {
  sse(res)
  res.write(chunk({ role: "assistant", content: "a" }))
}

const trace = (last: string) => `0af7651916cd43dd8448eb211c8031${last}`
const traceparent = (last: string, flags = "01") => ({ traceparent: `00-${trace(last)}-b7ad6b7169203331-${flags}` })
const chat = (model = "m", stream = false) => JSON.stringify({ model, stream, messages: [{ role: "user", content: "hi" }] })

/** Name, status and what hangs below, indented. */
const treeOf = (spans: ReadonlyArray<DecodedSpan>): ReadonlyArray<string> => {
  const below = (parent: string, depth: number): ReadonlyArray<string> =>
    spans
      .filter(({ parentSpanId }) => parentSpanId === parent)
      .flatMap(({ name, spanId, status }) => [
        `${"  ".repeat(depth)}${name}${status === "" ? "" : ` ${status}`}`,
        ...below(spanId, depth + 1)
      ])
  return below(spans.find(({ kind }) => kind === 2)?.parentSpanId ?? "", 0).filter((line) => !/^ *(?:receive|decide)$/.test(line))
}

const routed = "POST /olla/proxy/v1/chat/completions"

describe.each(["http/json", "http/protobuf"])("a daemon that sends traces in %s", (protocol) => {
  const collector = new TestCollector()
  const backends = [new ModelServer(["m"]), new ModelServer(["m"]), new ModelServer(["m", "steady"])] as const
  let daemon: Daemon

  const ask = (path: string, body: string, headers: Readonly<Record<string, string>> = {}, signal?: AbortSignal) =>
    fetch(`${daemon.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
      ...(signal === undefined ? {} : { signal })
    })

  beforeAll(async () => {
    const [url] = await Promise.all([collector.start(), ...backends.map((backend) => backend.start())])
    const endpoints = backends.map(
      (backend, i) => `      - {url: "${backend.url}", name: gpu-${i + 1}, type: openai-compatible, priority: ${300 - i}, ${rareChecks}}`
    )
    daemon = await startDaemon(
      `proxy: {load_balancer: priority}\ntelemetry: {otlp: {endpoint: "${url}", protocol: ${protocol}, interval: 50ms}}\ndiscovery:\n  static:\n    endpoints:\n${endpoints.join("\n")}\n`,
      { env: { OLLA_LOGGING_REQUESTS: "brief" } }
    )
  })
  beforeEach(() => {
    for (const backend of backends) backend.reset()
  })
  afterAll(async () => {
    await daemon.stop()
    collector.stop()
    for (const backend of backends) await backend.stop()
  })

  it("shows a failover below the client's span, and itself above the backends'", async () => {
    backends[0].answer = hangsUp
    backends[1].answer = streaming
    const answer = await ask("/olla/proxy/v1/chat/completions", chat("m", true), { ...traceparent("a1"), tracestate: "v=1" })
    await answer.text()
    expect([answer.headers.get("x-olla-trace-id"), answer.headers.get("x-olla-attempts")]).toEqual([trace("a1"), "2"])
    const spans = await collector.trace(trace("a1"), 3)
    expect(treeOf(spans)).toEqual([routed, "  chat m ERROR", "  chat m"])
    expect(spans.find(({ kind }) => kind === 2)?.parentSpanId).toBe("b7ad6b7169203331")
    const attempts = spans.filter(({ kind }) => kind === 3)
    expect(attempts.map(({ attributes }) => attributes["olla.cause"])).toEqual(["closed_early", "none"])
    expect(backends.slice(0, 2).map(({ asked: [first] }) => first?.header("traceparent"))).toEqual(
      attempts.map(({ spanId }) => `00-${trace("a1")}-${spanId}-01`)
    )
    expect(backends[1].asked[0]?.header("tracestate")).toBe("v=1")
    expect(attempts[1]?.attributes).toMatchObject({ "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 5 })
    expect([...collector.types]).toEqual([protocol === "http/json" ? "application/json" : "application/x-protobuf"])
  })

  it("shows what Olla found out by itself, each in a trace of its own", async () => {
    const own = await eventually(
      () => collector.spans.filter(({ kind }) => kind === 1),
      (spans) => ["endpoint.probe", "endpoint.discover"].every((name) => spans.some((span) => span.name === name))
    )
    const probe = own.find(({ name }) => name === "endpoint.probe")
    expect(probe?.parentSpanId).toBe("")
    expect(probe?.attributes).toMatchObject({ "olla.endpoint": expect.stringMatching(/^gpu-/), "olla.status": "healthy" })
    expect(own.every(({ resource }) => resource["service.name"] === "olla")).toBe(true)
    daemon.child.kill("SIGHUP")
    await eventually(
      () => collector.spans,
      (spans) => spans.some(({ name }) => name === "config.reload")
    )
  })

  it("has the trace's and the span's id in every record of a request", async () => {
    await (await ask("/olla/proxy/v1/chat/completions", chat("steady"), traceparent("a2"))).text()
    const [server] = (await collector.trace(trace("a2"), 2)).filter(({ kind }) => kind === 2)
    const records = await eventually(
      () =>
        daemon
          .output()
          .split("\n")
          .filter((line) => line.includes(trace("a2"))),
      (lines) => lines.some((line) => line.includes("Request completed"))
    )
    expect(new Set(records.map((line) => (JSON.parse(line) as { span_id: string }).span_id))).toEqual(new Set([server?.spanId]))
  })

  it("shows a translated stream with what translating it took", async () => {
    backends[2].answer = streaming
    const body = JSON.stringify({ model: "steady", stream: true, max_tokens: 5, messages: [{ role: "user", content: "hi" }] })
    await (await ask("/olla/anthropic/v1/messages", body, traceparent("a3"))).text()
    const spans = await collector.trace(trace("a3"), 2)
    expect(treeOf(spans)).toEqual(["POST /olla/anthropic/v1/messages", "  chat steady"])
    expect(spans.find(({ kind }) => kind === 2)?.attributes).toMatchObject({
      "olla.translator": "anthropic",
      "olla.translator.mode": "translation"
    })
    expect(spans.find(({ kind }) => kind === 2)?.attributes["olla.translate_ms"]).toBeGreaterThan(0)
  })

  it("shows a client that left, and one that was refused", async () => {
    backends[2].answer = hangs
    const leaving = new AbortController()
    const answer = await ask("/olla/proxy/v1/chat/completions", chat("steady", true), traceparent("a4"), leaving.signal)
    await answer.body?.getReader().read()
    leaving.abort()
    const left = (await collector.trace(trace("a4"), 2)).find(({ kind }) => kind === 2)
    expect([left?.status, left?.attributes["http.response.status_code"], left?.attributes["olla.cause"]]).toEqual([
      "",
      499,
      "cancelled_streaming"
    ])
    expect((await ask("/olla/proxy/v1/chat/completions", chat("none"), traceparent("a5"))).status).toBe(404)
    const refused = await collector.trace(trace("a5"), 1)
    expect(treeOf(refused)).toEqual([routed])
    expect(refused[0]?.attributes).toMatchObject({ "olla.outcome": "refused", "olla.cause": "model_not_found" })
  })

  it("sends what failed although its client's flag says no, and nothing else of such", async () => {
    backends[2].answer = (res) => res.writeHead(200, { "content-type": "application/json" }).end("{}")
    const good = await ask("/olla/proxy/v1/chat/completions", chat("steady"), traceparent("a6", "00"))
    expect(good.headers.get("x-olla-trace-id")).toBeNull()
    expect(backends[2].asked[0]?.header("traceparent")).toBe(traceparent("a6", "00").traceparent)
    backends[2].answer = hangsUp
    const bad = await ask("/olla/proxy/v1/chat/completions", chat("steady"), traceparent("a7", "00"))
    expect([bad.status, bad.headers.get("x-olla-trace-id")]).toEqual([502, trace("a7")])
    const spans = await collector.trace(trace("a7"), 2)
    expect(treeOf(spans)).toEqual([`${routed} ERROR`, "  chat steady ERROR"])
    expect(spans.find(({ kind }) => kind === 2)?.attributes["olla.kept"]).toBe("error")
    expect(collector.spans.some(({ traceId }) => traceId === trace("a6"))).toBe(false)
  })

  it("tells of an outage once and of its end, and nobody's request notices", async () => {
    backends[2].answer = (res) => res.writeHead(200, { "content-type": "application/json" }).end("{}")
    collector.down = true
    const statuses = new Set<number>()
    const outage = () =>
      daemon
        .output()
        .split("\n")
        .filter((line) => line.includes("Traces cannot be sent"))
    for (let n = 0; outage().length === 0 || n < 20; n++) {
      const answer = await ask("/olla/proxy/v1/chat/completions", chat("steady"))
      await answer.text()
      statuses.add(answer.status)
    }
    collector.down = false
    await eventually(
      () => daemon.output(),
      (output) => output.includes("Traces are sent again")
    )
    expect([...statuses]).toEqual([200])
    expect(outage().map((line) => JSON.parse(line) as object)).toMatchObject([
      { level: "WARN", error: expect.stringMatching(/ECONNRESET|socket hang up/) }
    ])
    const metrics = await (await fetch(`${daemon.url}/internal/metrics`)).text()
    expect(metrics).toMatch(/olla_trace_spans_exported_total [1-9]/)
  })
})

const jaegerBinary = process.env["OLLA_JAEGER"] ?? ""

describe("a real Jaeger", () => {
  it.skipIf(jaegerBinary === "")(
    "shows the trees of a failover over three endpoints, a translated stream, a cancelled and a refused request, and the backend's own spans below",
    async () => {
      const [otlp, query, admin] = [await freePort(), await freePort(), await freePort()]
      const jaeger = await startJaeger(otlp, query, admin)
      const backends = [new ModelServer(["m"]), new ModelServer(["m"]), new ModelServer(["m", "steady"])] as const
      for (const backend of backends) await backend.start()
      const endpoints = backends.map(
        (backend, i) => `      - {url: "${backend.url}", name: gpu-${i + 1}, type: openai-compatible, priority: ${300 - i}, ${rareChecks}}`
      )
      try {
        for (const protocol of ["http/json", "http/protobuf"]) {
          for (const backend of backends) backend.reset()
          const daemon = await startDaemon(
            `proxy: {load_balancer: priority}\ntelemetry: {otlp: {endpoint: "http://127.0.0.1:${otlp}", protocol: ${protocol}, interval: 50ms, service_name: "olla ${protocol}"}}\ndiscovery:\n  static:\n    endpoints:\n${endpoints.join("\n")}\n`
          )
          const ask = (path: string, body: string, signal?: AbortSignal) =>
            fetch(`${daemon.url}${path}`, {
              method: "POST",
              headers: { "content-type": "application/json", ...traceparent(protocol === "http/json" ? "c1" : "c2") },
              body,
              ...(signal === undefined ? {} : { signal })
            })
          backends[0].answer = hangsUp
          const gone = backends[1]
          await gone.stop()
          backends[2].answer = traced(otlp, streaming)
          await (await ask("/olla/proxy/v1/chat/completions", chat("m", true))).text()
          const message = JSON.stringify({ model: "steady", stream: true, max_tokens: 5, messages: [{ role: "user", content: "hi" }] })
          await (await ask("/olla/anthropic/v1/messages", message)).text()
          backends[2].answer = hangs
          const leaving = new AbortController()
          const answer = await ask("/olla/proxy/v1/chat/completions", chat("steady", true), leaving.signal)
          await answer.body?.getReader().read()
          leaving.abort()
          await (await ask("/olla/proxy/v1/chat/completions", chat("none"))).text()
          await gone.start()
          const found = await eventually(
            () => jaegerTree(query, `olla ${protocol}`, trace(protocol === "http/json" ? "c1" : "c2")),
            (lines) => lines.filter((line) => line.startsWith("POST")).length === 4 && lines.filter(isBackends).length === 2
          )
          if (process.env["OLLA_JAEGER_SHOWS"] !== undefined) process.stdout.write(`${protocol}\n${found.join("\n")}\n`)
          const plain = found.map((line) => line.replace(/ +\[.*/, ""))
          expect(plain).toEqual([
            routed,
            "  chat m ERROR",
            "  chat m ERROR",
            "  chat m",
            "    llm_request",
            "POST /olla/anthropic/v1/messages",
            "  chat steady",
            "    llm_request",
            routed,
            "  chat steady",
            // The endpoint that is gone may have it.
            `${routed} ERROR`
          ])
          await daemon.stop()
        }
      } finally {
        jaeger.kill("SIGKILL")
        for (const backend of backends) await backend.stop()
      }
    }
  )
})

const isBackends = (line: string): boolean => line.trimStart().startsWith("llm_request")

/** A backend that sends a span of its own, below the one that it was called in, as vLLM does: by OTLP, whatever it answers. */
const traced =
  (otlp: number, answer: Answer): Answer =>
  (res, asked, req) => {
    const [, traceId, parentSpanId, flags] = String(req.headers["traceparent"] ?? "").split("-")
    const began = Date.now()
    res.on("close", () => {
      if (flags !== "01") return
      const nanos = (millis: number) => `${millis}000000`
      const span = {
        traceId,
        spanId: randomBytes(8).toString("hex"),
        parentSpanId,
        name: "llm_request",
        kind: 2,
        startTimeUnixNano: nanos(began),
        endTimeUnixNano: nanos(Date.now()),
        attributes: [{ key: "gen_ai.usage.output_tokens", value: { intValue: 5 } }]
      }
      const resource = { attributes: [{ key: "service.name", value: { stringValue: "vllm" } }] }
      void fetch(`http://127.0.0.1:${otlp}/v1/traces`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "vllm" }, spans: [span] }] }] })
      })
    })
    return answer(res, asked, req)
  }

const startJaeger = async (otlp: number, query: number, admin: number): Promise<ChildProcess> => {
  const at = (port: number) => `127.0.0.1:${port}`
  const rest = await Promise.all(Array.from({ length: 6 }, freePort))
  const flags = [
    "--collector.otlp.enabled=true",
    `--collector.otlp.http.host-port=${at(otlp)}`,
    `--collector.otlp.grpc.host-port=${at(rest[0] as number)}`,
    `--query.http-server.host-port=${at(query)}`,
    `--query.grpc-server.host-port=${at(rest[1] as number)}`,
    `--admin.http.host-port=${at(admin)}`,
    `--collector.http-server.host-port=${at(rest[2] as number)}`,
    `--collector.grpc-server.host-port=${at(rest[3] as number)}`,
    `--collector.zipkin.host-port=${at(rest[4] as number)}`,
    "--log-level=error"
  ]
  const child = spawn(jaegerBinary, flags, { stdio: ["ignore", "ignore", "pipe"], env: { PATH: process.env["PATH"] ?? "" } })
  let said = ""
  child.stderr?.on("data", (part: Buffer) => {
    said += part.toString()
  })
  for (;;) {
    if (child.exitCode !== null) throw new Error(`Jaeger ended: ${said}`)
    const listens = await new Promise<boolean>((resolve) => {
      const socket = net.connect(query, "127.0.0.1", () => {
        socket.destroy()
        resolve(true)
      })
      socket.on("error", () => resolve(false))
    })
    if (listens) return child
    await after(50)
  }
}

interface JaegerSpan {
  readonly spanID: string
  readonly operationName: string
  readonly startTime: number
  readonly duration: number
  readonly references: ReadonlyArray<{ readonly spanID: string }>
  readonly tags: ReadonlyArray<{ readonly key: string; readonly value: unknown }>
  readonly logs: ReadonlyArray<unknown>
}

/** What its query API says of a trace, as a tree in order of time. */
const jaegerTree = async (port: number, service: string, id: string): Promise<ReadonlyArray<string>> => {
  const answer = await fetch(`http://127.0.0.1:${port}/api/traces/${id}?service=${encodeURIComponent(service)}`)
  if (!answer.ok) return []
  const { data } = (await answer.json()) as { readonly data: ReadonlyArray<{ readonly spans: ReadonlyArray<JaegerSpan> }> }
  const spans = [...(data[0]?.spans ?? [])].sort((a, b) => a.startTime - b.startTime)
  const known = new Set(spans.map(({ spanID }) => spanID))
  const line = (span: JaegerSpan, depth: number): string => {
    const tag = (key: string) => span.tags.find((each) => each.key === key)?.value
    const figures = [
      "olla.endpoint",
      "olla.cause",
      "http.response.status_code",
      "olla.translator.mode",
      "olla.connection",
      "gen_ai.usage.output_tokens"
    ]
      .flatMap((key) => (tag(key) === undefined ? [] : [`${key.split(".").at(-1)}=${tag(key)}`]))
      .join(" ")
    return `${"  ".repeat(depth)}${span.operationName}${tag("error") === true ? " ERROR" : ""}  [${(span.duration / 1000).toFixed(1)} ms ${figures} ${span.logs.length} events]`
  }
  const below = (parent: string | undefined, depth: number): ReadonlyArray<string> =>
    spans
      .filter(({ references: [first] }) =>
        parent === undefined ? first === undefined || !known.has(first.spanID) : first?.spanID === parent
      )
      .filter(({ operationName }) => operationName !== "receive" && operationName !== "decide")
      .flatMap((span) => [line(span, depth), ...below(span.spanID, depth + 1)])
  return below(undefined, 0)
}
