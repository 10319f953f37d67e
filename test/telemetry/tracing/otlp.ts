/** Decodes what exporters send, in both encodings: OTLP's own schema (opentelemetry-proto 1.9, trace service), as far as spans need it. */
import protobuf from "protobufjs"

const schema = protobuf
  .parse(
    `syntax = "proto3";
  message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
  message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
  message ScopeSpans { InstrumentationScope scope = 1; repeated Span spans = 2; string schema_url = 3; }
  message InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3; uint32 dropped_attributes_count = 4; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7; } }
  message ArrayValue { repeated AnyValue values = 1; }
  message KeyValueList { repeated KeyValue values = 1; }
  message Span {
    bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
    enum SpanKind { UNSPECIFIED = 0; INTERNAL = 1; SERVER = 2; CLIENT = 3; PRODUCER = 4; CONSUMER = 5; }
    SpanKind kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8;
    repeated KeyValue attributes = 9; uint32 dropped_attributes_count = 10;
    message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; uint32 dropped_attributes_count = 4; }
    repeated Event events = 11; uint32 dropped_events_count = 12;
    message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4;
      uint32 dropped_attributes_count = 5; fixed32 flags = 6; }
    repeated Link links = 13; uint32 dropped_links_count = 14; Status status = 15; fixed32 flags = 16;
  }
  message Status { string message = 2; enum StatusCode { UNSET = 0; OK = 1; ERROR = 2; } StatusCode code = 3; }`
  )
  .root.lookupType("ExportTraceServiceRequest")

export interface DecodedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty: none. */
  readonly parentSpanId: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  /** Epoch nanoseconds. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<string>
  readonly links: ReadonlyArray<string>
  /** `""`, `OK` or `ERROR`, and its message. */
  readonly status: string
  readonly message: string
  readonly resource: Readonly<Record<string, unknown>>
  readonly scope: string
}

/* biome-ignore lint/suspicious/noExplicitAny: what came over the wire, of either encoding */
type Wire = any

const idOf = (value: Wire): string =>
  typeof value === "string" ? value : value === undefined || value === null ? "" : Buffer.from(value as Uint8Array).toString("hex")

const anyOf = (value: Wire): unknown => {
  if (value === undefined || value === null) return undefined
  if (value.arrayValue !== undefined && value.arrayValue !== null) return (value.arrayValue.values ?? []).map(anyOf)
  if (value.intValue !== undefined && value.intValue !== null) return Number(value.intValue)
  return value.stringValue ?? value.boolValue ?? value.doubleValue
}
const attributesOf = (pairs: Wire): Record<string, unknown> =>
  Object.fromEntries((pairs ?? []).map((pair: Wire) => [pair.key, anyOf(pair.value)]))

const spansOf = (request: Wire): ReadonlyArray<DecodedSpan> =>
  (request.resourceSpans ?? []).flatMap((group: Wire) =>
    (group.scopeSpans ?? []).flatMap((scoped: Wire) =>
      (scoped.spans ?? []).map((span: Wire) => ({
        traceId: idOf(span.traceId),
        spanId: idOf(span.spanId),
        parentSpanId: idOf(span.parentSpanId),
        name: span.name,
        kind: Number(span.kind ?? 0),
        start: BigInt(String(span.startTimeUnixNano)),
        end: BigInt(String(span.endTimeUnixNano)),
        attributes: attributesOf(span.attributes),
        events: (span.events ?? []).map((event: Wire) => event.name),
        links: (span.links ?? []).map((link: Wire) => `${idOf(link.traceId)}-${idOf(link.spanId)}`),
        status: ["", "OK", "ERROR"][Number(span.status?.code ?? 0)] ?? "",
        message: span.status?.message ?? "",
        resource: attributesOf(group.resource?.attributes),
        scope: `${scoped.scope?.name}@${scoped.scope?.version}`
      }))
    )
  )

export const decodeSpans = (contentType: string, body: Uint8Array): ReadonlyArray<DecodedSpan> =>
  spansOf(contentType.startsWith("application/json") ? JSON.parse(Buffer.from(body).toString()) : schema.toObject(schema.decode(body)))
