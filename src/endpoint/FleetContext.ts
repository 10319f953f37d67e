import type * as Clock from "effect/Clock"
import type * as Semaphore from "effect/Semaphore"
import type { DiscoveryConfig } from "../config/OllaConfig.ts"
import type { BackendClient } from "./BackendClient.ts"
import type { Discoverer } from "./Discovery.ts"
import type { FleetEvent } from "./FleetEvent.ts"
import type { ProbePlaces } from "./ProbePlaces.ts"

/** What all actors of a fleet share. */
export interface FleetContext {
  readonly client: BackendClient["Service"]
  readonly discoverer: Discoverer
  readonly discovery: () => DiscoveryConfig["model_discovery"]
  readonly clock: Clock.Clock
  /** [0, 1). */
  readonly random: () => number
  readonly probePlaces: ProbePlaces
  /** For start-up and periodic discovery: the configured workers. */
  readonly discoveryWorkers: Semaphore.Semaphore
  /** For discovery on recovery and on request. */
  readonly recoverySlots: Semaphore.Semaphore
  readonly publish: (event: FleetEvent) => void
}
