/** All endpoints with their live state, in configuration order (of two with one URL the later stays). */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Endpoint } from "./Endpoint.ts"
import type { FleetEvent } from "./FleetEvent.ts"

export type { FleetEvent } from "./FleetEvent.ts"

export class Fleet extends Context.Service<
  Fleet,
  {
    readonly endpoints: ReadonlyArray<Endpoint>
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
    /** Resolves when the start-up sweep and the first model discovery are through, or their time (`StartupWait`) is over. */
    readonly ready: Effect.Effect<void>
  }
>()("olla/endpoint/Fleet") {}
