/** Which dialects endpoints have shown not to have, whatever their kind says; one memory for all clients. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { DialectName } from "./BackendDialects.ts"
import { rememberedForMs } from "./Lessons.ts"

export class RouteRefusals {
  readonly #now: () => number

  /** `now`: milliseconds of the clock that endpoints' times are of. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Not asked so again for a while, and no longer than until its status changes, when another server may stand there. */
  add(endpoint: Endpoint, dialect: DialectName): void {
    endpoint.refusedDialects.set(dialect, this.#now() + rememberedForMs)
  }

  has({ refusedDialects }: Endpoint, dialect: DialectName): boolean {
    return refusedDialects.size > 0 && (refusedDialects.get(dialect) ?? Number.NEGATIVE_INFINITY) >= this.#now()
  }
}
