/**
 * What names say, remembered from rebuild to rebuild: most endpoints list the same names, and most names were there
 * before. Bounded by the models that there are: what a pass has not asked for is forgotten after it.
 */
import type { ListedModel } from "../profile/ListedModel.ts"
import type { AttributeRules, FamilyName } from "./AttributeRules.ts"
import { NameMap } from "./NameMap.ts"

export class NameReading {
  readonly rules: AttributeRules
  readonly #families = new NameMap<FamilyName>()
  readonly #capabilities = new NameMap<ReadonlyArray<string>>()
  /** One list for all models that can do the same. */
  readonly #shared = new Map<string, ReadonlyArray<string>>()

  constructor(rules: AttributeRules) {
    this.rules = rules
  }

  family(model: ListedModel): FamilyName {
    const { details } = model
    if (details?.family !== undefined || details?.families !== undefined) return this.rules.family(model)
    let found = this.#families.get(model.name)
    if (found === undefined) {
      found = this.rules.family(model)
      this.#families.set(model.name, found)
    }
    return found
  }

  /** Sorted; the same list for the same question. */
  capabilities(model: ListedModel): ReadonlyArray<string> {
    const key = `${model.name}\0${model.type ?? ""}\0${model.details?.type ?? ""}\0${model.details?.max_context_length ?? ""}`
    let found = this.#capabilities.get(key)
    if (found === undefined) {
      found = this.share([...this.rules.capabilities(model)].sort())
      this.#capabilities.set(key, found)
    }
    return found
  }

  /** `capabilities`: sorted. */
  share(capabilities: ReadonlyArray<string>): ReadonlyArray<string> {
    const key = capabilities.join("\0")
    const known = this.#shared.get(key)
    if (known !== undefined) return known
    this.#shared.set(key, capabilities)
    return capabilities
  }

  /** When names outnumber the models by far, most of them are of models that are gone. */
  forgetBeyond(models: number): void {
    const limit = 4 * models + 1_000
    if (this.#families.size > limit) this.#families.clear()
    if (this.#capabilities.size > limit) this.#capabilities.clear()
  }
}
