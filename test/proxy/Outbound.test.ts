/** Forwarding headers by trust, and what an endpoint sets. */
import { describe, expect, it } from "vitest"
import { pairsOf } from "../../src/proxy/HeaderLines.ts"
import { outboundHead } from "../../src/proxy/Outbound.ts"
import { Scene } from "./carrying.ts"

const sent = (
  raw: ReadonlyArray<string>,
  options: {
    readonly trusted?: boolean
    readonly own?: ReadonlyArray<readonly [string, string]>
    readonly model?: string
    readonly method?: string
    readonly size?: number
    /** Of a sampled exchange. */
    readonly trace?: { readonly traceId: string; readonly traceparent: string }
  } = {}
): ReadonlyArray<string> => {
  const scene = new Scene()
  const endpoint = scene.add("a", { url: "http://backend:8000", headers: options.own ?? [] })
  const request = scene.request({ rawHeaders: ["Host", "front:1", ...raw], method: options.method ?? "GET" })
  request.exchange.model = options.model ?? ""
  Object.assign(request.exchange, options.trace)
  const flat = pairsOf(
    outboundHead(
      { ...request, trustedPeer: options.trusted === true },
      endpoint,
      options.size ?? 0,
      undefined,
      options.trace === undefined ? "" : "5".repeat(16)
    )
  )
  return flat.flatMap((name, i) => (i % 2 === 0 ? [`${name.toLowerCase()}: ${flat[i + 1]}`] : []))
}
const of = (lines: ReadonlyArray<string>, name: string) =>
  lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))

const forwarded = [
  "X-Forwarded-For",
  "1.1.1.1",
  "X-Forwarded-For",
  "2.2.2.2",
  "X-Forwarded-Proto",
  "https",
  "X-Forwarded-Host",
  "out",
  "X-Real-IP",
  "3.3.3.3"
]

describe("trace context", () => {
  const traceId = "0af7651916cd43dd8448eb211c80319c"
  const theirs = `00-${traceId}-b7ad6b7169203331`
  const came = (flags: string) => [
    "Traceparent",
    `${theirs}-${flags}`,
    "Tracestate",
    "a=1",
    "tracestate",
    "b=2",
    "baggage",
    "x=y",
    "X-B3-TraceId",
    "7"
  ]
  const context = (lines: ReadonlyArray<string>) => lines.filter((line) => /^(?:trace|baggage|x-b3)/.test(line))

  it("passes as it came where the exchange is not traced, whatever it says", () => {
    for (const value of [`${theirs}-01`, `${theirs}-00`, "nonsense"])
      expect(context(sent(["traceparent", value, "tracestate", "a=1", "baggage", "x=y"]))).toEqual([
        `traceparent: ${value}`,
        "tracestate: a=1",
        "baggage: x=y"
      ])
    expect(context(sent(["traceparent", "a", "traceparent", "b"]))).toEqual(["traceparent: a", "traceparent: b"])
    expect(context(sent([]))).toEqual([])
  })

  it.each(["01", "00", "03"])("of a client with flags %s has the attempt's span as parent, and what vendors keep in it", (flags) => {
    expect(context(sent(came(flags), { trace: { traceId, traceparent: `${theirs}-${flags}` } }))).toEqual([
      "tracestate: a=1",
      "tracestate: b=2",
      "baggage: x=y",
      "x-b3-traceid: 7",
      `traceparent: 00-${traceId}-5555555555555555-${flags === "03" ? "03" : "01"}`
    ])
  })

  it("of a trace of Olla's own takes nothing of another trace's with it", () => {
    expect(context(sent(came("00"), { trace: { traceId: "c".repeat(32), traceparent: "" } }))).toEqual([
      "baggage: x=y",
      "x-b3-traceid: 7",
      `traceparent: 00-${"c".repeat(32)}-5555555555555555-01`
    ])
  })

  it("that an endpoint sets itself wins", () => {
    const own = [["traceparent", "mine"]] as const
    expect(
      context(sent(came("01"), { own, trace: { traceId, traceparent: `${theirs}-01` } })).filter((line) => line.startsWith("traceparent"))
    ).toEqual(["traceparent: mine"])
  })
})

describe("forwarding headers", () => {
  it.each([
    ["of a trusted proxy are kept, and its own address appended", true, "1.1.1.1, 2.2.2.2, 127.0.0.1", "https", "out", "3.3.3.3"],
    ["of anybody else are replaced", false, "127.0.0.1", "http", "front:1", "127.0.0.1"]
  ])("%s", (_, trusted, addresses, proto, host, real) => {
    const lines = sent(forwarded, { trusted })
    expect(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"].map((name) => of(lines, name))).toEqual([
      [addresses],
      [proto],
      [host],
      [real]
    ])
  })

  it("begin with the peer where there are none, trusted or not", () => {
    for (const trusted of [true, false]) expect(of(sent([], { trusted }), "x-forwarded-for")).toEqual(["127.0.0.1"])
  })
})

describe("an endpoint's own headers", () => {
  it("replace the client's and ours, but never what frames the message", () => {
    const lines = sent(["X-Mine", "outer", "x-mine", "again"], {
      own: [
        ["X-Mine", "inner"],
        ["Via", "mine"],
        ["Host", "elsewhere"],
        ["Transfer-Encoding", "chunked"],
        ["Content-Length", "9"],
        ["X-Api-Key", "k"]
      ],
      method: "POST",
      size: 2
    })
    expect([
      of(lines, "x-mine"),
      of(lines, "via"),
      of(lines, "host"),
      of(lines, "transfer-encoding"),
      of(lines, "content-length"),
      of(lines, "x-api-key")
    ]).toEqual([["inner"], ["mine"], ["backend:8000"], [], ["2"], ["k"]])
  })
})

describe("the length of a body", () => {
  it.each([
    ["POST", 0, ["0"]],
    ["PUT", 0, ["0"]],
    ["PATCH", 0, ["0"]],
    ["GET", 0, []],
    ["DELETE", 0, []],
    ["GET", 5, ["5"]]
  ] as const)("%s with %i bytes", (method, size, wanted) => {
    expect(of(sent(["Content-Length", "77"], { method, size }), "content-length")).toEqual(wanted)
  })
})

describe("the model", () => {
  it("is named where it is known, else the client's word passes", () => {
    expect(of(sent(["X-Model", "theirs"], { model: "ours:8b" }), "x-model")).toEqual(["ours:8b"])
    expect(of(sent(["X-Model", "theirs"]), "x-model")).toEqual(["theirs"])
  })

  it.each([
    ["a\r\nX-Evil: 1", "a X-Evil: 1"],
    ["caf\xe9", "caf\xc3\xa9"],
    ["模型:8b", "\xe6\xa8\xa1\xe5\x9e\x8b:8b"],
    ["nul\0\x7f", "nul "]
  ])("%j is a header's value as %j: blanks for control characters, UTF-8 byte by byte", (model, value) => {
    expect(of(sent(["X-Model", "theirs"], { model }), "x-model")).toEqual([value])
  })
})
