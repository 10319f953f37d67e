import { expect, it } from "vitest"
import { outlookOf, turnsPerSecond } from "../../src/balancing/Outlook.ts"
import { accepts } from "../../src/endpoint/Endpoint.ts"
import { served } from "../../src/exchange/AttemptVerdict.ts"
import { candidatesOf, FakeFleet } from "./fakes.ts"

const fleetOf = (...names: ReadonlyArray<string>) => {
  const fleet = new FakeFleet()
  for (const name of names) fleet.add(name)
  return fleet
}

const pause = (fleet: FakeFleet, index: number, time: number) =>
  fleet.endpoints[index]?.lanes.of("m").judge({ ...served, lane: { _tag: "pause", time } }, { startedAt: 0, trial: 0, hasRoom: () => true })

const seen = (fleet: FakeFleet) => outlookOf(candidatesOf(fleet.endpoints, "m"), accepts)

it("is a slot where anybody serves who is not paused, and says when a pause beside it ends", () => {
  const fleet = fleetOf("a", "b")
  expect(seen(fleet)).toEqual({ _tag: "slot", until: Number.POSITIVE_INFINITY })
  pause(fleet, 0, 4_000)
  expect(seen(fleet)).toEqual({ _tag: "slot", until: 4_000 })
})

it("is the end of the first pause where all are paused", () => {
  const fleet = fleetOf("a", "b", "c")
  pause(fleet, 0, 9_000)
  pause(fleet, 1, 4_000)
  fleet.endpoints[2]?.become("offline")
  expect(seen(fleet)).toEqual({ _tag: "pause", until: 4_000 })
  fleet.clock = () => 4_000
  expect(seen(fleet)._tag).toBe("slot")
})

it("is nobody where nobody serves", () => {
  const fleet = fleetOf("a")
  fleet.endpoints[0]?.become("offline")
  expect([seen(fleet)._tag, outlookOf([], accepts)._tag]).toEqual(["nobody", "nobody"])
})

it("counts turns by slots and how long attempts take, each server once", () => {
  const fleet = fleetOf("a", "b", "c")
  for (const endpoint of fleet.endpoints) {
    endpoint.spec = { ...endpoint.spec, maxConcurrent: 2 }
    endpoint.lanes.of("m").work.turn = 500
    endpoint.lanes.of("n").work.turn = 1_000
  }
  fleet.endpoints[2]?.become("offline")
  const candidates = [...candidatesOf(fleet.endpoints, "m"), ...candidatesOf(fleet.endpoints, "n")]
  expect(turnsPerSecond(candidates, accepts, () => Number.POSITIVE_INFINITY)).toBe(8)
  // Rules let fewer run than the servers could, or there is no other limit at all.
  expect(turnsPerSecond(candidates, accepts, () => 3)).toBe(6)
  for (const endpoint of fleet.endpoints) endpoint.spec = { ...endpoint.spec, maxConcurrent: 0 }
  expect(turnsPerSecond(candidates, accepts, () => 1)).toBe(2)
})
