/**
 * What each lane's backend has probably kept of the prompts that it was sent: leading blocks by their hashes, for all lanes of the
 * process in one table of numbers whose size is bounded. A block is younger in its lane than those that follow it in a prompt, and the
 * oldest are dropped first: no block goes before those behind it, so how many leading blocks a lane holds is found by halving.
 */

/** Tokens of a prompt that each block stands for. */
export const tokensPerBlock = 256
/** Bytes of the table for each block, its share of the buckets included. */
const bytesPerBlock = 48
/** No entry: they are numbered from 1. */
const nil = 0
const empty = new Uint32Array(0)

/** One lane's part of the table. */
export class PrefixBlocks {
  readonly #table: PrefixTable
  readonly id: number
  #capacity: number
  count = 0
  /** Entries: the one used last, and the one that is dropped next. */
  youngest = nil
  oldest = nil

  /** Made by `PrefixTable.lane`. */
  constructor(table: PrefixTable, id: number, capacity: number) {
    this.#table = table
    this.id = id
    this.#capacity = capacity
  }

  /** Blocks that the backend keeps, as far as is known. */
  get capacity(): number {
    return this.#capacity
  }
  set capacity(blocks: number) {
    this.#capacity = blocks
    this.#table.shrink(this, blocks)
  }

  /** How many of these leading blocks it holds. `hashes`: two numbers for each. */
  matching(hashes: Uint32Array): number {
    let low = 0
    let high = Math.min(hashes.length >>> 1, this.count)
    // The first block alone tells most prompts that were never here.
    let middle = 0
    while (low < high) {
      if (this.#table.has(this, hashes[2 * middle] as number, hashes[2 * middle + 1] as number)) low = middle + 1
      else high = middle
      middle = (low + high) >>> 1
    }
    return low
  }

  /** A prompt of these blocks was sent there. */
  add(hashes: Uint32Array): void {
    // From its end, so that its beginning is the youngest.
    for (let n = Math.min(hashes.length >>> 1, this.#capacity) - 1; n >= 0; n--)
      this.#table.touch(this, hashes[2 * n] as number, hashes[2 * n + 1] as number)
  }

  /** The backend has lost them all. */
  clear(): void {
    this.#table.shrink(this, 0)
  }

  /** The lane is gone. */
  release(): void {
    this.clear()
    this.#table.forget(this)
  }
}

export class PrefixTable {
  readonly #limit: () => number
  readonly #lanes = new Map<number, PrefixBlocks>()
  #laneIds = 0
  /** The limit that it was made for. */
  #madeFor = 0
  #size = 0
  /** Entries from this one on were never used, and their memory was never touched. */
  #untouched = 1
  #free = nil
  #youngest = nil
  #oldest = nil
  #blocks = 0
  #buckets = empty
  #low = empty
  #high = empty
  #lane = empty
  /** In its bucket, or among those that are free. */
  #next = empty
  #younger = empty
  #older = empty
  #laneYounger = empty
  #laneOlder = empty

  /** `limit`: bytes, asked for when blocks are added; another one empties the table. 0: nothing is kept. */
  constructor(limit: () => number) {
    this.#limit = limit
  }

  /** `capacity`: blocks. */
  lane(capacity: number): PrefixBlocks {
    const lane = new PrefixBlocks(this, ++this.#laneIds, capacity)
    this.#lanes.set(lane.id, lane)
    return lane
  }

  forget(lane: PrefixBlocks): void {
    this.#lanes.delete(lane.id)
  }

  /** Nothing is kept. */
  get isOff(): boolean {
    return this.#limit() === 0
  }

  /** Of its memory. */
  get bytes(): number {
    const columns = [this.#low, this.#high, this.#lane, this.#next, this.#younger, this.#older, this.#laneYounger, this.#laneOlder]
    return columns.reduce((sum, { byteLength }) => sum + byteLength, this.#buckets.byteLength)
  }

  /** Of all lanes. */
  get blocks(): number {
    return this.#blocks
  }

  has({ id }: PrefixBlocks, low: number, high: number): boolean {
    return this.#find(id, low, high) !== nil
  }

  /** Adds the block, or makes it the youngest. */
  touch(lane: PrefixBlocks, low: number, high: number): void {
    const limit = this.#limit()
    if (limit !== this.#madeFor) this.#make(limit)
    if (this.#size === 0 || lane.capacity < 1) return
    const known = this.#find(lane.id, low, high)
    if (known !== nil) {
      if (known === lane.youngest && known === this.#youngest) return
      this.#unlink(lane, known)
      this.#link(lane, known)
      return
    }
    if (lane.count >= lane.capacity) this.#drop(lane.oldest)
    const at = this.#take()
    this.#low[at] = low
    this.#high[at] = high
    this.#lane[at] = lane.id
    const bucket = this.#bucketOf(lane.id, low, high)
    this.#next[at] = this.#buckets[bucket] as number
    this.#buckets[bucket] = at
    this.#blocks++
    lane.count++
    this.#link(lane, at)
  }

  /** Drops the oldest of a lane until so many are left. */
  shrink(lane: PrefixBlocks, blocks: number): void {
    while (lane.count > Math.max(0, blocks)) this.#drop(lane.oldest)
  }

  #make(limit: number): void {
    for (const lane of this.#lanes.values()) lane.count = lane.youngest = lane.oldest = nil
    // Entry 0 has its place in the columns too.
    const size = Math.max(0, Math.floor(limit / bytesPerBlock) - 1)
    const column = () => (size === 0 ? empty : new Uint32Array(size + 1))
    this.#madeFor = limit
    this.#size = size
    this.#untouched = 1
    this.#free = this.#youngest = this.#oldest = this.#blocks = nil
    this.#buckets = size === 0 ? empty : new Uint32Array(2 ** Math.ceil(Math.log2(size)))
    this.#low = column()
    this.#high = column()
    this.#lane = column()
    this.#next = column()
    this.#younger = column()
    this.#older = column()
    this.#laneYounger = column()
    this.#laneOlder = column()
  }

  #bucketOf(lane: number, low: number, high: number): number {
    return (low ^ Math.imul(high, 0x9e3779b1) ^ Math.imul(lane, 0x85ebca6b)) & (this.#buckets.length - 1)
  }

  #find(lane: number, low: number, high: number): number {
    if (this.#blocks === 0) return nil
    let at = this.#buckets[this.#bucketOf(lane, low, high)] as number
    while (at !== nil && (this.#low[at] !== low || this.#high[at] !== high || this.#lane[at] !== lane)) at = this.#next[at] as number
    return at
  }

  /** An entry that nobody has; where there is none, the oldest block of all lanes gives its own. */
  #take(): number {
    if (this.#free === nil && this.#untouched <= this.#size) return this.#untouched++
    if (this.#free === nil) this.#drop(this.#oldest)
    const at = this.#free
    this.#free = this.#next[at] as number
    return at
  }

  #drop(at: number): void {
    const lane = this.#lanes.get(this.#lane[at] as number)
    if (lane === undefined) return
    this.#unlink(lane, at)
    lane.count--
    this.#blocks--
    const bucket = this.#bucketOf(lane.id, this.#low[at] as number, this.#high[at] as number)
    const next = this.#next[at] as number
    let before = this.#buckets[bucket] as number
    if (before === at) this.#buckets[bucket] = next
    else {
      while (this.#next[before] !== at) before = this.#next[before] as number
      this.#next[before] = next
    }
    this.#next[at] = this.#free
    this.#free = at
  }

  /** As the youngest of all, and of its lane. */
  #link(lane: PrefixBlocks, at: number): void {
    this.#younger[at] = this.#laneYounger[at] = nil
    this.#older[at] = this.#youngest
    this.#laneOlder[at] = lane.youngest
    if (this.#youngest === nil) this.#oldest = at
    else this.#younger[this.#youngest] = at
    if (lane.youngest === nil) lane.oldest = at
    else this.#laneYounger[lane.youngest] = at
    this.#youngest = lane.youngest = at
  }

  #unlink(lane: PrefixBlocks, at: number): void {
    const younger = this.#younger[at] as number
    const older = this.#older[at] as number
    if (younger === nil) this.#youngest = older
    else this.#older[younger] = older
    if (older === nil) this.#oldest = younger
    else this.#younger[older] = younger
    const laneYounger = this.#laneYounger[at] as number
    const laneOlder = this.#laneOlder[at] as number
    if (laneYounger === nil) lane.youngest = laneOlder
    else this.#laneOlder[laneYounger] = laneOlder
    if (laneOlder === nil) lane.oldest = laneYounger
    else this.#laneYounger[laneOlder] = laneYounger
  }
}
