/**
 * Owner of the snapshot. Each change of a listing starts a rebuild off the request path; changes that come meanwhile
 * share the next one. A rebuild gives the loop back every few milliseconds and swaps the snapshot in one step.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import { Settings } from "../config/Settings.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { defaultRules } from "./AttributeRules.ts"
import { Catalogue } from "./Catalogue.ts"
import type { Snapshot } from "./Snapshot.ts"
import { type BuildInput, buildSnapshot, type Listing } from "./Unification.ts"

/** Milliseconds that a rebuild may hold the loop at a time. */
const slice = 2

const empty: Snapshot = {
  version: 0,
  offer: () => undefined,
  alias: () => undefined,
  unified: [],
  find: () => undefined,
  capable: () => undefined
}

const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})

/** Runs a build to its end, yielding to the loop between slices. */
const run = Effect.fnUntraced(function* (input: BuildInput) {
  const steps = buildSnapshot(input)
  let until = performance.now() + slice
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() >= until) {
      yield* turn
      until = performance.now() + slice
    }
  }
})

export const layer: Layer.Layer<Catalogue, never, Settings | Fleet> = Layer.effect(
  Catalogue,
  Effect.gen(function* () {
    const settings = yield* Settings
    const fleet = yield* Fleet
    let snapshot = empty
    const firstSeen = new Map<string, number>()
    // Holds at most one wake-up: any number of changes is one rebuild.
    const due = yield* Queue.sliding<void>(1)
    let changes = 0
    let built = 0
    let waiting: Array<{ readonly from: number; readonly done: Deferred.Deferred<void> }> = []

    const listings = (now: number, threshold: number): ReadonlyArray<Listing> =>
      fleet.endpoints
        .filter((endpoint) => isRoutable(endpoint.state.status) || now - endpoint.modelsSyncedAt < threshold)
        .map((endpoint) => ({ endpoint, platform: endpoint.profile?.name ?? "openai-compatible", models: endpoint.models }))

    const rebuild = Effect.fnUntraced(function* () {
      const config = settings.current()
      const now = yield* Clock.currentTimeMillis
      const from = changes
      const stale = config.model_registry.unification.stale_threshold
      snapshot = yield* run({
        listings: listings(now, stale > 0 ? stale : 86_400_000),
        aliases: config.model_aliases,
        unify: config.model_registry.enable_unifier,
        rules: defaultRules,
        firstSeen,
        version: snapshot.version + 1
      })
      built = from
      const done = waiting.filter((one) => one.from <= built)
      waiting = waiting.filter((one) => one.from > built)
      for (const one of done) Deferred.doneUnsafe(one.done, Effect.void)
    })

    const wake = () => {
      changes++
      Queue.offerUnsafe(due, undefined)
    }
    const off = fleet.onEvent((event) => {
      if (event._tag === "ModelsChanged") wake()
    })
    yield* Effect.addFinalizer(() => Effect.sync(off))
    yield* rebuild()
    yield* Queue.take(due).pipe(
      Effect.andThen(rebuild()),
      Effect.sandbox,
      Effect.tapError((cause) => Effect.logError("The model catalogue could not be rebuilt, the last one stays", cause)),
      Effect.ignore,
      Effect.forever,
      Effect.forkScoped
    )
    // Models of endpoints that have been gone too long are forgotten by the clock, not by the next listing.
    yield* Effect.suspend(() => {
      const interval = settings.current().model_registry.unification.cleanup_interval
      return Effect.sleep(interval > 0 ? interval : 300_000)
    }).pipe(Effect.andThen(Effect.sync(wake)), Effect.forever, Effect.forkScoped)

    return Catalogue.of({
      snapshot: () => snapshot,
      settled: Effect.suspend(() => {
        if (built >= changes) return Effect.void
        const done = Deferred.makeUnsafe<void>()
        waiting.push({ from: changes, done })
        return Deferred.await(done)
      })
    })
  })
)
