import { describe, expect, it } from "vitest"
import { type Fields, type Level, makeSink } from "../../../src/telemetry/LogSink.ts"
import { compactBytes } from "../../../src/telemetry/requests/RequestFields.ts"
import { makeRequestLog } from "../../../src/telemetry/requests/RequestLog.ts"
import type { Usage } from "../../../src/telemetry/Usage.ts"
import { attempt, end, newExchange } from "../exchanges.ts"

interface Options {
  readonly level?: Level
  readonly form?: "json" | "text" | "pretty"
  readonly requests?: "brief" | "full"
  readonly quiet?: boolean
  readonly slow?: number
  readonly usage?: Usage
}

const logging = (options: Options = {}) => {
  let text = ""
  const sink = makeSink({
    level: options.level ?? "info",
    form: options.form ?? "json",
    out: (lines) => {
      text += lines
    }
  })
  const log = makeRequestLog(sink, {
    form: () => options.requests ?? "full",
    quiet: () => options.quiet ?? false,
    slow: () => options.slow ?? 0,
    usage: () => options.usage
  })
  const records = (): ReadonlyArray<Fields> => {
    sink.flush()
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line))
  }
  return {
    log,
    records,
    raw: () => {
      sink.flush()
      return text
    }
  }
}

const headers: Readonly<Record<string, string>> = {
  "user-agent": "curl/8",
  "content-type": "application/json",
  accept: "*/*",
  "content-length": "1229"
}
const header = (name: string): string => headers[name] ?? ""
const keysOf = (record: Fields | undefined) => Object.keys(record ?? {}).slice(4)

const phases = { leased: 1004, started: 1006, headers: 1050, firstByte: 1055, lastByte: 1095 }

describe("a proxied request", () => {
  it("is received, dispatched and completed, in the fields of the page", () => {
    const { log, records } = logging({
      usage: { inputTokens: 5, outputTokens: 7, totalTokens: 12, tokensPerSecond: 3.08, ttftMs: 20, model: "qwen3" }
    })
    const exchange = newExchange()
    exchange.candidates = 2
    exchange.requestBytes = 321
    exchange.verdict = { strategy: "strict", action: "routed", reason: "", status: 200 }
    exchange.sticky = { outcome: "hit", source: "session_header" }
    exchange.sessionId = "s1"
    log.received(exchange, "curl/8")
    attempt(log.observer, exchange, { bytes: 55 })
    end(log.observer, exchange)
    const [received, dispatching, completed, ...rest] = records()
    expect(rest).toEqual([])
    expect(received).toMatchObject({
      level: "INFO",
      msg: "Request received",
      request_id: exchange.id,
      client_ip: "127.0.0.1",
      compatible_endpoints: 2,
      model: "qwen3:8b",
      content_length: 321
    })
    expect(dispatching).toMatchObject({ msg: "Request dispatching", endpoint: "desk", target: "http://desk:11434", model: "qwen3:8b" })
    expect(keysOf(completed)).toEqual([
      ...[
        "request_id",
        "endpoint",
        "duration_ms",
        "status",
        "http_status",
        "model",
        "total_bytes",
        "input_tokens",
        "output_tokens",
        "total_tokens"
      ],
      ...["tokens_per_sec", "ttft_ms", "provider_model", "routing_strategy", "routing_action", "sticky_outcome", "session_id"]
    ])
    expect(completed).toMatchObject({
      msg: "Request completed",
      status: "completed",
      http_status: 200,
      tokens_per_sec: "3.1",
      sticky_outcome: "hit"
    })
  })

  it("tells every phase at debug", () => {
    const { log, records } = logging({ level: "debug" })
    const exchange = newExchange()
    Object.assign(exchange.timings, { received: 1001, routed: 1003 })
    attempt(log.observer, exchange, { timings: phases })
    end(log.observer, exchange)
    expect(records().find(({ msg }) => msg === "Request metrics")).toMatchObject({
      endpoint: "desk",
      client_ip: "127.0.0.1",
      latency_ms: 100,
      request_processing_ms: 6,
      backend_response_ms: 44,
      first_data_ms: 55,
      streaming_ms: 40,
      header_processing_ms: 2,
      path_resolution_ms: 2,
      selection_ms: 1
    })
  })

  it("tells at debug how it was taken, carried and measured, once each and without secrets", () => {
    const { log, records, raw } = logging({
      level: "debug",
      usage: { inputTokens: 5, outputTokens: 7, totalTokens: 12, finishReason: "stop" }
    })
    const exchange = newExchange({ query: "api_key=hidden&n=1" })
    exchange.candidates = 2
    Object.assign(exchange.timings, { received: 1001, routed: 1003 })
    log.received(exchange, "curl/8", { target: "/v1/chat?api_key=hidden&n=1", contentType: "application/json" })
    attempt(log.observer, exchange, { timings: phases, bytes: 2048 })
    end(log.observer, exchange)
    const debug = records().filter(({ level }) => level === "DEBUG")
    expect(debug.map(({ msg }) => msg)).toEqual([
      "Proxy handler called",
      "Request details",
      "Proxy request started",
      "Request metrics",
      "Proxy metrics",
      "Metrics extracted"
    ])
    expect(debug[0]).toMatchObject({ path: exchange.path, method: "POST" })
    expect(debug[1]).toMatchObject({
      target_path: "/v1/chat",
      path_resolution_ms: 2,
      query: "api_key=[REDACTED]&n=1",
      content_type: "application/json"
    })
    expect(debug[2]).toMatchObject({ method: "POST", url: `${exchange.path}?api_key=[REDACTED]&n=1`, endpoint_count: 2, engine: "olla" })
    expect(debug[4]).toMatchObject({
      endpoint: "desk",
      latency_ms: 100,
      processing_ms: 6,
      backend_ms: 44,
      first_data_ms: 55,
      streaming_ms: 40,
      selection_ms: 1,
      header_ms: 2,
      total_bytes: 2048,
      bytes_formatted: "2.0KB",
      status: 200,
      finish_reason: "stop"
    })
    expect(debug[5]).toMatchObject({ engine: "olla", tokens: 12 })
    expect(raw()).not.toContain("hidden")
  })

  it("names failure, retry and final failure with request id and address, at their levels", () => {
    const { log, records } = logging()
    const exchange = newExchange()
    exchange.candidates = 2
    attempt(log.observer, exchange, { endpoint: "dead", failed: "refused" })
    attempt(log.observer, exchange, { endpoint: "mute", failed: "header_timeout" })
    end(log.observer, exchange)
    expect(records().map(({ level, msg }) => [level, msg])).toEqual([
      ["INFO", "Request dispatching"],
      ["WARN", "Connection failed to endpoint, marking as unhealthy"],
      ["INFO", "Retrying request with different endpoint"],
      ["INFO", "Request dispatching"],
      ["ERROR", "round-trip failed"],
      ["ERROR", "Request failed"]
    ])
    expect(records()[1]).toMatchObject({ endpoint: "dead", error: "refused: refused at 10.0.0.5:8000", attempt: 1, remaining_endpoints: 1 })
    expect(records().every((record) => record["request_id"] === exchange.id)).toBe(true)
  })

  it("that the client left is no failure", () => {
    const { log, records } = logging()
    const exchange = newExchange()
    attempt(log.observer, exchange, { failed: "client_gone" })
    end(log.observer, exchange, { _tag: "cancelled", status: 499, committed: false })
    expect(records().map(({ level, msg, http_status }) => [level, msg, http_status])).toEqual([
      ["INFO", "Request dispatching", undefined],
      ["INFO", "Request cancelled", 499]
    ])
  })

  it("that was turned away by routing is a warning, by limits the guard's affair", () => {
    const { log, records } = logging()
    const routed = newExchange()
    routed.verdict = { strategy: "strict", action: "rejected", reason: "model_not_found", status: 404 }
    end(log.observer, routed, { _tag: "rejected", status: 404, reason: "model_not_found" })
    end(log.observer, newExchange(), { _tag: "rejected", status: 429, reason: "rate_limited" })
    expect(records()).toHaveLength(1)
    expect(records()[0]).toMatchObject({
      level: "WARN",
      msg: "Request rejected",
      client_ip: "127.0.0.1",
      status: 404,
      routing_strategy: "strict",
      routing_action: "rejected",
      routing_reason: "model_not_found"
    })
  })

  it("that took too long is named, when a threshold is set", () => {
    const { log, records } = logging({ level: "warn", slow: 5 })
    const exchange = newExchange()
    exchange.timings.accepted = performance.now() - 50
    attempt(log.observer, exchange)
    end(log.observer, exchange)
    expect(records()).toMatchObject([{ level: "WARN", msg: "Slow request", endpoint: "desk", model: "qwen3:8b", status: 200 }])
  })

  it("carries a trace id in every record when the client sent one", () => {
    const { log, records } = logging()
    const exchange = newExchange()
    exchange.traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
    log.received(exchange, "")
    attempt(log.observer, exchange)
    end(log.observer, exchange)
    expect(new Set(records().map((record) => record["trace_id"]))).toEqual(new Set([exchange.traceId]))
  })
})

describe("the access log", () => {
  it("has the fields of the page, the query redacted", () => {
    const { log, records } = logging()
    const exchange = newExchange({ path: "/olla/ollama/api/tags", query: "api_key=x&a=1" })
    log.access({ exchange, remote: "127.0.0.1:5000", header, status: 200, responseBytes: 40 })
    const [record] = records()
    expect(keysOf(record)).toEqual([
      ...[
        "request_id",
        "request_time",
        "remote_addr",
        "method",
        "path",
        "query",
        "status",
        "request_bytes",
        "response_bytes",
        "duration_ms"
      ],
      ...["user_agent", "referer", "content_type", "accept"]
    ])
    expect(record).toMatchObject({
      msg: "Access log",
      query: "api_key=[REDACTED]&a=1",
      request_bytes: 1229,
      response_bytes: 40,
      referer: ""
    })
    expect(new Date(String(record?.["request_time"])).getTime()).toBe(exchange.startedAt)
  })

  it("never stands on a text console", () => {
    const { log, raw } = logging({ form: "text" })
    log.access({ exchange: newExchange(), remote: "", header, status: 200, responseBytes: 0 })
    expect(raw()).toBe("")
  })

  it.each([
    ["GET", "/internal/status", 200, "DEBUG", "DEBUG"],
    ["GET", "/internal/status", 304, "DEBUG", "DEBUG"],
    ["GET", "/internal/status", 404, "INFO", "INFO"],
    ["POST", "/internal/health", 200, "INFO", "INFO"],
    ["GET", "/version", 200, "INFO", "INFO"],
    ["POST", "/olla/proxy/v1/x", 502, "DEBUG", "INFO"],
    ["GET", "/api/tags", 200, "DEBUG", "INFO"],
    ["GET", "/api/v0/models", 200, "INFO", "INFO"]
  ])("of %s %s with %i: console line at %s, record at %s", (method, path, status, console, record) => {
    const { log, records } = logging({ level: "debug" })
    log.access({ exchange: newExchange({ method, path }), remote: "", header, status, responseBytes: 0 })
    expect(records().map(({ level, msg }) => [level, msg])).toEqual([
      [console, console === "DEBUG" ? "HTTP request completed" : "Request completed"],
      [record, "Access log"]
    ])
  })

  it("begins with a started line, demoted for polling and proxy traffic", () => {
    const { log, records } = logging({ level: "debug" })
    for (const path of ["/version", "/internal/status", "/olla/proxy/x"])
      log.started({ exchange: newExchange({ method: "GET", path }), remote: "127.0.0.1:1", header })
    expect(records().map(({ msg }) => msg)).toEqual(["Request started", "HTTP request started", "HTTP request started"])
    expect(records()[0]).toMatchObject({
      remote_addr: "127.0.0.1:1",
      user_agent: "curl/8",
      request_bytes: 1229,
      request_size_formatted: "1.2KB"
    })
  })
})

describe("what an operator should know of a request's way", () => {
  it("once a minute: nobody is of a kind that knows its path", () => {
    const { log, records } = logging()
    for (let n = 0; n < 3; n++) log.widened(newExchange(), { supportedBy: ["vllm"], total: 2 })
    const [record, ...more] = records()
    expect(more).toEqual([])
    expect(record).toMatchObject({ level: "WARN", path: "/olla/proxy/v1/chat/completions", supported_by: ["vllm"], total_endpoints: 2 })
    expect(keysOf(record)).toEqual(["request_id", "path", "supported_by", "total_endpoints"])
  })

  it("its model is not known to be anywhere, and others are asked", () => {
    const { log, records } = logging()
    const exchange = newExchange()
    exchange.verdict = { strategy: "optimistic", action: "fallback", reason: "model_not_found_fallback", status: 200 }
    exchange.candidates = 2
    log.fellBack(exchange)
    expect(records()[0]).toMatchObject({
      level: "WARN",
      request_id: exchange.id,
      model: "qwen3:8b",
      strategy: "optimistic",
      reason: "model_not_found_fallback",
      compatible_endpoints: 2
    })
  })

  it("a translator's own error", () => {
    const { log, records } = logging()
    const exchange = newExchange()
    exchange.translator = { name: "anthropic", mode: "translation", fallbackReason: "", client: "messages", backend: "chat", dropped: "" }
    log.untranslated(exchange, 400, "model field must not be empty")
    expect(records()[0]).toMatchObject({
      level: "ERROR",
      request_id: exchange.id,
      translator: "anthropic",
      error: "model field must not be empty",
      status: 400
    })
  })
})

describe("with request_logging false", () => {
  it("nothing is written below 400", () => {
    const { log, raw } = logging({ level: "debug", quiet: true })
    const exchange = newExchange()
    log.started({ exchange, remote: "", header })
    log.received(exchange, "")
    attempt(log.observer, exchange)
    end(log.observer, exchange)
    log.access({ exchange, remote: "", header, status: 200, responseBytes: 0 })
    expect(raw()).toBe("")
  })

  it("what ended with 400 and above stays", () => {
    const { log, records } = logging({ quiet: true })
    const exchange = newExchange({ path: "/x" })
    attempt(log.observer, exchange, { status: 404 })
    end(log.observer, exchange)
    log.access({ exchange, remote: "", header, status: 404, responseBytes: 0 })
    expect(records().map(({ msg }) => msg)).toEqual(["Request completed", "Access log"])
  })
})

it.each([
  [0, "0B"],
  [1023, "1023B"],
  [1229, "1.2KB"],
  [3.4 * 1024 * 1024, "3.4MB"],
  [2 ** 60, "1.0EB"]
])("%i bytes are %s", (bytes, text) => expect(compactBytes(bytes)).toBe(text))
