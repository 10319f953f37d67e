/** Bodies that are no plain JSON: forms, compressed ones, JSON under other types. What each backend is sent, and what is refused. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import OpenAI, { toFile } from "openai"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"

const holder = new ModelServer(["whisper-native"])
const other = new ModelServer(["something-else"])
let daemon: Daemon
let openai: OpenAI

beforeAll(async () => {
  await Promise.all([holder.start(), other.start()])
  const entry = (name: string, server: ModelServer) => `      - {name: ${name}, type: openai, url: "${server.url}", ${rareChecks}}\n`
  daemon = await startDaemon(
    `discovery:\n  static:\n    endpoints:\n${entry("holder", holder)}${entry("other", other)}model_aliases: {whisper: [whisper-native]}\n`,
    { server: "  request_limits: {max_body_size: 2MB}\n" }
  )
  openai = new OpenAI({ baseURL: `${daemon.url}/olla/proxy/v1`, apiKey: "any", maxRetries: 0 })
})
afterAll(async () => {
  await daemon?.stop()
  await Promise.all([holder.stop(), other.stop()])
})
beforeEach(() => {
  holder.reset()
  other.reset()
})

const sound = Buffer.alloc(400_000, 0x0d)

describe("a form", () => {
  it("of the official client reaches the holder of its model every time, an alias replaced and its file untouched", async () => {
    holder.answer = (res) => {
      res.writeHead(200, { "content-type": "application/json" })
      res.end('{"text":"hello"}')
    }
    for (let n = 0; n < 4; n++)
      expect(await openai.audio.transcriptions.create({ file: await toFile(sound, "a.wav"), model: "whisper" })).toEqual({ text: "hello" })
    expect([holder.asked.length, other.asked.length]).toEqual([4, 0])
    const [asked] = holder.asked
    const form = await new Response(asked?.body, { headers: { "content-type": asked?.header("content-type") ?? "" } }).formData()
    expect(form.get("model")).toBe("whisper-native")
    expect(Buffer.from(await (form.get("file") as File).arrayBuffer()).equals(sound)).toBe(true)
    expect(asked?.header("x-model")).toBe("whisper")
  })

  it("whose name needs no replacement arrives byte for byte", async () => {
    const body = Buffer.from('--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-native\r\n--x--\r\nand an epilogue')
    const headers = { "content-type": "multipart/form-data; boundary=x" }
    const { status } = await ask(daemon.port, { method: "POST", path: "/olla/proxy/v1/images/edits", headers, body })
    expect(status).toBe(200)
    expect(holder.asked[0]?.body.equals(body)).toBe(true)
  })
})

const plain = Buffer.from(JSON.stringify({ model: "whisper", messages: [{ role: "user", content: "x".repeat(300_000) }] }))
const codings: ReadonlyArray<readonly [string, (bytes: Buffer) => Buffer]> = [
  ["gzip", gzipSync],
  ["x-gzip", gzipSync],
  ["deflate", deflateSync],
  ["deflate", deflateRawSync],
  ["br", brotliCompressSync],
  ["zstd", zstdCompressSync],
  ["identity", (bytes) => bytes],
  ["GZIP, Zstd", (bytes) => zstdCompressSync(gzipSync(bytes))],
  ["deflate, gzip", (bytes) => gzipSync(deflateRawSync(bytes))],
  ["deflate, br", (bytes) => brotliCompressSync(deflateSync(bytes))]
]
const send = (coding: string, body: Buffer, path = "/olla/proxy/v1/chat/completions", more: Record<string, string> = {}) =>
  ask(daemon.port, { method: "POST", path, headers: { "content-type": "application/json", "content-encoding": coding, ...more }, body })

describe("a compressed body", () => {
  it.each(codings)("in %s is understood, and sent on plain", async (coding, pack) => {
    for (let n = 0; n < 2; n++) expect((await send(coding, pack(plain))).status).toBe(200)
    expect([holder.asked.length, other.asked.length]).toEqual([2, 0])
    const [asked] = holder.asked
    expect(JSON.parse(asked?.body.toString() ?? "")).toEqual({ ...JSON.parse(plain.toString()), model: "whisper-native" })
    expect(asked?.header("content-encoding")).toBeUndefined()
    expect(asked?.header("content-length")).toBe(String(asked?.body.length))
  })

  it("on Anthropic's route is understood too", async () => {
    holder.answer = (res) => {
      res.writeHead(200, { "content-type": "application/json" })
      res.end('{"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]}')
    }
    const message = { model: "whisper", max_tokens: 5, messages: [{ role: "user", content: "hi" }] }
    const answer = await send("zstd", zstdCompressSync(JSON.stringify(message)), "/olla/anthropic/v1/messages")
    expect(answer.json()).toMatchObject({ type: "message", content: [{ type: "text", text: "hi" }] })
  })

  const bomb = Buffer.alloc(64 * 1024 * 1024)
  it.each(codings.filter(([coding]) => coding !== "identity"))("in %s that grows beyond the limit is refused", async (coding, pack) => {
    const answer = await send(coding, pack(bomb))
    expect([answer.status, answer.header("connection")]).toEqual([413, "close"])
    expect(holder.asked.length + other.asked.length).toBe(0)
  })

  it("in an unknown coding is refused, and told which ones are known", async () => {
    for (const coding of ["compress", "gzip, snappy", "gzip,gzip,gzip"]) {
      const answer = await send(coding, plain)
      expect([answer.status, answer.header("accept-encoding")]).toEqual([415, "gzip, deflate, br, zstd"])
    }
    expect((await send("compress", plain, "/olla/anthropic/v1/messages")).json()).toMatchObject({ type: "error" })
  })

  it("that is broken or cut off is refused", async () => {
    const packed = gzipSync(plain)
    for (const body of [
      packed.subarray(0, packed.length - 20),
      Buffer.from("no gzip at all"),
      Buffer.concat([packed.subarray(0, 40), packed])
    ])
      expect((await send("gzip", body)).status).toBe(400)
    expect(holder.asked.length + other.asked.length).toBe(0)
  })

  it("of no bytes at all is no body", async () => {
    expect((await send("gzip", Buffer.alloc(0))).status).toBe(200)
  })
})

it.each(["text/plain", "text/json", "application/octet-stream", "application/x-ndjson"])(
  "a body of JSON under %s is looked at like any other",
  async (type) => {
    for (let n = 0; n < 3; n++) expect((await send("identity", plain, undefined, { "content-type": type })).status).toBe(200)
    expect([holder.asked.length, other.asked.length]).toEqual([3, 0])
  }
)
