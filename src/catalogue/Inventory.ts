/**
 * What one endpoint listed last, and one `Source` for each of its models. Sources outlive rebuilds: a rebuild only sorts
 * them anew, so that its work and its garbage do not grow with how often endpoints are asked.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import { stateOf } from "./ModelAttributes.ts"
import type { ModelHolder, ModelOffer, ModelSource, UnifiedModel } from "./ModelOffer.ts"

/**
 * One endpoint's report of a model. As it stands also a candidate for routing (an endpoint and what it calls the model), and
 * the whole offer where nobody else has the model.
 */
export class Source implements ModelSource, ModelOffer {
  readonly endpoint: Endpoint
  readonly platform: string
  readonly nativeName: string
  /** Lower-cased, as it is looked up. */
  readonly lowName: string
  /** Replaced by an equal one when the list is read again. */
  model: ListedModel
  #entry: UnifiedModel | undefined
  #alone: ReadonlyArray<ModelHolder> | undefined

  constructor(endpoint: Endpoint, platform: string, model: ListedModel) {
    this.endpoint = endpoint
    this.platform = platform
    this.nativeName = model.name
    const low = model.name.toLowerCase()
    this.lowName = low === model.name ? model.name : low
    this.model = model
  }

  /** Lower-cased: with or without the tag that its kind implies, and the server's own aliases. */
  get otherNames(): ReadonlyArray<string> {
    const twin = tagTwin(this.lowName, impliedTagOf(this.endpoint))
    const { aliases } = this.model
    if (aliases === undefined) return twin === undefined ? nothing : [twin]
    return [...(twin === undefined ? [] : [twin]), ...aliases.map((alias) => alias.toLowerCase())]
  }
  /** Its name without the tag that its kind implies; `undefined`: it has none. */
  get untagged(): string | undefined {
    const tag = impliedTagOf(this.endpoint)
    return tag !== "" && this.lowName.endsWith(`:${tag}`) ? this.nativeName.slice(0, -tag.length - 1) : undefined
  }
  /** Other names that the server takes for it, as it lists them. */
  get ownAliases(): ReadonlyArray<string> {
    return this.model.aliases ?? nothing
  }
  get holders(): ReadonlyArray<ModelHolder> {
    this.#alone ??= [this]
    return this.#alone
  }
  /** The unified model that it last went into: the next rebuild looks there first. */
  get entry(): UnifiedModel | undefined {
    return this.#entry
  }
  set entry(entry: UnifiedModel) {
    this.#entry = entry
  }
  get spellings(): undefined {
    return undefined
  }
  get state(): string {
    return stateOf(this.model)
  }
  get diskSize(): number {
    return this.model.size ?? 0
  }
  /** A list that says the same again makes no new snapshot, but the model was seen. */
  get lastSeen(): number {
    return Math.max(this.model.lastSeen, this.endpoint.modelsSyncedAt)
  }
}

const nothing: ReadonlyArray<string> = []

const impliedTagOf = ({ profile }: Endpoint): string => profile?.impliedTag.toLowerCase() ?? ""

/** Such servers take `m` for `m:latest`, and the other way round. */
const tagTwin = (low: string, tag: string): string | undefined => {
  if (tag === "") return undefined
  const suffix = `:${tag}`
  return low.endsWith(suffix) ? low.slice(0, -suffix.length) : low.includes(":") ? undefined : low + suffix
}

/** What one endpoint listed last, as long as it counts. */
export interface InventoryEntry {
  readonly endpoint: Endpoint
  /** Canonical profile name of the endpoint when it was listed. */
  readonly platform: string
  readonly models: ReadonlyArray<ListedModel>
  /** One for each name that it lists. */
  readonly sources: ReadonlyArray<Source>
}

export class Inventory implements InventoryEntry {
  readonly endpoint: Endpoint
  readonly platform: string
  readonly sources: ReadonlyArray<Source>
  #models: ReadonlyArray<ListedModel>

  constructor(endpoint: Endpoint, platform: string, models: ReadonlyArray<ListedModel>) {
    this.endpoint = endpoint
    this.platform = platform
    this.#models = models
    this.sources = lastOfEachName(models).map((model) => new Source(endpoint, platform, model))
  }

  get models(): ReadonlyArray<ListedModel> {
    return this.#models
  }

  /** The same list, read again (equal but for its time): taken over in place, so that the older copy can go. */
  renew(models: ReadonlyArray<ListedModel>): void {
    this.#models = models
    const last = lastOfEachName(models)
    for (const [i, source] of this.sources.entries()) source.model = last[i] ?? source.model
  }
}

/** A list that names a model twice means the later one. */
const lastOfEachName = (models: ReadonlyArray<ListedModel>): ReadonlyArray<ListedModel> => {
  const byName = new Map(models.map((model) => [model.name, model]))
  return byName.size === models.length ? models : [...byName.values()]
}
