/**
 * The second source of endpoints: names that are looked up again and again. What a name led to last stays in force while it cannot be
 * looked up.
 */

import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import { type DnsEntry, type DnsTarget, entryKey, specsOf } from "./DnsEntry.ts"
import type { DnsLookup } from "./DnsLookup.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"

export interface DnsStatus {
  readonly name: string
  /** How many it stands for now. */
  readonly endpoints: number
  /** Epoch milliseconds of the last answer; 0: none yet. */
  readonly resolvedAt: number
  readonly lastError: string | undefined
}

/** Of all names, for the documents. */
export const DnsStatuses = Context.Reference<() => ReadonlyArray<DnsStatus>>("olla/endpoint/DnsStatuses", {
  defaultValue: () => () => []
})

export interface DnsSource {
  /** These are the names now; ends when those that are new have been looked up once. */
  readonly update: (entries: ReadonlyArray<DnsEntry>) => Effect.Effect<void>
  readonly specs: () => ReadonlyArray<EndpointSpec>
  /** Done whenever a name leads elsewhere than before. */
  readonly whenChanged: (bring: Effect.Effect<void>) => void
  readonly statuses: () => ReadonlyArray<DnsStatus>
}

/** Addresses that one name may have. */
const mostAddresses = 256
/** Milliseconds between two look-ups of a name at least, whatever its records say. */
const shortestPause = 1_000

interface Known {
  entry: DnsEntry
  targets: ReadonlyArray<DnsTarget>
  /**
   * Those of them that the last answer did not have. They go when the next one has not got them either: some name servers tell each
   * time of another part, and whoever takes a place has not been probed yet.
   */
  lingering: ReadonlyArray<string>
  ttl: number | undefined
  resolvedAt: number
  lastError: string | undefined
  /** Addresses that were too many when it was told. */
  toldMany: boolean
}

const placeOf = ({ address, port }: DnsTarget): string => `${address} port ${port}`
const placesOf = (targets: ReadonlyArray<DnsTarget>): ReadonlyArray<string> => targets.map(placeOf)

/** `now`: epoch milliseconds. */
export const makeDnsSource = Effect.fnUntraced(function* (lookUp: DnsLookup, now: () => number) {
  const known = new Map<string, Known>()
  const loops = yield* FiberMap.make<string>()
  const start = yield* FiberMap.runtime(loops)<never>()
  let bring: Effect.Effect<void> = Effect.void

  /** True: it leads elsewhere than before. */
  const look = Effect.fnUntraced(function* (one: Known) {
    const { name } = one.entry
    const { targets, ttl, problem } = yield* Effect.promise(() => lookUp(one.entry, one.targets))
    if (problem !== undefined) {
      if (one.lastError === undefined)
        yield* Effect.logWarning("A DNS name cannot be looked up, its endpoints stay as they are", {
          name,
          error: problem,
          endpoints: one.targets.length
        })
      one.lastError = problem
      return false
    }
    const kept = targets.slice(0, mostAddresses)
    if (one.lastError !== undefined) yield* Effect.logInfo("A DNS name can be looked up again", { name, endpoints: kept.length })
    const isMany = targets.length > mostAddresses
    if (isMany && !one.toldMany)
      yield* Effect.logWarning(`A DNS name has more than ${mostAddresses} addresses, the rest is left out`, {
        name,
        addresses: targets.length
      })
    one.toldMany = isMany
    one.lastError = undefined
    one.resolvedAt = now()
    one.ttl = ttl
    const found = placesOf(kept)
    const missing = one.targets.filter((target) => !found.includes(placeOf(target)))
    const lingering = missing.filter((target) => !one.lingering.includes(placeOf(target)))
    const together = [...kept, ...lingering]
    const [before, after] = [placesOf(one.targets), placesOf(together)]
    one.lingering = placesOf(lingering)
    const added = after.filter((place) => !before.includes(place))
    const removed = before.filter((place) => !after.includes(place))
    if (added.length + removed.length === 0) return false
    one.targets = together
    yield* Effect.logInfo("A DNS name leads elsewhere", { name, added, removed })
    return true
  })

  const pause = ({ entry, lingering, ttl }: Known) =>
    Duration.millis(lingering.length > 0 ? shortestPause : Math.max(shortestPause, Math.min(entry.interval, ttl ?? entry.interval)))

  const follow = (one: Known): Effect.Effect<never> =>
    Effect.suspend(() => Effect.sleep(pause(one))).pipe(
      Effect.andThen(look(one)),
      Effect.flatMap((changed) => (changed ? Effect.suspend(() => bring) : Effect.void)),
      Effect.forever
    )

  const source: DnsSource = {
    update: Effect.fnUntraced(function* (entries) {
      const wanted = new Map(entries.map((entry) => [entryKey(entry), entry]))
      for (const key of [...known.keys()])
        if (!wanted.has(key)) {
          known.delete(key)
          yield* FiberMap.remove(loops, key)
        }
      const fresh: Array<Known> = []
      const states = new Map<string, Known>()
      for (const [key, entry] of wanted) {
        let one = known.get(key)
        const isNew = one === undefined
        one ??= { entry, targets: [], lingering: [], ttl: undefined, resolvedAt: 0, lastError: undefined, toldMany: false }
        if (isNew) fresh.push(one)
        const isPaced = one.entry.interval !== entry.interval
        one.entry = entry
        states.set(key, one)
        if (!isNew && isPaced) start(key, follow(one))
      }
      // In the order of the file.
      known.clear()
      for (const [key, one] of states) known.set(key, one)
      yield* Effect.forEach(fresh, look, { concurrency: "unbounded", discard: true })
      for (const one of fresh) start(entryKey(one.entry), follow(one))
    }),
    specs: () => [...known.values()].flatMap(({ entry, targets }) => specsOf(entry, targets)),
    whenChanged: (effect) => {
      bring = effect
    },
    statuses: () =>
      [...known.values()].map(({ entry, targets, resolvedAt, lastError }) => ({
        name: entry.name,
        endpoints: targets.length,
        resolvedAt,
        lastError
      }))
  }
  return source
})
