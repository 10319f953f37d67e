/** Gathers small pieces of an answer: nothing before 2 KiB are there, then steps of 4 KiB, and what waits when the backend falls silent. */

const firstStep = 2 * 1024
const laterStep = 4 * 1024
/** What came does not wait longer than this for more, in milliseconds. */
const silence = 100

export class Coalescing {
  readonly #onSilence: (bytes: Buffer) => void
  #waiting: Array<Buffer> = []
  #step = firstStep
  #lastAt = 0
  #timer: NodeJS.Timeout | undefined
  /** Bytes that wait. */
  size = 0

  /** `onSilence` gets what waited when nothing more came for a while. */
  constructor(onSilence: (bytes: Buffer) => void) {
    this.#onSilence = onSilence
  }

  /** Keeps `bytes`; what is to go out now, if anything is. `last`: all of it waits for `rest`. */
  push(bytes: Buffer, last: boolean): Buffer | undefined {
    this.#waiting.push(bytes)
    this.size += bytes.length
    if (last) return undefined
    if (this.size >= this.#step) return this.#take()
    this.#lastAt = performance.now()
    this.#timer ??= setTimeout(this.#look, silence)
    return undefined
  }

  /** The end, good or bad: what still waits. */
  rest(): Buffer | undefined {
    clearTimeout(this.#timer)
    return this.size === 0 ? undefined : this.#take()
  }

  #take(): Buffer {
    const bytes = this.#waiting.length === 1 ? (this.#waiting[0] as Buffer) : Buffer.concat(this.#waiting)
    this.#waiting = []
    this.size = 0
    this.#step = laterStep
    return bytes
  }

  /** One timer for many reads: it looks when the last of them was. */
  readonly #look = (): void => {
    const quiet = performance.now() - this.#lastAt
    this.#timer = this.size > 0 && quiet < silence ? setTimeout(this.#look, silence - quiet) : undefined
    if (this.size > 0 && this.#timer === undefined) this.#onSilence(this.#take())
  }
}
