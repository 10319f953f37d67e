/**
 * What an inference server keeps of prompts that it has read: blocks of tokens, each named by a hash over itself and all before it,
 * the least recently used of which go first.
 */

/** Tokens of a block. */
export const blockTokens = 64

export class PrefixCache {
  readonly #capacity: number
  /** Oldest first. */
  readonly #blocks = new Set<number>()

  /** 0 tokens: nothing is kept. */
  constructor(tokens: number) {
    this.#capacity = Math.floor(tokens / blockTokens)
  }

  /** Tokens at the start of a prompt that need not be read again. */
  match(blocks: ReadonlyArray<number>): number {
    let known = 0
    while (known < blocks.length && this.#blocks.has(blocks[known] as number)) known++
    return known * blockTokens
  }

  keep(blocks: ReadonlyArray<number>): void {
    // The last of a prompt is the oldest of it: a block without those before it is worth nothing.
    for (let i = Math.min(blocks.length, this.#capacity) - 1; i >= 0; i--) {
      const block = blocks[i] as number
      this.#blocks.delete(block)
      this.#blocks.add(block)
    }
    for (const oldest of this.#blocks) {
      if (this.#blocks.size <= this.#capacity) break
      this.#blocks.delete(oldest)
    }
  }

  /** From 0 to 1. */
  get used(): number {
    return this.#capacity === 0 ? 0 : this.#blocks.size / this.#capacity
  }

  clear(): void {
    this.#blocks.clear()
  }
}
