/** All endpoints with their live state, in configuration order (of two with one URL the later stays), and what operators do with them. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Endpoint } from "./Endpoint.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import type { FleetChange } from "./FleetChange.ts"
import type { FleetEvent } from "./FleetEvent.ts"

export type { FleetChange } from "./FleetChange.ts"
export type { FleetEvent } from "./FleetEvent.ts"

export class Fleet extends Context.Service<
  Fleet,
  {
    /** As configured now; another list after each `apply` that changed anything. */
    readonly endpoints: ReadonlyArray<Endpoint>
    /** Configured no longer, with attempts that still run. */
    readonly leaving: ReadonlyArray<Endpoint>
    /** Milliseconds of the monotonic clock, which the endpoints' times are of. */
    readonly now: () => number
    readonly byUrl: (url: string) => Endpoint | undefined
    /** Called synchronously on each event, in registration order; a listener neither throws nor waits. Returns its own removal. */
    readonly onEvent: (listener: (event: FleetEvent) => void) => () => void
    /**
     * Re-reads the listings of these endpoints, together, each by its own rules. Concurrent calls for one endpoint share
     * one request. Succeeds with whether every listing was read; never fails.
     */
    readonly refreshModels: (endpoints: ReadonlyArray<Endpoint>) => Effect.Effect<boolean>
    /**
     * Makes these the endpoints of one source, beside those of the others; without a name, of the configuration. New ones are watched
     * from now on; one that is not among them gets no further attempts and is gone when its last one ends; one that has changed stays
     * the same object. In force when it returns; no probe is waited for.
     */
    readonly apply: (specs: ReadonlyArray<EndpointSpec>, source?: string) => Effect.Effect<FleetChange>
    /** Gives it no further attempts until it is resumed, or for so many milliseconds. Again: counts from now, with the new time. */
    readonly drain: (endpoint: Endpoint, time?: number) => void
    readonly resume: (endpoint: Endpoint) => void
    /**
     * Probes it now and reads its models, and ends when both have ended, 10 s later at most. Whoever asks within a second of another
     * shares what that one began.
     */
    readonly probe: (endpoint: Endpoint) => Effect.Effect<void>
    /** The same for a request that nobody else can serve: not waited for, and not where the backend wants to be left alone. */
    readonly look: (endpoint: Endpoint) => void
    /**
     * A document that a backend has for whoever looks after it, of at most a mebibyte, within a second. `undefined`: there is none to be had;
     * nothing is learned of the endpoint by it.
     */
    readonly document: (endpoint: Endpoint, path: string) => Effect.Effect<string | undefined>
    /** Resolves when the start-up sweep and the first model discovery are through, or their time (`StartupWait`) is over. */
    readonly ready: Effect.Effect<void>
  }
>()("olla/endpoint/Fleet") {}
