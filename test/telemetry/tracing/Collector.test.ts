/** A collector over real sockets: one that answers well, and all the others. */
import { once } from "node:events"
import net, { type AddressInfo } from "node:net"
import { JsonTraceSerializer, ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer"
import * as Effect from "effect/Effect"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Collector, openCollector, type Sent } from "../../../src/telemetry/tracing/Collector.ts"

let server: net.Server
let say: (socket: net.Socket) => void = () => {}
const heard: Array<string> = []
const sockets = new Set<net.Socket>()
let opened: Collector | undefined

beforeAll(async () => {
  server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    socket.on("error", () => {})
    let text = ""
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1")
      if (!text.includes("\r\n\r\n") || !text.endsWith("the end")) return
      heard.push(text)
      text = ""
      say(socket)
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
})
afterEach(() => {
  opened?.close()
  for (const socket of sockets) socket.destroy()
})
afterAll(() => void server.close())

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`
const send = (to = url(), protocol: "http/json" | "http/protobuf" = "http/json"): Promise<Sent> => {
  opened = openCollector(
    { url: to, headers: { "x-key": "k" }, protocol },
    protocol === "http/json" ? JsonTraceSerializer : ProtobufTraceSerializer
  )
  return Effect.runPromise(opened.send(Buffer.from("the end")))
}
const answer = (status: string, body = "", more = "") =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`
/** ExportTraceServiceResponse { partial_success { rejected_spans: 3, error_message: "old" } } */
const partial = Buffer.from([0x0a, 7, 0x08, 3, 0x12, 3, ...Buffer.from("old")]).toString("latin1")

describe("a collector", () => {
  it("gets what is sent with its type and headers, on one kept connection", async () => {
    say = (socket) => socket.write(answer("200 OK", '{"partialSuccess":{}}'))
    expect(await send()).toEqual({ _tag: "sent", rejected: 0, why: "" })
    expect(await Effect.runPromise((opened as Collector).send(Buffer.from("the end")))).toMatchObject({ _tag: "sent" })
    expect(heard.at(-1)).toMatch(/^POST \/v1\/traces HTTP\/1.1[\s\S]*Content-Type: application\/json[\s\S]*\r\n\r\nthe end$/)
    expect(heard.at(-1)).toContain("x-key: k")
    expect(sockets.size).toBe(1)
  })

  it.each<[string, string, "http/json" | "http/protobuf", Sent]>([
    ["takes all, and says nothing", answer("200 OK"), "http/json", { _tag: "sent", rejected: 0, why: "" }],
    ["takes all, without a body", "HTTP/1.1 204 No Content\r\n\r\n", "http/json", { _tag: "sent", rejected: 0, why: "" }],
    [
      "takes some",
      answer("200 OK", '{"partialSuccess":{"rejectedSpans":"3","errorMessage":"old"}}'),
      "http/json",
      { _tag: "sent", rejected: 3, why: "old" }
    ],
    ["takes some, in protobuf", answer("200 OK", partial), "http/protobuf", { _tag: "sent", rejected: 3, why: "old" }],
    [
      "is none",
      answer("200 OK", "<html>welcome</html>", "Content-Type: text/html\r\n"),
      "http/json",
      { _tag: "refused", why: "it answers with a web page: it is no collector" }
    ],
    [
      "has moved",
      answer("301 Moved", "", "Location: http://elsewhere/\r\n"),
      "http/json",
      { _tag: "refused", why: "it answers 301, a redirect: set its own address" }
    ],
    ["finds it too large", answer("413 Large", "too large"), "http/json", { _tag: "refused", why: "it answers 413" }],
    ["knows no such path", answer("404 Not Found"), "http/json", { _tag: "refused", why: "it answers 404" }],
    ["is broken", answer("500 Oops"), "http/json", { _tag: "refused", why: "it answers 500" }],
    ["is busy", answer("503 Busy", "", "Retry-After: 7\r\n"), "http/json", { _tag: "later", why: "it answers 503", after: 7_000 }],
    [
      "is busy for an hour",
      answer("429 Slow", "", "Retry-After: 3600\r\n"),
      "http/json",
      { _tag: "later", why: "it answers 429", after: 60_000 }
    ],
    [
      "is busy, and says nonsense",
      answer("502 Bad", "", "Retry-After: soon\r\n"),
      "http/json",
      { _tag: "later", why: "it answers 502", after: undefined }
    ],
    [
      "speaks something else",
      "\x16\x03\x01 not HTTP\r\n\r\n",
      "http/json",
      { _tag: "later", why: "HPE_INVALID_CONSTANT", after: undefined }
    ],
    [
      "says too much",
      `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(200_000)}`,
      "http/json",
      { _tag: "later", why: "its answer is too long", after: undefined }
    ]
  ])("that %s", async (_what, text, protocol, wanted) => {
    say = (socket) => socket.end(Buffer.from(text, "latin1"))
    expect(await send(url(), protocol)).toEqual(wanted)
  })

  it("that resets, hangs up in its answer, or is not there may come back", async () => {
    say = (socket) => socket.resetAndDestroy()
    expect(await send()).toMatchObject({ _tag: "later", why: "ECONNRESET" })
    say = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    expect(await send()).toMatchObject({ _tag: "later" })
    const free = net.createServer().listen(0, "127.0.0.1")
    await once(free, "listening")
    const { port } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    expect(await send(`http://127.0.0.1:${port}/v1/traces`)).toMatchObject({ _tag: "later", why: "ECONNREFUSED" })
  })

  it("that trickles its answer is let go when it is not waited for any more", async () => {
    const gone = new Promise<void>((resolve) => {
      say = (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{")
        socket.on("close", () => resolve())
      }
    })
    opened = openCollector({ url: url(), headers: {}, protocol: "http/json" }, JsonTraceSerializer)
    const sent = await Effect.runPromise(
      Effect.timeoutOrElse(opened.send(Buffer.from("the end")), { duration: 50, orElse: () => Effect.succeed("given up") })
    )
    expect(sent).toBe("given up")
    await gone
  })
})
