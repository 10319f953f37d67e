/**
 * Owner of the snapshot. A changed list starts a rebuild off the request path; changes that come meanwhile share the next
 * one. A rebuild gives the loop back every few milliseconds and swaps the snapshot in one step. Lists of endpoints that
 * have been away too long are left out, by the clock and not by the next list.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import { Settings } from "../config/Settings.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { ownSpan } from "../endpoint/OwnSpan.ts"
import { inSlices } from "../endpoint/TimeSlices.ts"
import { type AttributeRules, defaultRules } from "./AttributeRules.ts"
import { Catalogue } from "./Catalogue.ts"
import type { InventoryEntry } from "./Inventory.ts"
import { Inventory } from "./Inventory.ts"
import { sameListing, steadied } from "./ListingChange.ts"
import { logModelRules, ModelRulesInForce } from "./ModelsFile.ts"
import { NameMap } from "./NameMap.ts"
import { NameReading } from "./NameReading.ts"
import { emptySnapshot } from "./Snapshot.ts"
import { buildSnapshot } from "./SnapshotBuilding.ts"

const defaultThreshold = 86_400_000
const defaultInterval = 300_000

/** What of an endpoint counts at this moment. */
interface Kept {
  readonly inventory: Inventory
  /** Its endpoint has been away for longer than the threshold. */
  aged: boolean
}

const platformOf = (endpoint: Endpoint): string => endpoint.profile?.name ?? ""

const make = Effect.gen(function* () {
  const settings = yield* Settings
  const fleet = yield* Fleet
  const models = yield* ModelRulesInForce
  const registry = () => settings.current().model_registry
  if (registry().enable_unifier) yield* logModelRules(models.current())

  /** What names were read by, and what was found out about them: another file finds out something else. */
  let read: { readonly by: AttributeRules; readonly reading: NameReading } | undefined
  const readingNow = (): NameReading => {
    const { rules } = registry().enable_unifier ? models.current() : { rules: defaultRules }
    if (read?.by !== rules) read = { by: rules, reading: new NameReading(rules) }
    return read.reading
  }

  let snapshot = emptySnapshot
  const kept = new Map<Endpoint, Kept>()
  const firstSeen = new NameMap<number>()
  // Holds at most one wake-up: any number of changes is one rebuild.
  const due = yield* Queue.sliding<void>(1)
  let changes = 0
  let built = 0
  let waiting: Array<{ readonly from: number; readonly done: Deferred.Deferred<void> }> = []

  const isAged = (endpoint: Endpoint): boolean => {
    if (isRoutable(endpoint.state.status)) return false
    const threshold = registry().unification.stale_threshold
    return endpoint.modelsAge >= (threshold > 0 ? threshold : defaultThreshold)
  }

  /** Takes over an endpoint's list; false: nothing has changed. */
  const take = (endpoint: Endpoint): boolean => {
    const known = kept.get(endpoint)
    const platform = platformOf(endpoint)
    const aged = endpoint.models.length > 0 && isAged(endpoint)
    const models = known === undefined ? endpoint.models : steadied(known.inventory.models, endpoint.models)
    if (known?.inventory.platform === platform && sameListing(known.inventory.models, models)) {
      known.inventory.renew(models)
      if (known.aged === aged) return false
      known.aged = aged
    } else kept.set(endpoint, { inventory: new Inventory(endpoint, platform, models), aged })
    return true
  }

  /** True: its models have just become too old. */
  const age = (endpoint: Endpoint): boolean => {
    const known = kept.get(endpoint)
    if (known === undefined || known.aged || known.inventory.models.length === 0 || !isAged(endpoint)) return false
    known.aged = true
    return true
  }

  const wake = () => {
    changes++
    Queue.offerUnsafe(due, undefined)
  }

  const settle = (from: number) => {
    built = from
    const done = waiting.filter((one) => one.from <= built)
    waiting = waiting.filter((one) => one.from > built)
    for (const one of done) Deferred.doneUnsafe(one.done, Effect.void)
  }

  const listings = (): ReadonlyArray<InventoryEntry> =>
    fleet.endpoints.flatMap((endpoint) => {
      const known = kept.get(endpoint)
      return known === undefined || known.aged || known.inventory.models.length === 0 ? [] : [known.inventory]
    })

  const build = Effect.fnUntraced(function* () {
    const config = settings.current()
    const from = changes
    const reading = readingNow()
    // Whatever comes of it, nobody waits for this one any longer.
    yield* inSlices(
      buildSnapshot({
        listings: listings(),
        aliases: config.model_aliases,
        unify: config.model_registry.enable_unifier,
        reading,
        firstSeen,
        freshFor: 1.5 * Math.max(config.discovery.model_discovery.interval, 1_000),
        before: snapshot.unified,
        version: snapshot.version + 1
      })
    ).pipe(
      Effect.tap((next) =>
        Effect.sync(() => {
          snapshot = next
          forgetGone(firstSeen, next.unified)
          reading.forgetBeyond(next.unified.length)
        })
      ),
      Effect.ensuring(Effect.sync(() => settle(from))),
      ownSpan("catalogue.rebuild", {})
    )
  })

  const isBehind = () => built < changes
  const settled = Effect.suspend(() => {
    if (!isBehind()) return Effect.void
    const done = Deferred.makeUnsafe<void>()
    waiting.push({ from: changes, done })
    return Deferred.await(done)
  })

  const off = fleet.onEvent((event) => {
    if (event._tag === "EndpointGone") kept.delete(event.endpoint)
    else if (event._tag === "ModelsChanged" || event._tag === "EndpointAdded" || event._tag === "EndpointRemoved") {
      if (take(event.endpoint) || event._tag !== "ModelsChanged") wake()
    } else if (event._tag === "SpecChanged") {
      // Order, names and kinds are the snapshot's too.
      take(event.endpoint)
      wake()
    } else if (kept.get(event.endpoint)?.aged === true && take(event.endpoint)) wake()
  })
  // Aliases, rules and intervals are the snapshot's too.
  const unsettle = settings.onReplace(wake)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      off()
      unsettle()
    })
  )
  for (const endpoint of fleet.endpoints) take(endpoint)
  yield* build()
  yield* Queue.take(due).pipe(
    Effect.andThen(build()),
    Effect.sandbox,
    Effect.tapError((cause) => Effect.logError("The model catalogue could not be rebuilt, the last one stays", cause)),
    Effect.ignore,
    Effect.forever,
    Effect.forkScoped
  )
  // Asked for at each turn: a reload may change it.
  const pace = Schedule.modifyDelay(Schedule.forever, () =>
    Effect.sync(() => {
      const interval = registry().unification.cleanup_interval
      return Duration.millis(interval > 0 ? interval : defaultInterval)
    })
  )
  yield* Effect.suspend(() => {
    const gone = fleet.endpoints.filter((endpoint) => age(endpoint))
    if (gone.length === 0) return Effect.void
    wake()
    return Effect.logInfo("Forgot the models of endpoints that have been away too long", {
      endpoints: gone.map((endpoint) => endpoint.name)
    })
  }).pipe(Effect.schedule(pace), Effect.forkScoped)

  return Catalogue.of({ snapshot: () => snapshot, isBehind, settled })
})

/** A name that is gone keeps its date for a while, but the dates do not outnumber the models for ever. */
const forgetGone = (firstSeen: NameMap<number>, unified: ReadonlyArray<{ readonly id: string }>): void => {
  if (firstSeen.size <= 2 * unified.length + 1_000) return
  const present = new Set(unified.map((model) => model.id))
  for (const id of firstSeen.keys()) if (!present.has(id)) firstSeen.delete(id)
}

export const layer: Layer.Layer<Catalogue, never, Settings | Fleet | ModelRulesInForce> = Layer.effect(Catalogue, make)
