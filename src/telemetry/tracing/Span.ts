/** One span as the OpenTelemetry libraries read it, without their machinery for spans that are still being recorded. */
import type { Attributes, HrTime, Link, SpanContext, SpanStatus } from "@opentelemetry/api"
import type { Resource } from "@opentelemetry/resources"
import type { ReadableSpan, TimedEvent } from "@opentelemetry/sdk-trace-base"

/** Of the libraries' enumerations, which would have to be loaded for them. */
export const spanKind = { internal: 0, server: 1, client: 2 } as const
export const statusCode = { unset: 0, error: 2 } as const

/** What all spans of this process have in common. */
export interface SpanOrigin {
  readonly resource: Resource
  readonly scope: { readonly name: string; readonly version: string }
}

/** Epoch milliseconds. */
export const hrTime = (millis: number): HrTime => {
  const seconds = Math.floor(millis / 1000)
  return [seconds, Math.min(999_999_999, Math.round((millis - seconds * 1000) * 1e6))]
}

export interface SpanFields {
  readonly name: string
  readonly kind: 0 | 1 | 2
  readonly traceId: string
  readonly spanId: string
  readonly parent: SpanContext | undefined
  /** Epoch milliseconds. */
  readonly start: number
  readonly end: number
  readonly attributes: Attributes
  readonly events: Array<TimedEvent>
  readonly status: SpanStatus
  readonly links: Array<Link>
}

const sampledFlag = 1

export const contextOf = (traceId: string, spanId: string, isRemote = false): SpanContext =>
  isRemote ? { traceId, spanId, traceFlags: sampledFlag, isRemote } : { traceId, spanId, traceFlags: sampledFlag }

const unset: SpanStatus = { code: statusCode.unset }
export const noStatus = unset

export class FinishedSpan implements ReadableSpan {
  readonly name: string
  readonly kind: 0 | 1 | 2
  readonly startTime: HrTime
  readonly endTime: HrTime
  readonly duration: HrTime
  readonly status: SpanStatus
  readonly attributes: Attributes
  readonly links: Array<Link>
  readonly events: Array<TimedEvent>
  readonly ended = true
  readonly resource: Resource
  readonly instrumentationScope: SpanOrigin["scope"]
  readonly droppedAttributesCount = 0
  readonly droppedEventsCount = 0
  readonly droppedLinksCount = 0
  readonly #context: SpanContext
  readonly parentSpanContext?: SpanContext

  constructor(fields: SpanFields, origin: SpanOrigin) {
    const { name, kind, traceId, spanId, parent, start, attributes, events, status, links } = fields
    const end = Math.max(fields.end, start)
    this.name = name
    this.kind = kind
    this.startTime = hrTime(start)
    this.endTime = hrTime(end)
    this.duration = hrTime(end - start)
    this.status = status
    this.attributes = attributes
    this.links = links
    this.events = events
    this.resource = origin.resource
    this.instrumentationScope = origin.scope
    this.#context = contextOf(traceId, spanId)
    if (parent !== undefined) this.parentSpanContext = parent
  }

  spanContext(): SpanContext {
    return this.#context
  }
}
