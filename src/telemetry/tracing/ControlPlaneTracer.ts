/**
 * Effect's own spans (`Effect.withSpan`) of what Olla does by itself: through the OpenTelemetry SDK into the same queue. Which of them
 * are of interest is known when they end: a probe that found nothing new is none.
 */

import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import type { Attributes, Context as OtelContext } from "@opentelemetry/api"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import { BasicTracerProvider, type Sampler, SamplingDecision, type SpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { TraceSettings } from "../../config/TraceSettings.ts"
import { randomnessOf } from "../../exchange/TraceContext.ts"
import type { SpanOrigin } from "./Span.ts"

type Rules = Pick<TraceSettings, "controlPlane" | "ratio">

/** A rebuild that takes longer is told, in milliseconds. */
const longRebuild = 100
/** Always of interest: somebody asked for it. */
const reload = "config.reload"

const millisOf = ([seconds, nanos]: readonly [number, number]): number => seconds * 1000 + nanos / 1e6

const isSampled = (traceId: string, { controlPlane, ratio }: Rules): boolean => controlPlane === "all" && randomnessOf(traceId) >= 1 - ratio

/** Is this one of interest, now that it has ended? */
export const isChange = ({
  name,
  attributes,
  duration,
  status
}: Pick<ReadableSpan, "name" | "attributes" | "duration" | "status">): boolean =>
  name === reload ||
  attributes["olla.changed"] === true ||
  attributes["error.type"] !== undefined ||
  status.code === 2 ||
  (name === "catalogue.rebuild" && millisOf(duration) > longRebuild)

export const controlPlaneTracer = (
  origin: SpanOrigin,
  rules: Rules,
  offer: (spans: ReadonlyArray<ReadableSpan>) => void
): Effect.Effect<Tracer.Tracer> => {
  const sampler: Sampler = {
    // All are recorded; those that are not sampled at their beginning are told to nobody before their end.
    shouldSample: (_context: OtelContext, traceId: string, _name: string, _kind: number, _attributes: Attributes) => ({
      decision: isSampled(traceId, rules) ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.RECORD
    }),
    toString: () => "olla"
  }
  const processor: SpanProcessor = {
    onStart: () => {},
    onEnd: (span) => {
      if (isChange(span) || isSampled(span.spanContext().traceId, rules)) offer([span])
    },
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve()
  }
  const provider = new BasicTracerProvider({ resource: origin.resource, sampler, spanProcessors: [processor] })
  const tracer = provider.getTracer(origin.scope.name, origin.scope.version)
  return Effect.provideService(OtelTracer.make, OtelTracer.OtelTracer, tracer)
}
