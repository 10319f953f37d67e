/**
 * Endpoints by what their models can do. Models fall into few groups of equal
 * capabilities, so that a question costs a look at each group, and the same question again one lookup.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { UnifiedModel } from "./ModelOffer.ts"

interface Group {
  readonly names: ReadonlySet<string>
  readonly endpoints: Set<Endpoint>
}

/** Distinct questions remembered; there are sixteen. */
const maxRemembered = 64

/** `-` and `_` alike, case ignored. */
const plain = (name: string): string => name.toLowerCase().replaceAll("_", "-")

export class CapabilityIndex {
  readonly #groups = new Map<string, Group>()
  /** Equal lists are mostly the same list. */
  readonly #byList = new Map<ReadonlyArray<string>, Group>()
  readonly #answers = new Map<string, ReadonlySet<Endpoint> | undefined>()

  add({ capabilities, sources }: Pick<UnifiedModel, "capabilities" | "sources">): void {
    let group = this.#byList.get(capabilities)
    if (group === undefined) {
      const key = capabilities.join("\0")
      group = this.#groups.get(key) ?? { names: new Set(capabilities.map(plain)), endpoints: new Set() }
      this.#groups.set(key, group)
      this.#byList.set(capabilities, group)
    }
    for (const { endpoint } of sources) group.endpoints.add(endpoint)
  }

  /** Endpoints with one model that has all of these, each a group of synonyms; `undefined`: nobody. */
  find(required: ReadonlyArray<ReadonlyArray<string>>): ReadonlySet<Endpoint> | undefined {
    const key = required.map((synonyms) => synonyms.join(",")).join(";")
    if (this.#answers.has(key)) return this.#answers.get(key)
    const out = new Set<Endpoint>()
    for (const { names, endpoints } of this.#groups.values())
      if (required.every((synonyms) => synonyms.some((name) => names.has(plain(name))))) for (const endpoint of endpoints) out.add(endpoint)
    const answer = out.size === 0 ? undefined : out
    if (this.#answers.size < maxRemembered) this.#answers.set(key, answer)
    return answer
  }
}
