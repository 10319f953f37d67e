import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer"
import { resourceFromAttributes } from "@opentelemetry/resources"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { contextOf, FinishedSpan, hrTime } from "../../../src/telemetry/tracing/Span.ts"
import { jsonEncoding } from "../../../src/telemetry/tracing/SpanJson.ts"
import { decodeSpans } from "./otlp.ts"

const origin = {
  resource: resourceFromAttributes({ "service.name": 'o"lla', "process.pid": 7, zones: ["a", "b"] }),
  scope: { name: "olla", version: "1.2.3" }
}

const id = (digits: number) =>
  fc.array(fc.constantFrom(..."0123456789abcdef"), { minLength: digits, maxLength: digits }).map((all) => all.join(""))
const text = fc.oneof(
  fc.constantFrom("", "same", "chat m", "ü", "\u0000", 'quo"te', "back\\slash", "x".repeat(300)),
  fc.string({ unit: "binary" })
)
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 0.001, 12.34, 1e-7, 2 ** 40, 1e21)
)
const value = fc.oneof(text, number, fc.boolean(), fc.array(fc.oneof(fc.string(), fc.constant(null)), { maxLength: 3 }))
const attributes = fc.dictionary(fc.oneof(fc.constantFrom("a", "olla.model", 'n"ame'), fc.string()), value, { maxKeys: 6 })
const time = fc.double({ min: 0, max: 2e12, noNaN: true })
const context = fc.tuple(id(32), id(16), fc.boolean()).map(([trace, span, isRemote]) => contextOf(trace, span, isRemote))
const span = fc
  .record({
    name: text,
    kind: fc.constantFrom(0 as const, 1 as const, 2 as const),
    traceId: id(32),
    spanId: id(16),
    parent: fc.option(context, { nil: undefined }),
    start: time,
    end: time,
    attributes,
    events: fc.array(fc.record({ name: text, time: time.map(hrTime) }), { maxLength: 4 }),
    status: fc.oneof(fc.constant({ code: 0 }), fc.record({ code: fc.constant(2), message: text })),
    links: fc.array(fc.record({ context, attributes }), { maxLength: 2 })
  })
  .map((fields) => new FinishedSpan(fields, origin))

it("spans are written as the OpenTelemetry project's encoder writes them", () => {
  const encoding = jsonEncoding(origin)
  fc.assert(
    fc.property(fc.array(fc.array(span, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }), (exchanges) => {
      const all = exchanges.flat()
      const packed = exchanges.map(encoding.pack)
      const decoded = decodeSpans("application/json", encoding.body(packed) as Uint8Array)
      expect(decoded).toEqual(decodeSpans("application/json", JsonTraceSerializer.serializeRequest(all) as Uint8Array))
      expect(packed.reduce((sum, one) => sum + encoding.bytesOf(one), 0)).toBeGreaterThan(100 * all.length)
    })
  )
})

it("spans that are not wanted leave no trace in what is written after them", () => {
  const encoding = jsonEncoding(origin)
  const [first, second, third] = fc.sample(span, { numRuns: 3, seed: 7 }) as [FinishedSpan, FinishedSpan, FinishedSpan]
  const packed = [encoding.pack([first])]
  encoding.pack([second])
  encoding.undo()
  packed.push(encoding.pack([third]))
  const sent = decodeSpans("application/json", encoding.body(packed) as Uint8Array)
  expect(sent.map(({ spanId }) => spanId)).toEqual([first, third].map((one) => one.spanContext().spanId))
})
