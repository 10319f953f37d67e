/**
 * Bytes of an event stream to its events, by Effect's parser (LF, CR and CRLF, comments, joined `data:` lines, BOM), with
 * UTF-8 characters kept whole across chunk borders.
 */
import { StringDecoder } from "node:string_decoder"
import { makeParser } from "effect/encoding/Sse"

/** Largest pending event, in UTF-16 code units (anthropic.md B4). */
const maxEventSize = 16 * 1024 * 1024

export class SseReader {
  readonly #decoder = new StringDecoder("utf8")
  readonly #parser: ReturnType<typeof makeParser>

  constructor(onEvent: (name: string, data: string) => void) {
    this.#parser = makeParser(
      (event) => {
        if (event._tag === "Event") onEvent(event.event, event.data)
      },
      { maxEventSize }
    )
  }

  /** False: an event grew past the limit, and the stream cannot be read on. */
  push(bytes: Buffer): boolean {
    return this.#parser.feed(this.#decoder.write(bytes)) === undefined
  }

  /** The last event counts even when no blank line follows it. */
  end(): void {
    this.#parser.feed(`${this.#decoder.end()}\n\n`)
  }
}
