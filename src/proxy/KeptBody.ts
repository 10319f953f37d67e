/**
 * Keeps of an answer what usage figures are read from, by reference: nothing is copied. Of a stream its beginning and its end, of a
 * JSON document everything, up to a size.
 */
import type { Exchange } from "../exchange/Exchange.ts"
import { headerValue } from "../exchange/RawHeaders.ts"

/** Bytes of a JSON document; of a longer one there is nothing to read. */
const longestDocument = 1024 * 1024
/** Bytes of the end that are kept in any case; a read is kept whole, so a little more may stay. */
const least = 8 * 1024
/** A stream's last words may be longer than that, when they say all of it once more: then they come in large reads, of which so many are kept. */
const reads = 16
const most = 64 * 1024

const json = /^application\/(?:[\w.+-]+\+)?json\b/i

export class KeptBody {
  readonly #kept: Exchange["kept"]
  /** A JSON document that may still be kept whole. */
  #isWhole: boolean
  #size = 0

  /** `headers`: of the answer, names and values by turns. */
  constructor(kept: Exchange["kept"], headers: ReadonlyArray<string>) {
    this.#kept = kept
    kept.head = undefined
    kept.tail = []
    kept.headers = headers
    kept.contentType = headerValue(headers, "content-type")
    this.#isWhole = json.test(kept.contentType)
  }

  push(bytes: Buffer): void {
    const { tail } = this.#kept
    if (this.#kept.head === undefined) this.#kept.head = bytes
    tail.push(bytes)
    this.#size += bytes.length
    if (this.#isWhole) {
      if (this.#size <= longestDocument) return
      this.#isWhole = false
    }
    while (tail.length > 2) {
      const rest = this.#size - (tail[0]?.length ?? 0)
      if (rest < most && (rest < least || tail.length <= reads)) return
      tail.shift()
      this.#size = rest
    }
  }
}
