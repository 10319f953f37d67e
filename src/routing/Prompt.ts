/**
 * How much a request gives its model to read, and how long the answer may be: what an attempt costs depends on that. Worked out when it
 * is asked for; all that was read of a long body was read while it came in.
 */
import { blockHashes, blockSize } from "./BlockHashes.ts"
import type { PromptSize } from "./Chain.ts"
import { parseBelow, placesOf, scanOf } from "./Inspecting.ts"
import type { Inspection, PromptPlaces } from "./Router.ts"

/** Bytes of text that count as one token: nobody counts them, and they need only be right beside one another. */
export const bytesPerToken = 4
/** Tokens at most where an image is in it: its bytes say nothing of its tokens. */
const mostWithImage = 4000
/** Blocks of a prompt that are told apart. */
const mostBlocks = 1024

/** Of no prompt: shared, and empty. */
const noBlocks = new Uint32Array(0)

export class Prompt {
  readonly #inspection: Inspection
  readonly #size: number
  /** Until its blocks are known: a body is not held for its numbers. */
  #body: ReadonlyArray<Buffer> | undefined
  #tokens = -1
  #blocks: Uint32Array | undefined

  /** `size`: bytes of the body. */
  constructor(inspection: Inspection, body: ReadonlyArray<Buffer>, size: number) {
    this.#inspection = inspection
    this.#body = body
    this.#size = size
  }

  get tokens(): number {
    if (this.#tokens < 0) this.#tokens = this.#count()
    return this.#tokens
  }

  /** Bytes of its text, and whether an image is among them, which says nothing of tokens. */
  get extent(): PromptSize {
    if (this.#inspection.field === "form") return { bytes: 0, hasImage: false }
    const { spans, hasImage } = this.#where(this.#body ?? [])
    return { bytes: spans.reduce((sum, [start, end]) => sum + end - start, 0), hasImage }
  }

  /** Tokens that the answer may have; `undefined`: the request does not say. */
  get mostTokens(): number | undefined {
    return this.#inspection.mostTokens
  }

  /** Two numbers for each full block, as `blockHashes` has them. `seed`: of the first call. */
  blocks(seed: readonly [number, number]): Uint32Array {
    if (this.#blocks !== undefined) return this.#blocks
    const body = this.#body ?? []
    this.#blocks =
      this.#size < blockSize || this.#inspection.field === "form" ? noBlocks : blockHashes(body, this.#where(body).spans, seed, mostBlocks)
    this.#body = undefined
    return this.#blocks
  }

  /** Of a short body all counts: too little of it is anything else. */
  #count(): number {
    const { field, prompt } = this.#inspection
    if (field === "form") return 0
    if (prompt === undefined) return this.#size < parseBelow ? this.#size / bytesPerToken : 0
    const tokens = prompt.spans.reduce((sum, [start, end]) => sum + end - start, 0) / bytesPerToken
    return prompt.hasImage ? Math.min(tokens, mostWithImage) : tokens
  }

  #where(body: ReadonlyArray<Buffer>): PromptPlaces {
    return this.#inspection.prompt ?? placesOf(scanOf(body))
  }
}
