import { expect, it } from "vitest"
import type { Exchange } from "../../src/exchange/Exchange.ts"
import { keptBytes } from "../../src/telemetry/UsageReading.ts"

const keptText = (all: Exchange["kept"]): string => Buffer.from(keptBytes(all)).toString("utf8")
const kept = (head: Buffer | undefined, ...tail: ReadonlyArray<Buffer>): Exchange["kept"] => ({
  head,
  tail: [...tail],
  headers: [],
  contentType: "application/x-ndjson"
})

it.each([
  ["one chunk", '7\r\n{"a":1}\r\n'],
  ["a chunk that goes on", 'ffff\r\n{"a":1}\r\n'],
  ["a chunk with an extension and the end of a body", '7;x=y\r\n{"a":1}\r\n0\r\n\r\n']
])("keeps every line of a body that looks like %s", (_, body) => {
  const bytes = Buffer.from(body)
  expect(keptText(kept(bytes, bytes))).toBe(body)
})

it("puts a line between the head of a body and the tail that has moved on", () => {
  expect(keptText(kept(Buffer.from('{"a":1}'), Buffer.from('"b":2}'), Buffer.from("\n")))).toBe('{"a":1}\n"b":2}\n')
})

it("looks at no body beyond a megabyte, which a single read can be", () => {
  const bytes = Buffer.alloc(1024 * 1024 + 1, "a")
  expect(keptText(kept(bytes, bytes))).toBe("")
})
