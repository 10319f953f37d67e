/**
 * Which models and endpoints a client may use. The names count that he says and those that the request would run as: one of them must
 * be included, and none excluded. Remembered by names, since clients ask for the same few.
 */
import type { Snapshot } from "../../catalogue/Snapshot.ts"
import { matchesPattern } from "../../config/FilterPattern.ts"
import type { FilterConfig } from "../../config/OllaConfig.ts"
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Permit } from "../../routing/Router.ts"

/** Names remembered of one client. */
const remembered = 256

const any = (patterns: ReadonlyArray<string>, name: string): boolean => {
  if (patterns.some((pattern) => matchesPattern(pattern, name))) return true
  // What Ollama adds to a name that has no tag is not in anybody's mind who writes a pattern.
  const plain = name.endsWith(":latest") ? name.slice(0, -":latest".length) : name
  return plain !== name && patterns.some((pattern) => matchesPattern(pattern, plain))
}

const isEmpty = ({ include, exclude }: FilterConfig): boolean => include.length === 0 && exclude.length === 0

export class ModelPermit implements Permit {
  readonly restrictsModels: boolean
  readonly #models: ReadonlyArray<FilterConfig>
  readonly #endpoints: ReadonlyArray<FilterConfig>
  readonly #pairs = new Map<string, boolean>()
  readonly #places = new Map<string, boolean>()
  #verdicts = new Map<string, boolean>()
  #judgedBy: Snapshot | undefined

  /** All of the filters must admit. */
  constructor(models: ReadonlyArray<FilterConfig>, endpoints: ReadonlyArray<FilterConfig>) {
    this.#models = models.filter((filter) => !isEmpty(filter))
    this.#endpoints = endpoints.filter((filter) => !isEmpty(filter))
    this.restrictsModels = this.#models.length > 0
  }

  get restricts(): boolean {
    return this.restrictsModels || this.#endpoints.length > 0
  }

  allowsEndpoint({ name }: Pick<Endpoint, "name">): boolean {
    if (this.#endpoints.length === 0) return true
    let allowed = this.#places.get(name)
    if (allowed === undefined) {
      allowed = this.#endpoints.every(({ include, exclude }) => (include.length === 0 || any(include, name)) && !any(exclude, name))
      remember(this.#places, name, allowed)
    }
    return allowed
  }

  /** `native`: what it would run as; empty: as it is asked for. */
  allowsModel(asked: string, native: string): boolean {
    if (!this.restrictsModels) return true
    const key = native === "" ? asked : `${asked}\n${native}`
    let allowed = this.#pairs.get(key)
    if (allowed === undefined) {
      const names = native === "" || native === asked ? [asked] : [asked, native]
      allowed = this.#models.every(
        ({ include, exclude }) =>
          (include.length === 0 || names.some((name) => any(include, name))) && !names.some((name) => any(exclude, name))
      )
      remember(this.#pairs, key, allowed)
    }
    return allowed
  }

  /**
   * Before anything is said of whether it exists: with what is known now, may this client ask for it? False for what only others may
   * use, and for what is not among his own names.
   */
  mayAsk(snapshot: Snapshot, model: string): boolean {
    if (this.#judgedBy !== snapshot) {
      this.#judgedBy = snapshot
      this.#verdicts = new Map()
    }
    let allowed = this.#verdicts.get(model)
    if (allowed === undefined) {
      const holders = [...(snapshot.alias(model)?.offer.holders ?? []), ...(snapshot.offer(model)?.holders ?? [])]
      allowed =
        holders.length === 0
          ? this.allowsModel(model, "")
          : holders.some(({ endpoint, nativeName }) => this.allowsEndpoint(endpoint) && this.allowsModel(model, nativeName))
      remember(this.#verdicts, model, allowed)
    }
    return allowed
  }
}

const remember = (known: Map<string, boolean>, name: string, value: boolean): void => {
  if (known.size >= remembered) known.clear()
  known.set(name, value)
}
