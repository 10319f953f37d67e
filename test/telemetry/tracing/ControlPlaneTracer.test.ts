import { resourceFromAttributes } from "@opentelemetry/resources"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { describe, expect, it } from "vitest"
import { changed, failed, ownSpan, ownTraceparent } from "../../../src/endpoint/OwnSpan.ts"
import { controlPlaneTracer } from "../../../src/telemetry/tracing/ControlPlaneTracer.ts"

const origin = { resource: resourceFromAttributes({}), scope: { name: "olla", version: "1" } }

/** Names of the spans that are sent of these doings, and the context that backends were told of meanwhile. */
const sent = (controlPlane: "changes" | "all", ratio: number) => {
  const spans: Array<ReadableSpan> = []
  const told: Array<string> = []
  const ask = Effect.map(ownTraceparent, (traceparent) => void told.push(traceparent))
  const doings = Effect.all([
    ownSpan("endpoint.probe", { "olla.endpoint": "quiet" })(ask),
    ownSpan("endpoint.probe", { "olla.endpoint": "back" })(Effect.andThen(ask, changed)),
    ownSpan("endpoint.discover", { "olla.endpoint": "broken" })(Effect.andThen(ask, failed("http_error"))),
    ownSpan("catalogue.rebuild", {})(Effect.void),
    ownSpan("config.reload", {})(Effect.void)
  ])
  const tracer = Effect.runSync(controlPlaneTracer(origin, { controlPlane, ratio }, (ended) => spans.push(...ended)))
  Effect.runSync(Effect.provideService(doings, Tracer.Tracer, tracer))
  return { names: spans.map(({ name, attributes }) => [name, attributes["olla.endpoint"]].filter(Boolean).join(" ")), told, spans }
}

describe("spans of Olla's own doings", () => {
  it("are sent where something changed, failed or was asked for, and then tell backends nothing", () => {
    const { names, told } = sent("changes", 1)
    expect(names).toEqual(["endpoint.probe back", "endpoint.discover broken", "config.reload"])
    expect(told).toEqual(["", "", ""])
  })

  it("are all sent where all are wanted, and backends are told their span", () => {
    const { names, told, spans } = sent("all", 1)
    expect(names.length).toBe(5)
    expect(told).toEqual(spans.slice(0, 3).map((span) => `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`))
  })

  it("are sampled where all are wanted, but for changes", () => {
    expect(sent("all", 0).names).toEqual(["endpoint.probe back", "endpoint.discover broken", "config.reload"])
  })
})
