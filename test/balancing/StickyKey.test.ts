import { hash } from "node:crypto"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { conversationStart, fnv1a64, type StickyRequest, stickyKeyOf } from "../../src/balancing/StickyKey.ts"
import { cut, cuts } from "../routing/bodies.ts"
import { configOf } from "./fakes.ts"

const request = (
  more: { readonly headers?: Record<string, string>; readonly body?: string; readonly model?: string } = {}
): StickyRequest => ({
  header: (name) => more.headers?.[name] ?? "",
  body: more.body === undefined ? [] : [Buffer.from(more.body)],
  model: more.model ?? "qwen3:8b",
  peer: "10.1.2.3"
})

const keyOf = (sources: string, of: StickyRequest, bytes = 512) =>
  stickyKeyOf(
    configOf(`sticky_sessions: { enabled: true, key_sources: ${sources}, prefix_hash_bytes: ${bytes} }`).proxy.sticky_sessions,
    of
  )

describe("the hash", () => {
  it.each([
    ["my-session-id", "bd95cc3ab55faccc"],
    ["", "cbf29ce484222325"],
    ["a", "af63dc4c8601ec8c"],
    ["foobar", "85944171f73967e8"]
  ])("of %j is %s", (text, hash) => {
    expect(fnv1a64(Buffer.from(text))).toBe(hash)
  })

  it("is FNV-1a of 64 bit for all bytes", () => {
    const plain = (bytes: Uint8Array): string => {
      let hash = 0xcbf29ce484222325n
      for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn
      return hash.toString(16).padStart(16, "0")
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(fnv1a64(bytes)).toBe(plain(bytes))
      })
    )
  })
})

describe("a session is recognised", () => {
  const chat = '{"messages":[{"role":"user","content":"hi"}]}'

  it.each([
    [
      "by its header",
      "[session_header, ip]",
      request({ headers: { "x-olla-session-id": "my-session-id" } }),
      "bd95cc3ab55faccc:qwen3:8b",
      "session_header"
    ],
    [
      "by its authorization",
      "[auth_header]",
      request({ headers: { authorization: "my-session-id" } }),
      "auth:bd95cc3ab55faccc:qwen3:8b",
      "auth_header"
    ],
    ["by its address", "[ip]", request(), "ip:10.1.2.3:qwen3:8b", "ip"],
    [
      "by how its conversation begins",
      "[prefix_hash]",
      request({ body: chat }),
      `qwen3_8b:${hash("sha256", '[{"role":"user","content":"hi"}', "hex").slice(0, 16)}`,
      "prefix_hash"
    ],
    [
      "by the first source that has anything",
      "[session_header, prefix_hash, auth_header]",
      request({ headers: { authorization: "x" }, body: "{}" }),
      `auth:${fnv1a64(Buffer.from("x"))}:qwen3:8b`,
      "auth_header"
    ],
    ["by nothing when there is nothing", "[session_header, prefix_hash, auth_header]", request(), "", "none"],
    ["by nothing without sources", "[]", request({ headers: { "x-olla-session-id": "a" } }), "", "none"]
  ])("%s", (_, sources, of, key, source) => {
    expect(keyOf(sources, of)).toEqual({ key, source })
  })

  it("apart for every model, and without one", () => {
    const keys = ["a", "b", ""].map((model) => keyOf("[session_header]", request({ headers: { "x-olla-session-id": "s" }, model })).key)
    expect(new Set(keys).size).toBe(3)
    expect(keys.every((key) => key !== "")).toBe(true)
  })
})

const start = (text: string, most = 65_536) => conversationStart([Buffer.from(text)], most)?.toString()

describe("the start of a conversation", () => {
  it.each([
    [
      '{"tools":[{"x":"long"}],"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant"}]}',
      '[{"role":"system","content":"s"},{"role":"user","content":"u"}'
    ],
    ['{"messages":[{"role":"system","content":"s"}]}', '[{"role":"system","content":"s"}]'],
    ['{"messages":[],"prompt":"p"}', '"p"'],
    ['{"messages":null,"prompt":"p"}', '"p"'],
    ['{"prompt":"p","messages":[{"role":"user"}]}', '[{"role":"user"}'],
    ['{"prompt":["a","b"]}', '["a","b"]'],
    ['{"prompt":"quoted \\" and \\\\"}', '"quoted \\" and \\\\"'],
    ['{"prompt":null}', undefined],
    ['{"input":"x"}', undefined],
    ['[{"messages":[{}]}]', undefined],
    ["no json", undefined],
    ["", undefined]
  ])("of %s is %j", (text, expected) => {
    expect(start(text)).toBe(expected)
  })

  it("is the same at every later turn, whatever stands around it", () => {
    const message = fc.record({ role: fc.constantFrom("assistant", "tool", "user"), content: fc.string() })
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.array(message), fc.string(), (system, user, later, tool) => {
        const first = [
          { role: "system", content: system },
          { role: "user", content: user }
        ]
        expect(start(JSON.stringify({ tools: [tool], messages: [...first, ...later] }))).toBe(
          start(JSON.stringify({ messages: first, tools: [] }))
        )
      })
    )
  })

  it("is the same however the body is cut, wherever its places came from, and never longer than asked for", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 60 }),
        fc.string({ maxLength: 60 }),
        fc.integer({ min: 1, max: 200 }),
        cuts,
        (system, user, most, at) => {
          const bytes = Buffer.from(
            JSON.stringify({ x: [1], messages: [{ content: system }, { content: user, role: "user" }, {}], prompt: "p" })
          )
          const whole = conversationStart([bytes], 65_536)
          const chunks = cut(bytes, at)
          const messagesAt = bytes.indexOf("[{")
          expect(conversationStart(chunks, most)).toEqual(whole?.subarray(0, most))
          expect(conversationStart(chunks, most, { messagesAt, promptAt: -1 })).toEqual(whole?.subarray(0, most))
        }
      )
    )
  })

  it("tells users of one long system prompt apart, whose first messages end within 64 KiB", () => {
    const body = (said: string, system = 40_000) =>
      request({
        body: JSON.stringify({
          messages: [
            { role: "system", content: "s".repeat(system) },
            { role: "user", content: said }
          ]
        })
      })
    expect(keyOf("[prefix_hash]", body("a"), 0)).not.toEqual(keyOf("[prefix_hash]", body("b"), 0))
    expect(keyOf("[prefix_hash]", body("a", 70_000), 0)).toEqual(keyOf("[prefix_hash]", body("b", 70_000), 0))
  })

  it("never fails on a body that is broken", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:\\ messagprolu1n') }), (text) => {
        start(`{"messages":[${text}`)
        start(text)
      })
    )
  })

  it("counts up to its budget of bytes", () => {
    const body = (content: string) => request({ body: `{"messages":[{"role":"user","content":"${content}"}]}` })
    const long = "x".repeat(100)
    expect(keyOf("[prefix_hash]", body(`${long}a`), 64)).toEqual(keyOf("[prefix_hash]", body(`${long}b`), 64))
    expect(keyOf("[prefix_hash]", body(`${long}a`))).not.toEqual(keyOf("[prefix_hash]", body(`${long}b`)))
  })
})
