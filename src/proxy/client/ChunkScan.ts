/**
 * Walks along a chunked body without changing it: finds its end, so that whole frames can be passed on untouched. The
 * last chunk and the trailers are held back: whoever relays writes his own end. Strict: CRLF, at most eight hex digits,
 * bounded extensions and trailers; anything else is `bad` and the connection is dropped.
 */

const SIZE = 0
const EXT = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAIL = 6
const TRAIL_LINE = 7
const TRAIL_LF = 8
const LAST_LF = 9
const DONE = 10
const CR = 13
const LF = 10
const SEMICOLON = 59

const maxExtension = 1024
const maxTrailers = 8192

export class ChunkScan {
  #state = SIZE
  #size = 0
  #digits = 0
  #left = 0
  #slack = 0
  /** Index in the last buffer at which the body ended; -1 before. */
  end = -1
  bad = false
  /** Payload bytes so far. */
  payload = 0

  get done(): boolean {
    return this.#state === DONE
  }

  /** True between frames: only then may somebody write a frame of his own. */
  get boundary(): boolean {
    return this.#state === SIZE && this.#digits === 0
  }

  /**
   * Looks at `b` from `i` on; bytes up to the returned index may be passed on as they are. With a sink, it gets the
   * payload slices instead.
   */
  push(b: Buffer, i: number, sink?: Array<Buffer>): number {
    const length = b.length
    let s = this.#state
    // Where a possible last chunk begins, if one is under way: it must not be passed on.
    let hold = s >= TRAIL || (s < DATA && this.#digits > 0 && this.#size === 0) ? i : -1
    while (i < length && s !== DONE) {
      if (s === DATA) {
        const n = Math.min(length - i, this.#left)
        if (sink !== undefined) sink.push(i === 0 && n === length ? b : b.subarray(i, i + n))
        i += n
        this.payload += n
        this.#left -= n
        if (this.#left === 0) s = DATA_CR
        continue
      }
      const c = b[i++] as number
      switch (s) {
        case SIZE: {
          if (c === CR || c === SEMICOLON) {
            if (this.#digits === 0) return this.#fail()
            s = c === CR ? SIZE_LF : EXT
            break
          }
          const value = c >= 48 && c <= 57 ? c - 48 : (c | 32) >= 97 && (c | 32) <= 102 ? (c | 32) - 87 : -1
          if (value < 0 || ++this.#digits > 8) return this.#fail()
          this.#size = this.#size * 16 + value
          if (this.#size > 0) hold = -1
          else if (hold < 0) hold = i - 1 // leading zeros may be dropped, so holding them is safe
          break
        }
        case EXT:
          if (c === CR) s = SIZE_LF
          else if (c === LF || ++this.#slack > maxExtension) return this.#fail()
          break
        case SIZE_LF:
          if (c !== LF) return this.#fail()
          if (this.#size === 0) s = TRAIL
          else {
            this.#left = this.#size
            s = DATA
          }
          this.#slack = 0
          break
        case DATA_CR:
          if (c !== CR) return this.#fail()
          s = DATA_LF
          break
        case DATA_LF:
          if (c !== LF) return this.#fail()
          s = SIZE
          this.#size = 0
          this.#digits = 0
          break
        case TRAIL:
          if (c === LF) return this.#fail()
          s = c === CR ? LAST_LF : TRAIL_LINE
          break
        case TRAIL_LINE:
          if (c === CR) s = TRAIL_LF
          else if (c === LF || ++this.#slack > maxTrailers) return this.#fail()
          break
        case TRAIL_LF:
          if (c !== LF) return this.#fail()
          s = TRAIL
          break
        case LAST_LF:
          if (c !== LF) return this.#fail()
          s = DONE
          this.end = i
          break
      }
    }
    this.#state = s
    return hold >= 0 ? hold : length
  }

  #fail(): number {
    this.bad = true
    return 0
  }
}
