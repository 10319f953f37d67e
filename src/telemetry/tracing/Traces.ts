/**
 * Traces from end to end: decides what is traced, makes spans of what has ended and has them sent. The OpenTelemetry libraries are
 * loaded here and nowhere else, so that a daemon that sends no traces does not pay for them.
 */
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { TraceSettings } from "../../config/TraceSettings.ts"
import { attemptFailed } from "../../exchange/Cause.ts"
import type { ExchangeObserver } from "../../exchange/Observer.ts"
import type { Tracing } from "../../exchange/Tracing.ts"
import { build } from "../../version.ts"
import { type Collector, openCollector, type TraceSerializer } from "./Collector.ts"
import { exchangeSpans, type SpanSources } from "./ExchangeSpans.ts"
import { identify, keptBy, makeSampling } from "./Sampling.ts"
import type { SpanOrigin } from "./Span.ts"
import { exportSpans } from "./SpanExport.ts"
import { jsonEncoding } from "./SpanJson.ts"
import { objectEncoding, type SpanCounts, type SpanEncoding, SpanQueue } from "./SpanQueue.ts"

/** What became of spans; `undefined` where no traces are sent. */
export const TraceCounts = Context.Reference<(() => SpanCounts) | undefined>("olla/telemetry/TraceCounts", {
  defaultValue: () => undefined
})

export interface Traces {
  readonly tracing: Tracing
  /** Before all others: records of what failed have the trace's id, and figures know whether it is exported. */
  readonly observer: ExchangeObserver
  readonly counts: () => SpanCounts
  /** For Effect's own spans; `undefined`: none are wanted. */
  readonly tracer: Tracer.Tracer | undefined
}

type Journal = (level: "warn" | "info", message: string, fields: Readonly<Record<string, unknown>>) => void

export interface TraceParts extends Omit<SpanSources, "origin"> {
  readonly write: Journal
}

const resourceAttributes = ({ serviceName, resource }: TraceSettings) => ({
  ...resource,
  "service.name": serviceName,
  "service.version": build.version,
  "service.instance.id": randomUUID(),
  "host.name": hostname(),
  "process.pid": process.pid,
  "process.runtime.name": "nodejs",
  "process.runtime.version": process.versions.node
})

const load = Effect.promise(() =>
  Promise.all([import("@opentelemetry/otlp-transformer"), import("@opentelemetry/resources"), import("./ControlPlaneTracer.ts")])
)

const observerOf = <Packed>(settings: TraceSettings, sources: SpanSources, queue: SpanQueue<Packed>): ExchangeObserver => ({
  dispatched: () => {},
  attemptEnded: (exchange, attempt) => {
    if (!exchange.isSampled && settings.keepErrors && attemptFailed(attempt)) identify(exchange)
  },
  ended: (exchange) => {
    const kept = exchange.isSampled ? undefined : keptBy(exchange, settings)
    if (!exchange.isSampled && kept === undefined) return
    identify(exchange)
    exchange.isExported = queue.offer(exchangeSpans(exchange, kept, sources))
  }
})

type Connect = (settings: TraceSettings, serializer: TraceSerializer) => Collector

const openWith = Effect.fnUntraced(function* <Packed>(
  settings: TraceSettings,
  parts: TraceParts,
  origin: SpanOrigin,
  encoding: SpanEncoding<Packed>,
  collector: Collector,
  { controlPlaneTracer }: typeof import("./ControlPlaneTracer.ts")
) {
  const queue = new SpanQueue(settings.queue, encoding)
  const host = { collector: new URL(settings.url).host }
  const clock = yield* Clock.Clock
  const events = {
    failing: (why: string) => parts.write("warn", "Traces cannot be sent", { ...host, error: why }),
    working: (dropped: number) => parts.write("info", "Traces are sent again", { ...host, dropped })
  }
  yield* exportSpans(queue, collector, encoding.body, settings, events, () => clock.currentTimeMillisUnsafe())
  return {
    tracing: makeSampling(settings),
    observer: observerOf(settings, { ...parts, origin }, queue),
    counts: () => queue.counts,
    tracer: settings.controlPlane === "none" ? undefined : yield* controlPlaneTracer(origin, settings, (spans) => void queue.offer(spans))
  }
})

/** Sends until the scope is closed, and what is left then. */
export const openTraces: (settings: TraceSettings, parts: TraceParts, connect?: Connect) => Effect.Effect<Traces, never, Scope.Scope> =
  Effect.fnUntraced(function* (settings, parts, connect = openCollector) {
    const [{ JsonTraceSerializer, ProtobufTraceSerializer }, { resourceFromAttributes }, controlPlane] = yield* load
    const isJson = settings.protocol === "http/json"
    const collector = connect(settings, isJson ? JsonTraceSerializer : ProtobufTraceSerializer)
    const origin: SpanOrigin = {
      resource: resourceFromAttributes(resourceAttributes(settings)),
      scope: { name: "olla", version: build.version }
    }
    const encodeObjects = (spans: Array<ReadableSpan>) => ProtobufTraceSerializer.serializeRequest(spans)
    return isJson
      ? yield* openWith(settings, parts, origin, jsonEncoding(origin), collector, controlPlane)
      : yield* openWith(settings, parts, origin, objectEncoding(encodeObjects), collector, controlPlane)
  })
