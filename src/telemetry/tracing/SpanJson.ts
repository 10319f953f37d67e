/**
 * Spans in OTLP's JSON, written as soon as an exchange has ended: what waits to be sent is bytes. The OpenTelemetry project's encoder makes
 * an object of each attribute and a large integer of each time, which costs as much as relaying a request does.
 */
import type { AttributeValue, Link } from "@opentelemetry/api"
import type { ReadableSpan, TimedEvent } from "@opentelemetry/sdk-trace-base"
import { ByteWriter, type Written } from "./ByteWriter.ts"
import type { SpanOrigin } from "./Span.ts"
import type { SpanEncoding } from "./SpanQueue.ts"

const bytes = (text: string): Buffer => Buffer.from(text)

const yes = bytes('{"boolValue":true}}')
const no = bytes('{"boolValue":false}}')
const textHead = bytes('{"stringValue":')
const wholeHead = bytes('{"intValue":')
const brokenHead = bytes('{"doubleValue":')
const end = bytes("}}")
const comma = bytes(",")
const traceId = bytes('{"traceId":"')
const spanId = bytes('","spanId":"')
const parentSpanId = bytes('","parentSpanId":"')
const spanName = bytes('","name":')
const kind = bytes(',"kind":')
const startTime = bytes(',"startTimeUnixNano":"')
const endTime = bytes('","endTimeUnixNano":"')
const spanAttributes = bytes('","attributes":[')
const attributesEnd = bytes("]")
const lostAttributes = bytes(',"droppedAttributesCount":')
const events = bytes(',"events":[')
const eventsEnd = bytes("]")
const lostEvents = bytes(',"droppedEventsCount":')
const statusCode = bytes(',"status":{"code":')
const statusMessage = bytes(',"message":')
const statusEnd = bytes("}")
const links = bytes(',"links":[')
const linksEnd = bytes("]")
const lostLinks = bytes(',"droppedLinksCount":')
const flags = bytes(',"flags":')
const close = bytes("}")
const eventTime = bytes('{"timeUnixNano":"')
const eventName = bytes('","name":')
const eventAttributes = bytes(',"attributes":[')

/** What an attribute said last, and how that is written: most say what they said of the request before. */
interface Remembered {
  readonly head: Buffer
  said: string | undefined
  piece: Buffer
}

const longestRemembered = 256
/** Names of attributes: there are some sixty. */
const mostRemembered = 500

/** The lowest flags are the trace's own; then whether it is known where a context came from, and whether from elsewhere. */
const knownOrigin = 0x100
const fromElsewhere = 0x200
const flagsOf = (traceFlags: number, isRemote: boolean | undefined): number =>
  (traceFlags & 0xff) | knownOrigin | (isRemote === true ? fromElsewhere : 0)

export class SpanJson {
  readonly #out = new ByteWriter()
  readonly #remembered = new Map<string, Remembered>()
  #second = Number.NaN
  #secondText = close

  /** Of those that go together, without what is around them. */
  write(spans: ReadonlyArray<ReadableSpan>): Written {
    this.#out.begin()
    for (let i = 0; i < spans.length; i++) {
      if (i > 0) this.#out.bytes(comma)
      this.#span(spans[i] as ReadableSpan)
    }
    return this.#out.end()
  }

  /** What was written last is not wanted. */
  undo(): void {
    this.#out.undo()
  }

  #span(span: ReadableSpan): void {
    const out = this.#out
    const context = span.spanContext()
    const parent = span.parentSpanContext
    out.bytes(traceId)
    out.ascii(context.traceId)
    out.bytes(spanId)
    out.ascii(context.spanId)
    if (parent !== undefined) {
      out.bytes(parentSpanId)
      out.ascii(parent.spanId)
    }
    out.bytes(spanName)
    out.quoted(span.name)
    out.bytes(kind)
    out.number(span.kind + 1)
    out.bytes(startTime)
    this.#time(span.startTime)
    out.bytes(endTime)
    this.#time(span.endTime)
    out.bytes(spanAttributes)
    this.#attributes(span.attributes)
    out.bytes(attributesEnd)
    // What is 0 or empty may be left out.
    this.#lost(lostAttributes, span.droppedAttributesCount)
    if (span.events.length > 0) {
      out.bytes(events)
      for (let i = 0; i < span.events.length; i++) this.#event(span.events[i] as TimedEvent, i)
      out.bytes(eventsEnd)
    }
    this.#lost(lostEvents, span.droppedEventsCount)
    if (span.status.code !== 0) {
      out.bytes(statusCode)
      out.number(span.status.code)
      if (span.status.message !== undefined) {
        out.bytes(statusMessage)
        out.quoted(span.status.message)
      }
      out.bytes(statusEnd)
    }
    if (span.links.length > 0) {
      out.bytes(links)
      for (let i = 0; i < span.links.length; i++) this.#link(span.links[i] as Link, i)
      out.bytes(linksEnd)
    }
    this.#lost(lostLinks, span.droppedLinksCount)
    out.bytes(flags)
    out.number(flagsOf(context.traceFlags, parent?.isRemote))
    out.bytes(close)
  }

  #lost(name: Buffer, count: number | undefined): void {
    if (count === undefined || count === 0) return
    this.#out.bytes(name)
    this.#out.number(count)
  }

  /** Nanoseconds, which no number has room for. */
  #time([seconds, nanos]: ReadableSpan["startTime"]): void {
    if (seconds !== this.#second) {
      this.#second = seconds
      this.#secondText = bytes(String(seconds))
    }
    this.#out.bytes(this.#secondText)
    this.#out.padded(nanos, 9)
  }

  #event({ name, time, attributes, droppedAttributesCount }: TimedEvent, nth: number): void {
    const out = this.#out
    if (nth > 0) out.bytes(comma)
    out.bytes(eventTime)
    this.#time(time)
    out.bytes(eventName)
    out.quoted(name)
    if (attributes !== undefined) {
      out.bytes(eventAttributes)
      this.#attributes(attributes)
      out.bytes(attributesEnd)
    }
    this.#lost(lostAttributes, droppedAttributesCount)
    out.bytes(close)
  }

  #link({ context, attributes, droppedAttributesCount }: Link, nth: number): void {
    const out = this.#out
    if (nth > 0) out.bytes(comma)
    out.bytes(traceId)
    out.ascii(context.traceId)
    out.bytes(spanId)
    out.ascii(context.spanId)
    out.bytes(spanAttributes)
    if (attributes !== undefined) this.#attributes(attributes)
    out.bytes(attributesEnd)
    this.#lost(lostAttributes, droppedAttributesCount)
    out.bytes(flags)
    out.number(flagsOf(context.traceFlags, context.isRemote))
    out.bytes(close)
  }

  #attributes(attributes: ReadableSpan["attributes"]): void {
    let isFirst = true
    for (const name in attributes) {
      const value = attributes[name]
      if (value === undefined) continue
      this.#attribute(name, value, isFirst)
      isFirst = false
    }
  }

  #attribute(name: string, value: AttributeValue, isFirst: boolean): void {
    const out = this.#out
    if (!isFirst) out.bytes(comma)
    let known = this.#remembered.get(name)
    if (known === undefined) {
      known = { head: bytes(`{"key":${JSON.stringify(name)},"value":`), said: undefined, piece: close }
      if (this.#remembered.size < mostRemembered) this.#remembered.set(name, known)
    }
    if (typeof value === "string" && value.length <= longestRemembered) {
      // Only what comes again is worth keeping: ids never do.
      if (known.said === value) {
        if (known.piece === close) known.piece = bytes(`{"key":${JSON.stringify(name)},"value":{"stringValue":${JSON.stringify(value)}}}`)
        out.bytes(known.piece)
        return
      }
      known.said = value
      known.piece = close
    }
    out.bytes(known.head)
    this.#value(value)
  }

  /** With the end of what it is the value of. */
  #value(value: AttributeValue): void {
    const out = this.#out
    switch (typeof value) {
      case "string":
        out.bytes(textHead)
        out.quoted(value)
        out.bytes(end)
        return
      case "number":
        out.bytes(Number.isInteger(value) ? wholeHead : brokenHead)
        if (Number.isFinite(value)) out.number(value)
        else out.quoted(String(value))
        out.bytes(end)
        return
      case "boolean":
        out.bytes(value ? yes : no)
        return
      default:
        out.utf8(JSON.stringify({ arrayValue: { values: Array.from(value, elementOf) } }))
        out.bytes(close)
    }
  }
}

const elementOf = (value: unknown): object => {
  if (typeof value === "string") return { stringValue: value }
  if (typeof value === "boolean") return { boolValue: value }
  if (typeof value !== "number") return {}
  return Number.isInteger(value) ? { intValue: value } : { doubleValue: value }
}

const pieceOf = ({ chunk, from, to }: Written): Buffer => chunk.subarray(from, to)

/** Of what was written, requests to a collector. */
const requestsOf = ({ resource, scope }: SpanOrigin): ((all: ReadonlyArray<Written>) => Uint8Array) => {
  const attributes = Object.entries(resource.attributes).map(([key, value]) => ({
    key,
    value: Array.isArray(value) ? { arrayValue: { values: value.map(elementOf) } } : elementOf(value)
  }))
  const around = JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope, spans: [] }] }] })
  const middle = around.lastIndexOf("[]") + 1
  const [before, after] = [bytes(around.slice(0, middle)), bytes(around.slice(middle))]
  return (all) => Buffer.concat([before, ...all.flatMap((one, i) => (i === 0 ? [pieceOf(one)] : [comma, pieceOf(one)])), after])
}

export const jsonEncoding = (origin: SpanOrigin): SpanEncoding<Written> => {
  const json = new SpanJson()
  return {
    pack: (spans) => json.write(spans),
    undo: () => json.undo(),
    bytesOf: ({ from, to }) => to - from,
    body: requestsOf(origin)
  }
}
