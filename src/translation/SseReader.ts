/**
 * Bytes of an answer that comes bit by bit to its events: Server-Sent Events (LF, CR and CRLF, comments, joined `data:` lines,
 * BOM), and NDJSON, whose lines are events without a name. UTF-8 characters are kept whole across the borders of reads.
 *
 * A parser of our own, as servers say things that the standard would have dropped in silence: llama.cpp reports failures in a
 * field `error:`, others put two whole events into one, or JSON lines where a stream of events was announced.
 */
import { StringDecoder } from "node:string_decoder"
import { parseJson } from "./JsonValue.ts"

/** Largest pending event, in UTF-16 code units. */
const maxEventSize = 16 * 1024 * 1024

const lf = 10
const cr = 13

export class SseReader {
  readonly #onEvent: (name: string, data: string) => void
  readonly #decoder = new StringDecoder("utf8")
  #begun = false
  /** There were lines that belong to no stream of events. */
  strange = false
  /** The line that is not whole yet. */
  #rest = ""
  /** A line ended with CR at the end of a read: an LF at the next one's beginning belongs to it. */
  #skipsLf = false
  #name = ""
  #data: Array<string> = []
  #dataSize = 0

  constructor(onEvent: (name: string, data: string) => void) {
    this.#onEvent = onEvent
  }

  /** False: an event grew past the limit, and the stream cannot be read on. */
  push(bytes: Buffer): boolean {
    this.#feed(this.#decoder.write(bytes))
    return this.#rest.length + this.#dataSize <= maxEventSize
  }

  /** The last event counts even when no blank line follows it. */
  end(): void {
    this.#feed(this.#decoder.end())
    if (this.#rest !== "") this.#line(this.#rest)
    this.#rest = ""
    this.#dispatch()
  }

  #feed(read: string): void {
    let text = read
    if (text === "") return
    if (!this.#begun) {
      this.#begun = true
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1)
    }
    let at = this.#skipsLf && text.charCodeAt(0) === lf ? 1 : 0
    this.#skipsLf = false
    const hasCr = text.includes("\r")
    for (;;) {
      const end = hasCr ? nextBreak(text, at) : text.indexOf("\n", at)
      if (end < 0) break
      const line = this.#rest + text.slice(at, end)
      this.#rest = ""
      at = end + 1
      if (text.charCodeAt(end) === cr) {
        if (at === text.length) this.#skipsLf = true
        else if (text.charCodeAt(at) === lf) at++
      }
      this.#line(line)
    }
    this.#rest += text.slice(at)
  }

  #line(line: string): void {
    if (line === "") {
      this.#dispatch()
      return
    }
    const first = line.charCodeAt(0)
    // A comment.
    if (first === 58) return
    // `{`: a line of NDJSON.
    if (first === 123) {
      this.#onEvent(this.#name, line)
      this.#name = ""
      return
    }
    const colon = line.indexOf(":")
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1)
    if (field === "data") {
      this.#data.push(value)
      this.#dataSize += value.length
    } else if (field === "event") this.#name = value
    else if (field === "error") this.#onEvent("error", value)
    else if (field !== "id" && field !== "retry") this.strange = true
  }

  #dispatch(): void {
    const data = this.#data
    const name = this.#name
    this.#name = ""
    if (data.length === 0) return
    this.#data = []
    this.#dataSize = 0
    const joined = data.length === 1 ? (data[0] as string) : data.join("\n")
    // Two events without the blank line between them are no JSON together, but each is by itself.
    if (
      data.length > 1 &&
      parseJson(joined) === undefined &&
      data.every((line) => line.trim() === "[DONE]" || parseJson(line) !== undefined)
    )
      for (const line of data) this.#onEvent(name, line)
    else this.#onEvent(name, joined)
  }
}

const nextBreak = (text: string, from: number): number => {
  const line = text.indexOf("\n", from)
  const ret = text.indexOf("\r", from)
  return ret < 0 ? line : line < 0 ? ret : Math.min(line, ret)
}
