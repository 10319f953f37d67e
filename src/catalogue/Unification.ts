/**
 * One entry for the same model on several endpoints (models-and-routing.md 3): a pure pass over the lists in configuration
 * order, so that the order in which endpoints answered leaves no trace. Written as a generator: whoever runs it decides
 * how long it may hold the loop between two steps.
 */
import type { Source } from "./Inventory.ts"
import { NameMap } from "./NameMap.ts"
import type { InventoryEntry, UnifiedModel } from "./Snapshot.ts"
import { Merged, type Merging } from "./UnifiedModel.ts"

export interface UnifyInput extends Merging {
  /** Configuration order. */
  readonly listings: ReadonlyArray<InventoryEntry>
}

interface Draft {
  readonly id: string
  digest: string | undefined
  /** First-named first, each platform that uses it. */
  readonly names: Array<UnifiedModel["aliases"][number]>
  readonly reports: Array<Source>
}

/** Work between two steps: a fraction of a millisecond. */
const perStep = 100

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

/** Entries in order of first appearance. */
export function* unify(input: UnifyInput): Generator<void, ReadonlyArray<UnifiedModel>> {
  const drafts = yield* draft(input.listings)
  const out: Array<UnifiedModel> = []
  let n = 0
  for (const one of drafts) {
    const before = input.before?.(one.id)
    const stays = before instanceof Merged && before.id === one.id && before.takenOver(one.names, one.reports)
    out.push(stays ? before : new Merged(one.id, one.names, one.reports, input))
    n += 1 + one.reports.length / 2
    if (n >= perStep) {
      n = 0
      yield
    }
  }
  return out
}

/** Drafts by id and by name. Nearly every id is its own entry's first name, and then stands only once. */
class Drafts {
  readonly all: Array<Draft> = []
  readonly #byName = new NameMap<Draft>()
  /** Whose id, in any case, is first another entry's name. */
  readonly #hidden = new Map<string, Draft>()
  readonly byDigest = new NameMap<Draft>()

  find(name: string, low: string): Draft | undefined {
    return this.#hidden.get(name) ?? this.#byName.get(low)
  }

  create(name: string, low: string, digest: string | undefined): Draft {
    const made: Draft = { id: this.#freeId(name, low, digest), digest, names: [], reports: [] }
    this.all.push(made)
    if (made.id !== name || this.#byName.has(low)) this.#hidden.set(made.id, made)
    return made
  }

  /** The first to bear a name keeps it. */
  named(low: string, draft: Draft): void {
    if (!this.#byName.has(low)) this.#byName.set(low, draft)
  }

  #isTaken(id: string): boolean {
    return this.#hidden.has(id) || this.#byName.get(id.toLowerCase())?.id === id
  }

  #freeId(name: string, low: string, digest: string | undefined): string {
    if (!this.#hidden.has(name) && this.#byName.get(low)?.id !== name) return name
    const short = `${name}-${(digest ?? "").slice(-8)}`
    if (!this.#isTaken(short)) return short
    let id = `${name}-${digest ?? ""}`
    for (let i = 2; this.#isTaken(id); i++) id = `${short}-${i}`
    return id
  }
}

/** What merges with what (3.2), and the ids (3.3). */
function* draft(listings: ReadonlyArray<InventoryEntry>): Generator<void, ReadonlyArray<Draft>> {
  const drafts = new Drafts()
  let n = 0
  for (const { platform, sources } of listings) {
    for (const source of sources) {
      if (++n % perStep === 0) yield
      const { nativeName, model } = source
      const low = nativeName.toLowerCase()
      const digest = nonEmpty(model.details?.digest)
      const named = drafts.find(nativeName, low)
      const fits = named !== undefined && (digest === undefined || named.digest === undefined || digest === named.digest)
      const target =
        (digest === undefined ? undefined : drafts.byDigest.get(digest)) ?? (fits ? named : drafts.create(nativeName, low, digest))
      target.digest ??= digest
      if (digest !== undefined && !drafts.byDigest.has(digest)) drafts.byDigest.set(digest, target)
      drafts.named(low, target)
      if (!target.names.some((known) => known.name === nativeName && known.source === platform))
        target.names.push({ name: nativeName, source: platform })
      target.reports.push(source)
    }
  }
  return drafts.all
}
