/**
 * One entry for the same model on several endpoints: a pure pass over the lists in configuration
 * order, so that the order in which endpoints answered leaves no trace. Written as a generator: whoever runs it decides
 * how long it may hold the loop between two steps.
 */
import type { InventoryEntry, Source } from "./Inventory.ts"
import type { UnifiedModel } from "./ModelOffer.ts"
import { NameMap } from "./NameMap.ts"
import { Merged, type Merging, type Pass } from "./UnifiedModel.ts"

export interface UnifyInput extends Merging {
  /** Configuration order. */
  readonly listings: ReadonlyArray<InventoryEntry>
}

/** Every entry, in order of first appearance, and under each of its names (lower-cased) the oldest that bears it. */
export interface Unified {
  readonly models: ReadonlyArray<Merged>
  readonly byName: NameMap<UnifiedModel>
  /** Entries whose id, in any case, is first another entry's name. */
  readonly hidden: ReadonlyArray<Merged>
  /** Stamped on all of them, new or taken over. */
  readonly pass: Pass
}

/**
 * An entry in the making. Most rebuilds find most entries as they were, so a draft follows the entry that its first report
 * last went into for as long as the same reports come in the same order, and makes lists of its own only from where they differ.
 */
class Draft {
  readonly id: string
  digest: string | undefined
  readonly #before: Merged | undefined
  #same = 0
  #names: Array<UnifiedModel["aliases"][number]> | undefined
  #reports: Array<Source> | undefined
  /** Names with a tag that says nothing, by what they are without it. */
  #tagged: Map<string, string> | undefined

  constructor(id: string, { entry }: Source) {
    this.id = id
    this.digest = undefined
    this.#before = entry instanceof Merged && entry.id === id ? entry : undefined
  }

  add(source: Source): void {
    if (this.#reports === undefined) {
      if (this.#before?.sources[this.#same] === source) {
        this.#same++
        return
      }
      if (this.#same === 0) {
        // An empty list that grows by one takes room for seventeen, and most entries have one report.
        this.#reports = [source]
        this.#names = []
        this.#name(source)
        return
      }
      this.#part()
    }
    this.#append(source)
  }

  get size(): number {
    return this.#reports?.length ?? this.#same
  }

  /** The forerunner itself where nothing has changed. */
  done(input: UnifyInput): Merged {
    const before = this.#before
    if (this.#reports === undefined && before !== undefined) {
      if (before.sources.length === this.#same) return before.takenOver()
      this.#part()
    }
    return new Merged(this.id, this.#names ?? [], this.#reports ?? [], input)
  }

  /** From here on it goes its own way. */
  #part(): void {
    this.#reports = []
    this.#names = []
    for (const known of this.#before?.sources.slice(0, this.#same) ?? []) this.#append(known)
  }

  #append(source: Source): void {
    this.#reports?.push(source)
    this.#name(source)
  }

  #name({ nativeName, ownAliases, platform, untagged }: Source): void {
    const names = this.#names ?? []
    for (const name of ownAliases.length === 0 ? [nativeName] : [nativeName, ...ownAliases]) {
      if (names.some((known) => known.name === name && known.source === platform)) continue
      // The name that everybody takes stands before the one that only some do.
      const low = name.toLowerCase()
      const at = this.#tagged?.get(low)
      const place = at === undefined ? -1 : names.findIndex((known) => known.name === at)
      names.splice(place < 0 ? names.length : place, 0, { name, source: platform })
    }
    if (untagged === undefined) return
    this.#tagged ??= new Map()
    this.#tagged.set(untagged.toLowerCase(), nativeName)
  }
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 100

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

export function* unify(input: UnifyInput): Generator<void, Unified> {
  const drafts = yield* draft(input.listings)
  const models: Array<Merged> = []
  const hidden: Array<Merged> = []
  const pass: Pass = {}
  // The drafts' own map, its values replaced: another one would be as large again.
  const byName = drafts.byName as NameMap<Draft | UnifiedModel>
  let n = 0
  for (const one of drafts.all) {
    const model = one.done(input)
    model.stamp(pass)
    models.push(model)
    let owner: Draft | UnifiedModel | undefined
    for (const { lowName, otherNames } of model.sources) {
      // Only where nobody bears it as his own.
      for (const other of otherNames) if (byName.get(other) === one) byName.set(other, model)
      const known = byName.get(lowName)
      const mine = known instanceof Draft
      if (mine) byName.set(lowName, model)
      owner ??= mine ? model : known
    }
    // Its id is its first report's name, but for a twin with another digest.
    if (model.sources[0]?.nativeName === model.id ? owner !== model : byName.get(model.id.toLowerCase()) !== model) hidden.push(model)
    n += 1 + one.size / 2
    if (n >= perStep) {
      n = 0
      yield
    }
  }
  return { models, byName: byName as NameMap<UnifiedModel>, hidden, pass }
}

/** Drafts by id and by name. Nearly every id is its own entry's first name, and then stands only once. */
class Drafts {
  readonly all: Array<Draft> = []
  readonly byName = new NameMap<Draft>()
  /** Whose id, in any case, is first another entry's name. */
  readonly #hidden = new Map<string, Draft>()
  readonly byDigest = new NameMap<Draft>()

  find(name: string, low: string): Draft | undefined {
    return this.#hidden.get(name) ?? this.byName.get(low)
  }

  /** Whose name one of these is. */
  findOther(names: ReadonlyArray<string>): Draft | undefined {
    for (const name of names) {
      const known = this.byName.get(name)
      if (known !== undefined) return known
    }
    return undefined
  }

  create(source: Source, digest: string | undefined, isFree: boolean): Draft {
    const { nativeName: name, lowName: low } = source
    const made = new Draft(isFree ? name : this.#freeId(name, low, digest), source)
    this.all.push(made)
    if (!isFree) this.#hidden.set(made.id, made)
    return made
  }

  /** The first to bear a name keeps it. */
  named(low: string, draft: Draft): void {
    if (!this.byName.has(low)) this.byName.set(low, draft)
  }

  #isTaken(id: string): boolean {
    return this.#hidden.has(id) || this.byName.get(id.toLowerCase())?.id === id
  }

  #freeId(name: string, low: string, digest: string | undefined): string {
    if (!this.#hidden.has(name) && this.byName.get(low)?.id !== name) return name
    const short = `${name}-${(digest ?? "").slice(-8)}`
    if (!this.#isTaken(short)) return short
    let id = `${name}-${digest ?? ""}`
    for (let i = 2; this.#isTaken(id); i++) id = `${short}-${i}`
    return id
  }
}

/** What merges with what, and the ids. */
function* draft(listings: ReadonlyArray<InventoryEntry>): Generator<void, Drafts> {
  const drafts = new Drafts()
  let n = 0
  for (const { sources } of listings) {
    for (const source of sources) {
      if (++n % perStep === 0) yield
      const { nativeName, lowName, model, otherNames } = source
      const digest = nonEmpty(model.details?.digest)
      const own = drafts.find(nativeName, lowName)
      const named = own ?? drafts.findOther(otherNames)
      const fits = named !== undefined && (digest === undefined || named.digest === undefined || digest === named.digest)
      const target =
        (digest === undefined ? undefined : drafts.byDigest.get(digest)) ??
        (fits ? named : drafts.create(source, digest, own === undefined))
      target.digest ??= digest
      if (digest !== undefined && !drafts.byDigest.has(digest)) drafts.byDigest.set(digest, target)
      if (own === undefined) drafts.byName.set(lowName, target)
      else drafts.named(lowName, target)
      for (const other of otherNames) drafts.named(other, target)
      target.add(source)
    }
  }
  return drafts
}
