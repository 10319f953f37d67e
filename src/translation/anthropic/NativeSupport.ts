/** Which endpoints answer Messages natively: what their profile says, less what they have shown since (anthropic.md 4.1, B9, B23). */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { FleetEvent } from "../../endpoint/Fleet.ts"
import { type Features, speaksNatively } from "./MessagesRequest.ts"

export class NativeSupport {
  /** URLs of endpoints that refused their own route; bounded by the fleet. */
  readonly #refused = new Set<string>()

  refused(endpoint: Endpoint): void {
    this.#refused.add(endpoint.url)
  }

  /** A server that went away and came back may be a newer one. */
  readonly onFleetEvent = (event: FleetEvent): void => {
    if (event._tag === "StatusChanged") this.#refused.delete(event.endpoint.url)
  }

  canAnswer(endpoint: Endpoint, features: Features): boolean {
    const support = endpoint.profile?.anthropic
    return support?.enabled === true && !this.#refused.has(endpoint.url) && speaksNatively(support, features)
  }
}
