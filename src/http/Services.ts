/** What the routes work with: the rooms of the daemon, each by its service. */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Balancer } from "../balancing/Balancer.ts"
import type { Catalogue } from "../catalogue/Catalogue.ts"
import type { Settings } from "../config/Settings.ts"
import type { Fleet } from "../endpoint/Fleet.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import type { Guard } from "../guard/Guard.ts"
import type { Profiles } from "../profile/Profiles.ts"
import type { Carrier } from "../proxy/Carrier.ts"
import type { Router } from "../routing/Router.ts"
import type { RequestLog } from "../telemetry/RequestLog.ts"
import type { Statistics } from "../telemetry/Statistics.ts"

export interface Services {
  readonly settings: Settings["Service"]
  readonly profiles: Profiles["Service"]
  readonly fleet: Fleet["Service"]
  readonly catalogue: Catalogue["Service"]
  readonly router: Router["Service"]
  readonly balancer: Balancer["Service"]
  readonly carrier: Carrier["Service"]
  readonly guard: Guard["Service"]
  readonly statistics: Statistics["Service"]
  readonly log: RequestLog
  readonly observer: ExchangeObserver
  /** Forks with the daemon's own context. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Is any record of requests written at all? */
  readonly logsRequests: () => boolean
  /** Does anybody read usage figures? */
  readonly wantsUsage: () => boolean
  readonly isStopping: () => boolean
}
