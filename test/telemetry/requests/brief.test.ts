import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { Outcome } from "../../../src/exchange/Exchange.ts"
import { failure } from "../../../src/exchange/Failure.ts"
import { LogFile } from "../../../src/telemetry/LogFile.ts"
import { type Fields, type Level, type LogForm, makeSink } from "../../../src/telemetry/LogSink.ts"
import { makeRequestLog } from "../../../src/telemetry/requests/RequestLog.ts"
import type { RequestLogOptions } from "../../../src/telemetry/requests/RequestLogOptions.ts"
import { attempt, end, newExchange, type Try } from "../exchanges.ts"

const logging = (options: { level?: Level; form?: LogForm; file?: LogFile } & Partial<Omit<RequestLogOptions, "form">> = {}) => {
  let text = ""
  const { level = "info", form = "json", file, ...rest } = options
  const out = (lines: string) => {
    text += lines
  }
  const sink = makeSink({ level, form, file, out })
  const log = makeRequestLog(sink, rest)
  const lines = () => {
    sink.flush()
    return text.split("\n").filter((line) => line !== "")
  }
  return { log, lines, records: (): ReadonlyArray<Fields> => lines().map((line) => JSON.parse(line)) }
}

const marks = { sent: 1_001, headers: 1_310, firstByte: 1_310, lastByte: 1_900 }

/** The whole life of one, as `http/` tells it. */
const request = (
  { log }: ReturnType<typeof logging>,
  tries: ReadonlyArray<Try>,
  outcome?: Outcome,
  changes: (exchange: ReturnType<typeof newExchange>) => void = () => {}
) => {
  const exchange = newExchange({ model: "qwen3:32b" })
  exchange.stream = true
  exchange.candidates = tries.length
  exchange.requestBytes = 77
  Object.assign(exchange.timings, { received: 1_000, routed: 1_001 })
  const header = () => ""
  log.started({ exchange, remote: "127.0.0.1:5", header })
  if (tries.length > 0) log.received(exchange, "curl/8")
  for (const one of tries) attempt(log.observer, exchange, { timings: marks, ...one })
  changes(exchange)
  end(log.observer, exchange, outcome)
  log.access({ exchange, remote: "127.0.0.1:5", header, status: exchange.outcome?.status ?? 0, responseBytes: 5 })
}

const answered = (body: string) => (exchange: ReturnType<typeof newExchange>) => {
  exchange.kept.contentType = "application/json"
  exchange.kept.tail = [Buffer.from(body)]
}

describe("a proxied request in brief form", () => {
  it("is one record at info, which says everything that is asked first", () => {
    const logged = logging({ usage: () => ({ inputTokens: 700, outputTokens: 100, tokensPerSecond: 81 }) })
    request(logged, [{ ends: 1_000, bytes: 5 }])
    expect(logged.records()).toMatchObject([
      {
        level: "INFO",
        msg: "Request completed",
        endpoint: "desk",
        status: "completed",
        http_status: 200,
        model: "qwen3:32b",
        outcome: "ok",
        first_ms: 310,
        client_ip: "127.0.0.1",
        method: "POST",
        path: "/olla/proxy/v1/chat/completions",
        request_bytes: 77,
        user_agent: "curl/8",
        input_tokens: 700
      }
    ])
    expect(logged.records()[0]).not.toHaveProperty("cause")
    expect(logged.records()[0]).toHaveProperty("overhead_ms")
  })

  it.each([500, 401, 403, 429])("is a warning when a backend's %i is relayed, with its own words", (status) => {
    const logged = logging({ level: "warn", quiet: () => true })
    request(logged, [{ status }], undefined, answered('{"error":{"message":"CUDA out of memory"}}'))
    expect(logged.records()).toMatchObject([
      { level: "WARN", msg: "Request completed", http_status: status, endpoint: "desk", backend_error: "CUDA out of memory" }
    ])
    expect(logged.records()[0]?.["cause"]).toMatch(/^upstream_/)
  })

  it("leaves a backend's words out where they are not wanted, and a plain 404 at info", () => {
    const logged = logging({ backendErrors: () => false })
    request(logged, [{ status: 404 }], undefined, answered('{"error":"secret"}'))
    const [record] = logged.records()
    expect(record).toMatchObject({ level: "INFO", msg: "Request completed", cause: "upstream_4xx" })
    expect(record).not.toHaveProperty("backend_error")
  })

  it("tells every failure at level warn: the attempts that were made good, and the one that was not, with its limit and key", () => {
    const logged = logging({ level: "warn" })
    request(logged, [{ endpoint: "gpu-1", failed: "refused" }, { endpoint: "gpu-2" }])
    request(logged, [{ endpoint: "gpu-1", failed: "header_timeout" }], {
      _tag: "failed",
      status: 504,
      failure: failure("header_timeout", "no response headers in time", 30_000),
      committed: false
    })
    expect(logged.records()).toMatchObject([
      { level: "WARN", msg: "Connection failed to endpoint, marking as unhealthy", endpoint: "gpu-1" },
      {
        level: "ERROR",
        msg: "Request failed",
        cause: "timeout_headers",
        phase: "stream",
        attempts: 1,
        limit: "30s",
        limit_key: "proxy.response_header_timeout",
        reason: expect.stringContaining("endpoint gpu-1 sent no response headers")
      }
    ])
  })

  it("keeps its access log for the file, and those of refusals and local routes everywhere", () => {
    const folder = mkdtempSync(join(tmpdir(), "olla-brief-"))
    const file = new LogFile({ folder, maxSize: 1e6, maxBackups: 1, maxAge: 1 })
    const logged = logging({ file })
    request(logged, [{}])
    request(logged, [], { _tag: "rejected", status: 404, reason: "model_not_found" })
    expect(logged.records().map(({ msg }) => msg)).toEqual(["Request completed", "Request rejected", "Access log"])
    const filed = readFileSync(file.path, "utf8").trimEnd().split("\n")
    expect(filed.map((line) => JSON.parse(line).msg)).toEqual(["Request completed", "Access log", "Request rejected", "Access log"])
    file.close()
    rmSync(folder, { recursive: true })
  })

  it("carries the id of the client's trace", () => {
    const logged = logging()
    request(logged, [{}], undefined, (exchange) => {
      exchange.traceId = "0af7651916cd43dd8448eb211c80319c"
    })
    expect(logged.records()[0]).toMatchObject({ trace_id: "0af7651916cd43dd8448eb211c80319c" })
  })
})

describe("on a terminal", () => {
  const plain = (line: string) => line.replaceAll(/\u001b\[[0-9;]*m/g, "").replaceAll(/ +/g, " ")

  it("a request is one line: what, where, how long, how fast, and what went wrong", () => {
    const logged = logging({ form: "pretty", usage: () => ({ inputTokens: 700, outputTokens: 100, tokensPerSecond: 81 }) })
    request(logged, [{}])
    request(logged, [{ endpoint: "gpu-1", failed: "tls" }, { endpoint: "gpu-2" }])
    request(logged, [{ status: 500 }], undefined, answered('{"error":"CUDA out of memory"}'))
    request(logged, [{ failed: "client_gone" }], { _tag: "cancelled", status: 200, committed: true })
    const lines = logged.lines().map(plain)
    expect(lines).toHaveLength(5)
    expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d 200 chat qwen3:32b → desk \S+ first 310ms 700→100 tok 81\/s woolly-/)
    expect(lines[2]).toMatch(/200 chat qwen3:32b → gpu-2 .* 2 attempts \(gpu-1 tls\)/)
    expect(lines[3]).toMatch(/500 chat qwen3:32b → desk .* upstream_5xx: CUDA out of memory/)
    expect(lines[4]).toMatch(/499 chat qwen3:32b → desk .* client left while streaming/)
  })

  it("local routes are silent below 400, and tell what was asked above", () => {
    const logged = logging({ form: "pretty" })
    for (const [path, status] of [
      ["/internal/status", 200],
      ["/version", 200],
      ["/nope", 404]
    ] as const) {
      const exchange = newExchange({ method: "GET", path, model: "" })
      logged.log.started({ exchange, remote: "", header: () => "" })
      logged.log.access({ exchange, remote: "", header: () => "", status, responseBytes: 1 })
    }
    expect(logged.lines().map(plain)).toEqual([expect.stringMatching(/404 GET \/nope/)])
  })
})
