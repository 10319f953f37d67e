/**
 * Writes text that is nearly all ASCII into chunks of bytes, one after the other. A string that is put together from hundreds of pieces
 * costs more when it is made one at last than all of its pieces together.
 */

const chunkBytes = 64 * 1024
/** A copy is made by hand up to this length: a call costs more. */
const byHand = 24

/** What stands between two places of a chunk. */
export interface Written {
  readonly chunk: Buffer
  readonly from: number
  readonly to: number
}

const quote = 0x22
const backslash = 0x5c
const minus = 0x2d
const point = 0x2e
const zero = 0x30
/** JSON allows them in a text, and they are one byte long. */
const isPlain = (code: number): boolean => code >= 0x20 && code < 0x7f && code !== quote && code !== backslash

export class ByteWriter {
  #chunk = Buffer.alloc(0)
  #at = 0
  #from = 0

  /** What is written from now on stays together. */
  begin(): void {
    this.#from = this.#at
  }

  end(): Written {
    return { chunk: this.#chunk, from: this.#from, to: this.#at }
  }

  /** What was written since the beginning never was. */
  undo(): void {
    this.#at = this.#from
  }

  /** So many bytes more have room. */
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#chunk.length) return
    const written = this.#at - this.#from
    const next = Buffer.allocUnsafeSlow(Math.max(chunkBytes, 2 * (written + bytes)))
    this.#chunk.copy(next, 0, this.#from, this.#at)
    this.#chunk = next
    this.#from = 0
    this.#at = written
  }

  bytes(piece: Uint8Array): void {
    const { length } = piece
    this.#reserve(length)
    const at = this.#at
    const chunk = this.#chunk
    if (length > byHand) chunk.set(piece, at)
    else for (let i = 0; i < length; i++) chunk[at + i] = piece[i] as number
    this.#at = at + length
  }

  /** Characters below 128 only. */
  ascii(text: string): void {
    const { length } = text
    this.#reserve(length)
    const at = this.#at
    const chunk = this.#chunk
    for (let i = 0; i < length; i++) chunk[at + i] = text.charCodeAt(i)
    this.#at = at + length
  }

  /** As JSON. */
  quoted(text: string): void {
    const { length } = text
    this.#reserve(length + 2)
    const from = this.#at
    const chunk = this.#chunk
    let at = from
    chunk[at++] = quote
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (!isPlain(code)) {
        this.utf8(JSON.stringify(text))
        return
      }
      chunk[at++] = code
    }
    chunk[at++] = quote
    this.#at = at
  }

  utf8(text: string): void {
    this.#reserve(Buffer.byteLength(text))
    this.#at += this.#chunk.write(text, this.#at)
  }

  /** `value`: whole, not negative and below 2^31. `digits`: as many, with zeros before it. */
  padded(value: number, digits: number): void {
    this.#reserve(digits)
    const chunk = this.#chunk
    let rest = value
    for (let at = this.#at + digits - 1; at >= this.#at; at--) {
      const next = (rest / 10) | 0
      chunk[at] = zero + rest - next * 10
      rest = next
    }
    this.#at += digits
  }

  /** As JSON; finite. */
  number(value: number): void {
    const thousandths = Math.abs(value) * 1000
    if (!(thousandths < 2 ** 31) || Math.round(thousandths) / 1000 !== Math.abs(value)) {
      this.ascii(String(value))
      return
    }
    this.#reserve(20)
    const chunk = this.#chunk
    if (value < 0) chunk[this.#at++] = minus
    const whole = Math.round(thousandths)
    const integer = (whole / 1000) | 0
    let digits = 1
    for (let most = 10; most <= integer; most *= 10) digits++
    this.padded(integer, digits)
    let fraction = whole - integer * 1000
    if (fraction === 0) return
    let places = 3
    while (fraction % 10 === 0) {
      fraction /= 10
      places--
    }
    chunk[this.#at++] = point
    this.padded(fraction, places)
  }
}
