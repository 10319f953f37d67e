/** What endpoints have shown about a dialect that their kind speaks. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Lessons } from "./Lessons.ts"

/** The route is a matter of the endpoint, not of a model. */
const anyModel = ""

export class NativeMemory<Refusal extends string> {
  readonly #dialect: string
  readonly #lessons: Lessons<Refusal | "route">

  constructor(dialect: string, lessons: Lessons<Refusal | "route">) {
    this.#dialect = dialect
    this.#lessons = lessons
  }

  /** Not asked so again for a while; a missing route no longer than until its status changes, when another server may stand there. */
  refused(endpoint: Endpoint, model: string, refusal: Refusal | "route"): void {
    if (refusal === "route") endpoint.refusedDialects.add(this.#dialect)
    this.#lessons.learn(endpoint, refusal === "route" ? anyModel : model, refusal)
  }

  /** `has`: does the request have what was refused? */
  mayAnswer(endpoint: Endpoint, model: string, has: (refusal: Refusal) => boolean): boolean {
    if (endpoint.refusedDialects.has(this.#dialect) && this.#lessons.of(endpoint, anyModel).has("route")) return false
    for (const refusal of this.#lessons.of(endpoint, model)) if (refusal !== "route" && has(refusal as Refusal)) return false
    return true
  }
}
