import type * as Effect from "effect/Effect"
import type * as Semaphore from "effect/Semaphore"
import type { DiscoveryConfig } from "../config/OllaConfig.ts"
import type { BackendClient } from "./BackendClient.ts"
import type { Discoverer } from "./Discovery.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { FleetEvent } from "./FleetEvent.ts"
import type { Hosts } from "./Host.ts"
import type { LanePolicy } from "./lane/LaneCondition.ts"
import type { ProbePermits } from "./ProbePermits.ts"

/** What all actors of a fleet share. */
export interface FleetContext {
  readonly client: BackendClient["Service"]
  readonly discoverer: Discoverer
  readonly discovery: () => DiscoveryConfig["model_discovery"]
  readonly lanePolicy: () => LanePolicy
  /** Milliseconds between two looks at what backends tell of their load; 0: nobody looks. */
  readonly signals: () => number
  /** Milliseconds of the monotonic clock: what the endpoints' states are measured by. */
  readonly now: () => number
  /** Epoch milliseconds: for telling. */
  readonly wall: () => number
  /** A moment of the monotonic clock as people read it (ISO 8601). */
  readonly shown: (moment: number) => string
  /** [0, 1). */
  readonly random: () => number
  readonly hosts: Hosts
  readonly probePermits: ProbePermits
  /** For start-up and periodic discovery: the configured workers. */
  readonly discoveryWorkers: Semaphore.Semaphore
  /** For discovery on recovery and on request. */
  readonly recoverySlots: Semaphore.Semaphore
  /** Tells all listeners, synchronously. A bug in one of them is logged and reaches nobody. */
  readonly publish: (event: FleetEvent) => void
  readonly fork: (effect: Effect.Effect<unknown>) => unknown
  /** A removed endpoint's last attempt has ended. */
  readonly gone: (endpoint: Endpoint) => void
  /** Tells, once in a while, that backends could not be asked because this process is out of file descriptors. */
  readonly shortage: Effect.Effect<void>
}
