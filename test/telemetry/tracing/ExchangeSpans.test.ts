import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import { resourceFromAttributes } from "@opentelemetry/resources"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Attempt, type Exchange, type Outcome } from "../../../src/exchange/Exchange.ts"
import { type FailureKind, failure, failureRules } from "../../../src/exchange/Failure.ts"
import { attemptPhases } from "../../../src/exchange/Phases.ts"
import { exchangeSpans, type SpanSources } from "../../../src/telemetry/tracing/ExchangeSpans.ts"
import { routeNames } from "../../../src/telemetry/tracing/RouteNames.ts"
import { identify, makeSampling } from "../../../src/telemetry/tracing/Sampling.ts"
import { jsonEncoding } from "../../../src/telemetry/tracing/SpanJson.ts"
import { profiles } from "../../catalogue/fakes.ts"
import { endpointOf, newExchange } from "../exchanges.ts"
import { type DecodedSpan, decodeSpans } from "./otlp.ts"

const sources: SpanSources = {
  origin: { resource: resourceFromAttributes({ "service.name": "olla" }), scope: { name: "olla", version: "1.2.3" } },
  usage: () => ({ inputTokens: 7, outputTokens: 5, model: "m-2507", finishReason: "stop" }),
  routeOf: routeNames(profiles),
  offered: (model) => (model === "m" ? "m" : undefined),
  words: () => "CUDA out of memory"
}
const ownJson = jsonEncoding(sources.origin)
const rules = { ratio: 1, followsClient: true, parent: "continue", keepErrors: true, keepSlow: 0 } as const
const client = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

interface Try {
  readonly name: string
  readonly marks: Partial<Attempt["timings"]>
  readonly ended: number
  readonly status?: number
  readonly failed?: FailureKind
  readonly model?: string
}

const story = (outcome: Outcome, tries: ReadonlyArray<Try>, traceparent = "", parent: "continue" | "link" = "continue"): Exchange => {
  const exchange = newExchange()
  makeSampling({ ...rules, parent }).accepted(exchange, traceparent)
  Object.assign(exchange.timings, { received: 1_020, routed: 1_021 })
  exchange.stream = true
  for (const { name, marks, ended, status, failed, model } of tries) {
    const attempt = new Attempt(
      { endpoint: endpointOf(name), endpointName: name, endpointType: "vllm", profileName: "vllm", model: model ?? "m" },
      marks.leased ?? 1_022
    )
    Object.assign(attempt.timings, marks)
    attempt.target = "/v1/chat/completions?key=hidden"
    attempt.ended = ended
    attempt.status = status ?? 0
    if (failed !== undefined) attempt.failure = failure(failed, "10.0.0.5:8000")
    exchange.attempts.push(attempt)
  }
  exchange.settle(outcome)
  exchange.timings.ended = 1_900
  identify(exchange)
  return exchange
}

const asSent = (exchange: Exchange): ReadonlyArray<DecodedSpan> => {
  const spans = [...exchangeSpans(exchange, undefined, sources)]
  const [json, proto] = [JsonTraceSerializer, ProtobufTraceSerializer].map((each) => each.serializeRequest(spans) as Uint8Array)
  const own = ownJson.body([ownJson.pack(spans), ownJson.pack(spans)]) as Uint8Array
  const decoded = decodeSpans("application/json", json as Uint8Array)
  expect(decodeSpans("application/x-protobuf", proto as Uint8Array)).toEqual(decoded)
  expect(decodeSpans("application/json", own)).toEqual([...decoded, ...decoded])
  return decoded
}

/** Indented by parent: name, status and length in milliseconds. */
const tree = (spans: ReadonlyArray<DecodedSpan>): ReadonlyArray<string> => {
  const below = (parent: string, depth: number): ReadonlyArray<string> =>
    spans
      .filter(({ parentSpanId }) => parentSpanId === parent)
      .flatMap((span) => [
        `${"  ".repeat(depth)}${span.name}${span.status === "" ? "" : ` ${span.status}`} ${Math.round(Number(span.end - span.start) / 1e6)}`,
        ...below(span.spanId, depth + 1)
      ])
  const root = spans.find(({ kind }) => kind === 2)
  return below(root?.parentSpanId ?? "", 0)
}

const dead: Try = { name: "gpu-1", marks: { leased: 1_022, started: 1_022 }, ended: 1_050, failed: "refused" }
const good: Try = {
  name: "gpu-2",
  marks: { leased: 1_051, started: 1_051, connected: 1_055, sent: 1_056, headers: 1_400, firstByte: 1_410, lastByte: 1_890 },
  ended: 1_890,
  status: 200
}

describe("the spans of a request", () => {
  it("are a tree of what took long and of its attempts, below the client's span", () => {
    const spans = asSent(story({ _tag: "completed", status: 200 }, [dead, good], client))
    expect(tree(spans)).toEqual(["POST /olla/proxy/v1/chat/completions 900", "  receive 20", "  chat m ERROR 28", "  chat m 839"])
    const [server, , first, second] = spans as [DecodedSpan, DecodedSpan, DecodedSpan, DecodedSpan]
    expect([server.traceId, server.parentSpanId]).toEqual([client.slice(3, 35), client.slice(36, 52)])
    expect(server.attributes).toMatchObject({
      "http.response.status_code": 200,
      "olla.outcome": "ok",
      "olla.attempts": 2,
      "olla.endpoint": "gpu-2",
      "olla.overhead_ms": 3
    })
    expect(first.attributes).toMatchObject({ "olla.attempt": 1, "olla.cause": "connect_refused", "error.type": "connect_refused" })
    expect(first.message).toMatch(/^connection refused after 0.1s/)
    expect(first.attributes).not.toHaveProperty("olla.wait_ms")
    expect(second.attributes).toMatchObject({
      "olla.attempt": 2,
      "http.request.resend_count": 1,
      "olla.connection": "new",
      "olla.connect_ms": 4,
      "olla.wait_ms": 344,
      "olla.first_ms": 10,
      "olla.stream_ms": 480,
      "url.full": "http://gpu-2:11434/v1/chat/completions",
      "server.address": "gpu-2",
      "server.port": 11434,
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "m",
      "gen_ai.response.model": "m-2507",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": 7,
      "gen_ai.usage.output_tokens": 5
    })
    expect([server.events, first.events, second.events]).toEqual([
      ["received", "routed"],
      [],
      ["connected", "sent", "headers", "first_byte", "last_byte"]
    ])
    expect(new Set(spans.map(({ scope }) => scope))).toEqual(new Set(["olla@1.2.3"]))
    expect(JSON.stringify(spans, (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain("hidden")
  })

  it("show each wait for somebody who could take it, and how urgent it was", () => {
    const exchange = story({ _tag: "completed", status: 200 }, [dead, { ...good, marks: { ...good.marks, leased: 1_051 } }])
    exchange.urgency = "low"
    exchange.beginWait(1_021)
    exchange.endWait(1_022)
    exchange.beginWait(1_051)
    exchange.endWait(1_091)
    const spans = asSent(exchange)
    expect(tree(spans)).toEqual([
      "POST /olla/proxy/v1/chat/completions 900",
      "  receive 20",
      "  queue 40",
      "  chat m ERROR 28",
      "  chat m 839"
    ])
    expect(spans[0]?.attributes).toMatchObject({ "olla.class": "low" })
  })

  it("that was refused are one, and no error below 500", () => {
    const refused = (status: number, reason: string) => asSent(story({ _tag: "rejected", status, reason }, []))
    expect(tree(refused(404, "model_not_found"))).toEqual(["POST /olla/proxy/v1/chat/completions 900", "  receive 20"])
    expect(tree(refused(503, "no_endpoints"))[0]).toBe("POST /olla/proxy/v1/chat/completions ERROR 900")
  })

  it("whose client left are no error, and say 499", () => {
    const [server, , attempt] = asSent(
      story({ _tag: "cancelled", status: 200, committed: true }, [{ ...good, failed: "client_gone" }])
    ) as [DecodedSpan, DecodedSpan, DecodedSpan]
    expect([server.status, attempt.status, server.attributes["http.response.status_code"], server.events.at(-1)]).toEqual([
      "",
      "",
      499,
      "cancelled"
    ])
    expect(server.attributes).toMatchObject({ "olla.outcome": "cancelled", "olla.cause": "cancelled_streaming", "olla.phase": "stream" })
  })

  it("that a backend answered with an error have the backend's own words", () => {
    const spans = asSent(story({ _tag: "completed", status: 500 }, [{ ...good, status: 500 }]))
    expect(spans.at(-1)).toMatchObject({ status: "ERROR", message: "CUDA out of memory" })
    expect(spans.at(-1)?.attributes).toMatchObject({
      "error.type": "500",
      "olla.error": "CUDA out of memory",
      "olla.cause": "upstream_5xx"
    })
    expect(spans[0]?.attributes["error.type"]).toBe("upstream_5xx")
  })

  it("with a model that nobody offers, a method or a path that nobody knows have bounded names", () => {
    const exchange = story({ _tag: "completed", status: 200 }, [{ ...good, model: "junk-4711" }])
    Object.assign(exchange, { method: "BREW", path: "/olla/vllm/x/4711" })
    expect(asSent(exchange).map(({ name }) => name)).toEqual(["HTTP /olla/vllm/*", "receive", "chat other"])
    expect(["/olla/proxy/api/chat", "/olla/none/4711", "/v1/messages", "/v1/4711"].map(sources.routeOf)).toEqual([
      "/olla/proxy/api/chat",
      "/olla/*",
      "/v1/messages",
      "/*"
    ])
  })

  it("that only link to a client's trace are a trace of their own", () => {
    const [server] = asSent(story({ _tag: "completed", status: 200 }, [good], client, "link")) as [DecodedSpan]
    expect([server.parentSpanId, server.links]).toEqual(["", [client.slice(3, 52)]])
    expect(server.traceId).not.toBe(client.slice(3, 35))
  })

  it("are the same in both encodings, whatever happened, and as long as their phases", () => {
    const mark = fc.oneof(fc.constant(0), fc.integer({ min: 1_000, max: 2_000 }))
    const marks = fc.record({
      leased: fc.integer({ min: 1_000, max: 2_000 }),
      started: mark,
      connected: mark,
      sent: mark,
      headers: mark,
      firstByte: mark,
      lastByte: mark
    })
    const kinds = Object.keys(failureRules) as Array<FailureKind>
    const tries = fc.array(
      fc.record({
        name: fc.constantFrom("a", "b"),
        marks,
        ended: fc.integer({ min: 2_000, max: 2_100 }),
        status: fc.constantFrom(0, 200, 404, 500),
        failed: fc.constantFrom(undefined, ...kinds)
      }),
      { maxLength: 3 }
    )
    fc.assert(
      fc.property(
        tries,
        fc.constantFrom<Outcome>({ _tag: "completed", status: 200 }, { _tag: "cancelled", status: 499, committed: false }),
        (each, outcome) => {
          const exchange = story(outcome, each as ReadonlyArray<Try>)
          const spans = asSent(exchange)
          const attempts = spans.filter(({ kind }) => kind === 3)
          expect(attempts.length).toBe(each.length)
          for (const [index, span] of attempts.entries()) {
            const { total, ...phases } = attemptPhases(exchange.attempts[index] as Attempt)
            expect(Math.abs(Number(span.end - span.start) / 1e6 - total)).toBeLessThan(0.01)
            for (const [name, value] of Object.entries(phases)) {
              const told = span.attributes[`olla.${name}_ms`]
              if (told !== undefined) expect(Math.abs((told as number) - (value as number))).toBeLessThan(0.01)
            }
          }
        }
      )
    )
  })
})
