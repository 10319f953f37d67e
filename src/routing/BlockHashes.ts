/**
 * Names the beginnings of a text: one 64-bit hash for each full block of it, each made of the one before and the block's bytes, so that
 * two texts have as many leading hashes in common as they have leading blocks. It runs over every long prompt: a WebAssembly function of
 * four independent multiplications does eight bytes of each at once, at a third of what the same costs with JavaScript's 32-bit
 * integers, and a fifth of a native checksum called block by block.
 */

export const blockSize = 1024
/** Bytes that are handed to the function at once. */
const windowSize = 64 * 1024
const windowBlocks = windowSize / blockSize
/** Where in its memory the hash before a window's first block lies; those of the blocks follow it. */
const chainAt = windowSize

const op = {
  loop: 0x03,
  brIf: 0x0d,
  end: 0x0b,
  get: 0x20,
  set: 0x21,
  load64: 0x29,
  store64: 0x37,
  const32: 0x41,
  const64: 0x42,
  isLess32: 0x49,
  add32: 0x6a,
  multiply64: 0x7e,
  xor64: 0x85,
  rotate64: 0x89
} as const
const none = 0x40
const [i32, i64] = [0x7f, 0x7e]

/** LEB128, as the format writes numbers. */
const signed = (value: bigint | number): ReadonlyArray<number> => {
  const out: Array<number> = []
  let rest = BigInt(value)
  for (;;) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) return [...out, low]
    out.push(low | 0x80)
  }
}
const unsigned = (value: number): ReadonlyArray<number> => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)])

const get = (local: number) => [op.get, local]
const set = (local: number) => [op.set, local]
const number64 = (value: bigint) => [op.const64, ...signed(BigInt.asIntN(64, value))]
/** Of eight bytes at the address on the stack. */
const load = (offset: number) => [op.load64, 3, ...unsigned(offset)]
const store = (offset: number) => [op.store64, 3, ...unsigned(offset)]
const addTo = (local: number, value: number) => [...get(local), op.const32, ...signed(value), op.add32, ...set(local)]

const [mixing, folding] = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn]
/** The local variables of `chain(ends)`: addresses, the hash so far, and the four that run side by side. */
const [textEnd, text, blockEnd, out, hash] = [0, 1, 2, 3, 4]
const parts = [5, 6, 7, 8]

const body: ReadonlyArray<number> = [
  ...[op.const32, ...signed(chainAt), ...load(0), ...set(hash)],
  ...[op.loop, none],
  ...parts.flatMap((part, n) => [...get(hash), ...number64(BigInt(n + 1) * folding), op.xor64, ...set(part)]),
  ...[...get(text), op.const32, ...signed(blockSize), op.add32, ...set(blockEnd)],
  ...[op.loop, none],
  ...parts.flatMap((part, n) => [
    ...[...get(part), ...get(text), ...load(8 * n), op.xor64],
    ...[...number64(mixing), op.multiply64, ...number64(29n), op.rotate64, ...set(part)]
  ]),
  ...addTo(text, 8 * parts.length),
  ...[...get(text), ...get(blockEnd), op.isLess32, op.brIf, 0, op.end],
  ...parts.flatMap((part) => [
    ...[...get(hash), ...get(part), op.xor64, ...number64(folding), op.multiply64, ...number64(31n), op.rotate64, ...set(hash)]
  ]),
  ...[...get(out), ...get(hash), ...store(chainAt + 8)],
  ...addTo(out, 8),
  ...[...get(text), ...get(textEnd), op.isLess32, op.brIf, 0, op.end],
  op.end
]

const section = (id: number, content: ReadonlyArray<number>) => [id, ...unsigned(content.length), ...content]
const name = (text: string) => [text.length, ...Buffer.from(text)]
const code = [2, 3, i32, 1 + parts.length, i64, ...body]

const module = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 1, i32, 0]),
  ...section(3, [1, 0]),
  // Two pages of 64 KiB: the text, and its hashes.
  ...section(5, [1, 0, 2]),
  ...section(7, [2, ...name("memory"), 2, 0, ...name("chain"), 0, 0]),
  ...section(10, [1, ...unsigned(code.length), ...code])
])

/** What is used of it: the compiler's libraries know it of browsers only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> }
}

interface Hasher {
  readonly text: Buffer
  readonly chain: Uint32Array
  /** `size`: bytes of whole blocks, one at least. */
  readonly run: (size: number) => void
}

let made: Hasher | undefined

const hasher = (): Hasher => {
  if (made !== undefined) return made
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module))
  const { buffer } = exports["memory"] as { readonly buffer: ArrayBuffer }
  made = {
    text: Buffer.from(buffer, 0, windowSize),
    chain: new Uint32Array(buffer, chainAt, 2 * (windowBlocks + 1)),
    run: exports["chain"] as (size: number) => void
  }
  return made
}

/**
 * The chain of the text that these byte ranges of a body make together: two numbers of 32 bits for each full block, of `most` blocks at
 * most. `seed`: two numbers; texts with other seeds have nothing in common.
 */
export const blockHashes = (
  chunks: ReadonlyArray<Uint8Array>,
  spans: ReadonlyArray<readonly [start: number, end: number]>,
  seed: readonly [number, number],
  most: number
): Uint32Array => {
  const size = spans.reduce((sum, [start, end]) => sum + end - start, 0)
  const blocks = Math.min(Math.floor(size / blockSize), most)
  const out = new Uint32Array(2 * blocks)
  if (blocks === 0) return out
  const { text, chain, run } = hasher()
  chain[0] = seed[0]
  chain[1] = seed[1]
  let done = 0
  let filled = 0
  const flush = () => {
    const count = Math.min(Math.floor(filled / blockSize), blocks - done)
    if (count === 0) return
    run(count * blockSize)
    out.set(chain.subarray(2, 2 + 2 * count), 2 * done)
    chain[0] = chain[2 * count] as number
    chain[1] = chain[2 * count + 1] as number
    done += count
    filled = 0
  }
  for (const [start, end] of spans) {
    let base = 0
    for (const chunk of chunks) {
      if (done === blocks) return out
      let from = Math.max(start - base, 0)
      const to = Math.min(end - base, chunk.length)
      base += chunk.length
      while (from < to && done < blocks) {
        const count = Math.min(to - from, windowSize - filled)
        text.set(chunk.subarray(from, from + count), filled)
        from += count
        filled += count
        if (filled === windowSize) flush()
      }
      if (base >= end) break
    }
  }
  flush()
  return out
}
