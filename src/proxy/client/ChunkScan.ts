/**
 * Walks along a chunked body without changing it: finds its end, so that whole frames can be passed on untouched. The
 * last chunk and the trailers are held back: the relay writes the end itself. Strict: CRLF, at most eight hex digits,
 * bounded extensions and trailers; anything else is `bad` and the connection is dropped.
 */

const SIZE = 0
const EXT = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAIL = 6
const TRAIL_NAME = 7
const TRAIL_LINE = 8
const TRAIL_LF = 9
const LAST_LF = 10
const DONE = 11
const CR = 13
const LF = 10
const SEMICOLON = 59
const COLON = 58
const TAB = 9
const DELETE = 127

const maxExtension = 1024
const maxTrailers = 8192
/** What the first byte of a trailer and its line end count for. */
const lineCost = 3

const tokens = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/
const isToken = (c: number): boolean => tokens.test(String.fromCharCode(c))

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
   * Looks at `b` from `from` on; bytes up to the returned index may be passed on as they are, also when what follows them is
   * `bad`. A sink gets the slices of payload among them.
   */
  push(b: Buffer, from: number, sink?: Array<Buffer>): number {
    const length = b.length
    let i = from
    // What comes before is in order, whatever follows.
    let good = from
    let s = this.#state
    // Where a possible last chunk begins, if one is under way: it must not be passed on.
    let hold = s >= TRAIL || (s < DATA && this.#digits > 0 && this.#size === 0) ? i : -1
    while (i < length && s !== DONE) {
      if (s === DATA) {
        const n = Math.min(length - i, this.#left)
        if (sink !== undefined) sink.push(i === 0 && n === length ? b : b.subarray(i, i + n))
        i += n
        good = i
        this.payload += n
        this.#left -= n
        if (this.#left === 0) s = DATA_CR
        continue
      }
      const c = b[i++] as number
      switch (s) {
        case SIZE: {
          if (c === CR || c === SEMICOLON) {
            if (this.#digits === 0) return this.#fail(good)
            s = c === CR ? SIZE_LF : EXT
            break
          }
          const value = c >= 48 && c <= 57 ? c - 48 : (c | 32) >= 97 && (c | 32) <= 102 ? (c | 32) - 87 : -1
          if (value < 0 || ++this.#digits > 8) return this.#fail(good)
          this.#size = this.#size * 16 + value
          if (this.#size > 0) hold = -1
          else if (hold < 0) hold = i - 1 // leading zeros may be dropped, so holding them is safe
          break
        }
        case EXT:
          if (c === CR) s = SIZE_LF
          else if ((c < 32 && c !== TAB) || c === DELETE || ++this.#slack > maxExtension) return this.#fail(good)
          break
        case SIZE_LF:
          if (c !== LF) return this.#fail(good)
          if (this.#size === 0) s = TRAIL
          else {
            this.#left = this.#size
            s = DATA
          }
          this.#slack = 0
          break
        case DATA_CR:
          if (c !== CR) return this.#fail(good)
          s = DATA_LF
          break
        case DATA_LF:
          if (c !== LF) return this.#fail(good)
          s = SIZE
          good = i
          this.#size = 0
          this.#digits = 0
          break
        case TRAIL:
          this.#slack += lineCost
          if ((c !== CR && !isToken(c)) || this.#slack > maxTrailers) return this.#fail(good)
          s = c === CR ? LAST_LF : TRAIL_NAME
          break
        case TRAIL_NAME:
          if (c === COLON) s = TRAIL_LINE
          else if (!isToken(c) || ++this.#slack > maxTrailers) return this.#fail(good)
          break
        case TRAIL_LINE:
          if (c === CR) s = TRAIL_LF
          else if ((c < 32 && c !== TAB) || c === DELETE || ++this.#slack > maxTrailers) return this.#fail(good)
          break
        case TRAIL_LF:
          if (c !== LF) return this.#fail(good)
          s = TRAIL
          break
        case LAST_LF:
          if (c !== LF) return this.#fail(good)
          s = DONE
          this.end = i
          break
      }
    }
    this.#state = s
    return hold >= 0 ? hold : length
  }

  #fail(good: number): number {
    this.bad = true
    return good
  }
}
