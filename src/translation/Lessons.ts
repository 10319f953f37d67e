/** What servers have taught, for each endpoint and model; forgotten after a while, as servers are updated. */
import type { Endpoint } from "../endpoint/Endpoint.ts"

const rememberedForMs = 15 * 60_000
/** Models of one endpoint that are remembered; the oldest goes. */
const maxModels = 1_000

interface Learnt<Lesson> {
  readonly lessons: ReadonlySet<Lesson>
  readonly until: number
}

const nothing: ReadonlySet<never> = new Set()

export class Lessons<Lesson extends string> {
  readonly #now: () => number
  readonly #learnt = new WeakMap<Endpoint, Map<string, Learnt<Lesson>>>()

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(now: () => number) {
    this.#now = now
  }

  of(endpoint: Endpoint, model: string): ReadonlySet<Lesson> {
    const learnt = this.#learnt.get(endpoint)?.get(model)
    return learnt === undefined || learnt.until < this.#now() ? nothing : learnt.lessons
  }

  learn(endpoint: Endpoint, model: string, lesson: Lesson): void {
    const models = this.#learnt.get(endpoint) ?? new Map<string, Learnt<Lesson>>()
    this.#learnt.set(endpoint, models)
    const lessons = new Set([...this.of(endpoint, model), lesson])
    models.delete(model)
    models.set(model, { lessons, until: this.#now() + rememberedForMs })
    if (models.size > maxModels) models.delete(models.keys().next().value as string)
  }
}
