/**
 * Another fleet in place of this one without a request lost in between: who goes stays until the newcomers can be asked, so that a
 * machine that gets another address serves all the while.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { EndpointSpec } from "./EndpointSpec.ts"
import type { Fleet } from "./Fleet.ts"
import { fleetChange, keyOf } from "./FleetChange.ts"

/** Milliseconds that a changed fleet waits for new endpoints to be probed and read. */
const joinsWithin = 3_000

/**
 * Ends when requests see the endpoints that are `wanted` at its turn: a reload and a name that leads elsewhere may come together, and
 * go one after the other. `settled`: what was read of the endpoints has come to where requests look.
 */
export const handOver = (
  fleet: Fleet["Service"],
  wanted: () => ReadonlyArray<EndpointSpec>,
  settled: Effect.Effect<void>
): Effect.Effect<void> => {
  const join = Effect.fnUntraced(function* (specs: ReadonlyArray<EndpointSpec>) {
    const { added, removed } = fleetChange(
      fleet.endpoints.map(({ spec }) => spec),
      specs
    )
    if (added.length === 0) return
    yield* fleet.apply([...specs, ...removed])
    const newcomers = new Set(added.map(keyOf))
    const joining = fleet.endpoints.filter(({ spec }) => newcomers.has(keyOf(spec)))
    yield* Effect.forEach(joining, fleet.probe, { concurrency: "unbounded", discard: true }).pipe(Effect.timeoutOption(joinsWithin))
    yield* settled
  })
  return Semaphore.makeUnsafe(1).withPermit(
    Effect.suspend(() => {
      const specs = wanted()
      return join(specs).pipe(Effect.andThen(fleet.apply(specs)), Effect.andThen(settled))
    })
  )
}
