/** What endpoints have shown about a dialect that their kind speaks: that they have not got it, or do not take all of it. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Lessons } from "./Lessons.ts"

export class NativeMemory<Refusal extends string> {
  readonly #lessons: Lessons<Refusal>

  constructor(lessons: Lessons<Refusal>) {
    this.#lessons = lessons
  }

  /** Not asked so again for a while. `path`: of the turn; `status`: of the answer that said so. */
  refused(endpoint: Endpoint, model: string, path: string, status: number, refusal: Refusal | "route"): void {
    if (refusal === "route") endpoint.unserved.refused(status, "POST", path, model)
    else this.#lessons.learn(endpoint, model, refusal)
  }

  /** `has`: does the request have what was refused? */
  mayAnswer(endpoint: Endpoint, model: string, path: string, has: (refusal: Refusal) => boolean): boolean {
    if (!endpoint.unserved.isEmpty && endpoint.unserved.has("POST", path, model)) return false
    for (const refusal of this.#lessons.of(endpoint, model)) if (has(refusal)) return false
    return true
  }
}
