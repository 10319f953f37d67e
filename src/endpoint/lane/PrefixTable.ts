/**
 * What each lane's backend has probably kept of the prompts that it was sent: leading blocks by their hashes, for all lanes of the
 * process in one table of numbers whose size is bounded. A block knows the one before it in its prompt, and no block is held without
 * that one: so how many leading blocks a lane holds is found by halving, and which blocks were used last is known when the last block
 * of each prompt is in order. A long prompt that is there already moves one entry, whatever its length.
 */

/** Tokens of a prompt that each block stands for. */
export const tokensPerBlock = 256
/** Bytes of the table for each block, its share of the buckets included. */
const bytesPerBlock = 48
/** No entry: they are numbered from 1. */
const nil = 0
const empty = new Uint32Array(0)

/** The numbers of an entry, side by side: who reads one mostly reads the others, too. */
const low = 0
const high = 1
const lane = 2
/** In its bucket, or among those that are free. */
const next = 3
/** The block before it in its prompt. */
const parent = 4
/** How many blocks come right after it, and `isEnd`: it is in order. */
const followers = 5
const isEnd = 0x8000_0000
/** The end that was used right after it, and right before: of all lanes, and of its own. */
const younger = 6
const older = 7
const laneYounger = 8
const laneOlder = 9
const width = 10

/** One lane's part of the table. */
export class PrefixBlocks {
  readonly #table: PrefixTable
  readonly id: number
  #capacity: number
  count = 0
  /** Entries of ends: the one used last, and the one that is dropped next. */
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
    let from = 0
    let to = Math.min(hashes.length >>> 1, this.count)
    // The first block alone tells most prompts that were never here.
    let middle = 0
    while (from < to) {
      if (this.#table.has(this, hashes[2 * middle] as number, hashes[2 * middle + 1] as number)) from = middle + 1
      else to = middle
      middle = (from + to) >>> 1
    }
    return from
  }

  /** A prompt of these blocks was sent there; how many of them it held. */
  add(hashes: Uint32Array): number {
    const held = this.matching(hashes)
    this.#table.add(this, hashes, held)
    return held
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
  #entries = empty

  /** `limit`: bytes, asked for when blocks are added; another one empties the table. 0: nothing is kept. */
  constructor(limit: () => number) {
    this.#limit = limit
  }

  /** `capacity`: blocks. */
  lane(capacity: number): PrefixBlocks {
    const made = new PrefixBlocks(this, ++this.#laneIds, capacity)
    this.#lanes.set(made.id, made)
    return made
  }

  forget(gone: PrefixBlocks): void {
    this.#lanes.delete(gone.id)
  }

  /** Nothing is kept. */
  get isOff(): boolean {
    return this.#limit() === 0
  }

  /** Of its memory. */
  get bytes(): number {
    return this.#buckets.byteLength + this.#entries.byteLength
  }

  /** Of all lanes. */
  get blocks(): number {
    return this.#blocks
  }

  has({ id }: PrefixBlocks, lowHash: number, highHash: number): boolean {
    return this.#find(id, lowHash, highHash) !== nil
  }

  /** Adds the blocks behind those that are held (`matching`), and makes all of them the youngest: the last one stands for those before it. */
  add(owner: PrefixBlocks, hashes: Uint32Array, matching: number): void {
    const limit = this.#limit()
    if (limit !== this.#madeFor) this.#make(limit)
    const most = Math.min(hashes.length >>> 1, owner.capacity, this.#size)
    // Whoever is gone has nothing any more.
    if (most < 1 || !this.#lanes.has(owner.id)) return
    const held = Math.min(matching, owner.count, most)
    let last = held === 0 ? nil : this.#find(owner.id, hashes[2 * held - 2] as number, hashes[2 * held - 1] as number)
    if (last !== nil) {
      if (last === owner.youngest && last === this.#youngest && held === most) return
      // In order before room is made for more: what is dropped is the oldest.
      this.#unlink(owner, last)
      this.#link(owner, last)
    }
    for (let n = held; n < most; n++) {
      while (owner.count >= owner.capacity) this.#drop(owner.oldest)
      const at = this.#take()
      this.#fill(at, owner.id, hashes[2 * n] as number, hashes[2 * n + 1] as number, last)
      owner.count++
      if (n === held && last !== nil) this.#unlink(owner, last)
      last = at
    }
    if (held < most) this.#link(owner, last)
  }

  /** Drops the oldest of a lane until so many are left. */
  shrink(owner: PrefixBlocks, blocks: number): void {
    while (owner.count > Math.max(0, blocks)) this.#drop(owner.oldest)
  }

  #make(limit: number): void {
    for (const each of this.#lanes.values()) each.count = each.youngest = each.oldest = nil
    // Entry 0 has its place, too.
    const size = Math.max(0, Math.floor(limit / bytesPerBlock) - 1)
    this.#madeFor = limit
    this.#size = size
    this.#untouched = 1
    this.#free = this.#youngest = this.#oldest = this.#blocks = nil
    this.#buckets = size === 0 ? empty : new Uint32Array(2 ** Math.ceil(Math.log2(size)))
    this.#entries = size === 0 ? empty : new Uint32Array(width * (size + 1))
  }

  #bucketOf(id: number, lowHash: number, highHash: number): number {
    return (lowHash ^ Math.imul(highHash, 0x9e3779b1) ^ Math.imul(id, 0x85ebca6b)) & (this.#buckets.length - 1)
  }

  #find(id: number, lowHash: number, highHash: number): number {
    if (this.#blocks === 0) return nil
    const entries = this.#entries
    let at = this.#buckets[this.#bucketOf(id, lowHash, highHash)] as number
    while (at !== nil) {
      const row = width * at
      if (entries[row + low] === lowHash && entries[row + high] === highHash && entries[row + lane] === id) return at
      at = entries[row + next] as number
    }
    return nil
  }

  /** An entry that nobody has; where there is none, the oldest block of all lanes gives its own. */
  #take(): number {
    if (this.#free === nil && this.#untouched <= this.#size) return this.#untouched++
    while (this.#free === nil) this.#drop(this.#oldest)
    const at = this.#free
    this.#free = this.#entries[width * at + next] as number
    return at
  }

  /** A block that nothing follows, in its bucket and not in order. */
  #fill(at: number, id: number, lowHash: number, highHash: number, before: number): void {
    const entries = this.#entries
    const row = width * at
    const bucket = this.#bucketOf(id, lowHash, highHash)
    entries[row + low] = lowHash
    entries[row + high] = highHash
    entries[row + lane] = id
    entries[row + next] = this.#buckets[bucket] as number
    entries[row + parent] = before
    entries[row + followers] = 0
    this.#buckets[bucket] = at
    if (before !== nil) (entries[width * before + followers] as number)++
    this.#blocks++
  }

  /**
   * Drops an oldest end, unless others follow it, which are younger: then it is only in order no more. The block before it takes its
   * place where it stands for nothing else: it was used when its follower was.
   */
  #drop(at: number): void {
    const entries = this.#entries
    const row = width * at
    const owner = this.#lanes.get(entries[row + lane] as number)
    if (owner === undefined) return
    if (entries[row + followers] !== isEnd) {
      this.#unlink(owner, at)
      return
    }
    const before = entries[row + parent] as number
    if (before !== nil && --(entries[width * before + followers] as number) === 0) this.#replace(owner, at, before)
    else this.#unlink(owner, at)
    owner.count--
    this.#blocks--
    const bucket = this.#bucketOf(owner.id, entries[row + low] as number, entries[row + high] as number)
    const after = entries[row + next] as number
    let other = this.#buckets[bucket] as number
    if (other === at) this.#buckets[bucket] = after
    else {
      while (entries[width * other + next] !== at) other = entries[width * other + next] as number
      entries[width * other + next] = after
    }
    entries[row + next] = this.#free
    this.#free = at
  }

  /** As the youngest of all, and of its lane. */
  #link(owner: PrefixBlocks, at: number): void {
    const entries = this.#entries
    const row = width * at
    entries[row + followers] = ((entries[row + followers] as number) | isEnd) >>> 0
    entries[row + younger] = entries[row + laneYounger] = nil
    entries[row + older] = this.#youngest
    entries[row + laneOlder] = owner.youngest
    if (this.#youngest === nil) this.#oldest = at
    else entries[width * this.#youngest + younger] = at
    if (owner.youngest === nil) owner.oldest = at
    else entries[width * owner.youngest + laneYounger] = at
    this.#youngest = owner.youngest = at
  }

  /** Out of the order, if it is in it. */
  #unlink(owner: PrefixBlocks, at: number): void {
    const entries = this.#entries
    const row = width * at
    const follow = entries[row + followers] as number
    if (follow < isEnd) return
    entries[row + followers] = follow - isEnd
    const [after, before] = [entries[row + younger] as number, entries[row + older] as number]
    if (after === nil) this.#youngest = before
    else entries[width * after + older] = before
    if (before === nil) this.#oldest = after
    else entries[width * before + younger] = after
    const [laneAfter, laneBefore] = [entries[row + laneYounger] as number, entries[row + laneOlder] as number]
    if (laneAfter === nil) owner.youngest = laneBefore
    else entries[width * laneAfter + laneOlder] = laneBefore
    if (laneBefore === nil) owner.oldest = laneAfter
    else entries[width * laneBefore + laneYounger] = laneAfter
  }

  /** Another block of its lane, which is not in order, in its place. */
  #replace(owner: PrefixBlocks, at: number, by: number): void {
    const entries = this.#entries
    const row = width * by
    entries.copyWithin(row + younger, width * at + younger, width * at + width)
    entries[row + followers] = ((entries[row + followers] as number) | isEnd) >>> 0
    const [after, before] = [entries[row + younger] as number, entries[row + older] as number]
    if (after === nil) this.#youngest = by
    else entries[width * after + older] = by
    if (before === nil) this.#oldest = by
    else entries[width * before + younger] = by
    const [laneAfter, laneBefore] = [entries[row + laneYounger] as number, entries[row + laneOlder] as number]
    if (laneAfter === nil) owner.youngest = by
    else entries[width * laneAfter + laneOlder] = by
    if (laneBefore === nil) owner.oldest = by
    else entries[width * laneBefore + laneYounger] = by
  }
}
