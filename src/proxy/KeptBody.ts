/** Keeps the beginning and the last 8 KiB of an answer for usage figures, by reference: nothing is copied. */
import type { Exchange } from "../exchange/Exchange.ts"
import { headerValue } from "../exchange/RawHeaders.ts"

/** Bytes of the tail; a read is kept whole, so a little more may stay. */
const tailBytes = 8192

export class KeptBody {
  readonly #kept: Exchange["kept"]
  #size = 0

  /** `headers`: of the answer, names and values by turns. */
  constructor(kept: Exchange["kept"], headers: ReadonlyArray<string>) {
    this.#kept = kept
    kept.head = undefined
    kept.tail = []
    kept.headers = headers
    kept.contentType = headerValue(headers, "content-type")
  }

  push(bytes: Buffer): void {
    const { tail } = this.#kept
    if (this.#kept.head === undefined) this.#kept.head = bytes
    tail.push(bytes)
    this.#size += bytes.length
    while (tail.length > 2 && this.#size - (tail[0]?.length ?? 0) >= tailBytes) this.#size -= tail.shift()?.length ?? 0
  }
}
