/** Watches fragments of one JSON value go by and knows when it is whole, without keeping them. */
export class JsonCompleteness {
  #depth = 0
  #inString = false
  #escaped = false
  #started = false

  push(fragment: string): void {
    for (let i = 0; i < fragment.length; i++) {
      const c = fragment.charCodeAt(i)
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (c === 92) this.#escaped = true
        else if (c === 34) this.#inString = false
      } else if (c === 34) {
        this.#inString = true
        this.#started = true
      } else if (c === 123 || c === 91) {
        this.#depth++
        this.#started = true
      } else if (c === 125 || c === 93) this.#depth--
    }
  }

  /** Something of a value was said. */
  get begun(): boolean {
    return this.#started
  }

  /** Tool inputs are objects: a bare scalar never counts as whole. */
  get whole(): boolean {
    return this.#started && this.#depth <= 0 && !this.#inString
  }
}
