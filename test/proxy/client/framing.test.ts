/** Answers that say their length in more than one way: every client judges them alike, since two readers must not read two things. */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ownTransport } from "../../../src/proxy/client/OwnTransport.ts"
import type { Transport } from "../../../src/proxy/client/Transport.ts"
import { undiciTransport } from "../../../src/proxy/client/UndiciTransport.ts"
import { ask, ScriptedBackend } from "./conversation.ts"

const length = "Content-Length: 5\r\n"
const chunked = "Transfer-Encoding: chunked\r\n"
const inChunks = "5\r\nhello\r\n0\r\n\r\n"

/** The lines that frame, the body, and what is read; `undefined`: refused as malformed. */
const table: ReadonlyArray<readonly [what: string, lines: string, body: string, read: string | undefined]> = [
  ["one length", length, "hello", "hello"],
  ["chunks", chunked, inChunks, "hello"],
  ["equal lengths", length + length, "hello", undefined],
  ["lengths that differ", `${length}Content-Length: 6\r\n`, "hello", undefined],
  ["lengths in a list", "Content-Length: 5, 5\r\n", "hello", undefined],
  ["a length before chunks", length + chunked, inChunks, undefined],
  ["a length behind chunks", chunked + length, inChunks, undefined],
  ["chunked twice", chunked + chunked, inChunks, undefined],
  ["chunked twice in a list", "Transfer-Encoding: chunked, chunked\r\n", inChunks, undefined],
  ["a coding before chunked", "Transfer-Encoding: gzip, chunked\r\n", inChunks, undefined],
  ["a coding behind chunked", "Transfer-Encoding: chunked, gzip\r\n", inChunks, undefined],
  ["a coding in a line of its own", `Transfer-Encoding: gzip\r\n${chunked}`, inChunks, undefined],
  ["the coding identity", `Transfer-Encoding: identity\r\n${length}`, "hello", undefined]
]

describe.each([
  ["the own client", ownTransport],
  ["undici", undiciTransport],
  ["undici as sherpa keeps it", () => undiciTransport({ each: 5, all: 20, time: 90_000 })]
])("%s reads an answer", (_name, make) => {
  let backend: ScriptedBackend
  let transport: Transport

  beforeEach(async () => {
    backend = new ScriptedBackend()
    transport = make()
    await backend.start()
  })
  afterEach(async () => {
    transport.close()
    await backend.stop()
  })

  it.each(table)("with %s", async (_what, lines, body, read) => {
    backend.says(`HTTP/1.1 200 OK\r\n${lines}\r\n${body}`)
    const answer = await ask(transport, backend.port)
    expect([answer.failure?.kind, read === undefined ? undefined : answer.bytes.toString()]).toEqual([
      read === undefined ? "malformed" : undefined,
      read
    ])
  })
})
