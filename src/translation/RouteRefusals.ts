/** Which dialects endpoints have shown not to have, whatever their kind says; one memory for all clients. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { DialectName } from "./BackendDialects.ts"
import { Lessons } from "./Lessons.ts"

/** The route is a matter of the endpoint, not of a model. */
const anyModel = ""

export class RouteRefusals {
  readonly #lessons: Lessons<DialectName>

  /** `now`: milliseconds of a clock that only goes forward. */
  constructor(now: () => number) {
    this.#lessons = new Lessons(now)
  }

  /** Not asked so again for a while, and no longer than until its status changes, when another server may stand there. */
  add(endpoint: Endpoint, dialect: DialectName): void {
    endpoint.refusedDialects.add(dialect)
    this.#lessons.learn(endpoint, anyModel, dialect)
  }

  has(endpoint: Endpoint, dialect: DialectName): boolean {
    return endpoint.refusedDialects.has(dialect) && this.#lessons.of(endpoint, anyModel).has(dialect)
  }
}
