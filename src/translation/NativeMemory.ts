/** What endpoints have shown about a dialect that their kind speaks: that they have not got it, or do not take all of it. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { DialectName } from "./BackendDialects.ts"
import type { Lessons } from "./Lessons.ts"
import type { RouteRefusals } from "./RouteRefusals.ts"

export class NativeMemory<Refusal extends string> {
  readonly #dialect: DialectName
  readonly #routes: RouteRefusals
  readonly #lessons: Lessons<Refusal>

  constructor(dialect: DialectName, routes: RouteRefusals, lessons: Lessons<Refusal>) {
    this.#dialect = dialect
    this.#routes = routes
    this.#lessons = lessons
  }

  /** Not asked so again for a while. */
  refused(endpoint: Endpoint, model: string, refusal: Refusal | "route"): void {
    if (refusal === "route") this.#routes.add(endpoint, this.#dialect)
    else this.#lessons.learn(endpoint, model, refusal)
  }

  /** `has`: does the request have what was refused? */
  mayAnswer(endpoint: Endpoint, model: string, has: (refusal: Refusal) => boolean): boolean {
    if (this.#routes.has(endpoint, this.#dialect)) return false
    for (const refusal of this.#lessons.of(endpoint, model)) if (has(refusal)) return false
    return true
  }
}
