/**
 * A map by name in many small maps: a single one of a hundred thousand names would hold the loop for longer than a whole
 * slice each time it doubles.
 */
const shards = 64

const shardOf = (name: string): number => {
  const { length } = name
  let hash = length
  // The end tells names apart better than the beginning.
  for (let i = Math.max(0, length - 12); i < length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
  return (hash ^ (hash >>> 8)) & (shards - 1)
}

export class NameMap<A> {
  readonly #maps: ReadonlyArray<Map<string, A>> = Array.from({ length: shards }, () => new Map<string, A>())

  get(name: string): A | undefined {
    return (this.#maps[shardOf(name)] as Map<string, A>).get(name)
  }

  has(name: string): boolean {
    return (this.#maps[shardOf(name)] as Map<string, A>).has(name)
  }

  set(name: string, value: A): void {
    ;(this.#maps[shardOf(name)] as Map<string, A>).set(name, value)
  }

  delete(name: string): void {
    ;(this.#maps[shardOf(name)] as Map<string, A>).delete(name)
  }

  get size(): number {
    return this.#maps.reduce((sum, map) => sum + map.size, 0)
  }

  *keys(): IterableIterator<string> {
    for (const map of this.#maps) yield* map.keys()
  }

  *entries(): IterableIterator<[string, A]> {
    for (const map of this.#maps) yield* map.entries()
  }

  clear(): void {
    for (const map of this.#maps) map.clear()
  }
}
