import { describe, expect, it } from "vitest"
import { leastConnections } from "../../src/balancing/LeastConnections.ts"
import { priority } from "../../src/balancing/Priority.ts"
import { roundRobin } from "../../src/balancing/RoundRobin.ts"
import { Weights } from "../../src/balancing/Weights.ts"
import { candidatesOf, claimOf, FakeFleet } from "./fakes.ts"

const fleetOf = (...weights: ReadonlyArray<number>): FakeFleet => {
  const fleet = new FakeFleet()
  for (const [n, weight] of weights.entries()) {
    const endpoint = fleet.add(`e${n}`)
    endpoint.spec = { ...endpoint.spec, weight }
  }
  return fleet
}

const claim = claimOf(undefined)

describe("weights", () => {
  it("round-robin takes turns by them", () => {
    const pick = roundRobin()
    const candidates = candidatesOf(fleetOf(3, 1).endpoints)
    expect(Array.from({ length: 8 }, () => pick(candidates, claim)?.endpoint.name).join(" ")).toBe("e0 e0 e1 e0 e0 e0 e1 e0")
  })

  it("least-connections counts what runs for its weight", () => {
    const pick = leastConnections()
    const { endpoints } = fleetOf(2, 1)
    const candidates = candidatesOf(endpoints)
    const names: Array<string> = []
    for (let n = 0; n < 6; n++) {
      const { endpoint } = pick(candidates, claim) as (typeof candidates)[number]
      names.push(endpoint.name)
      endpoint.enter()
    }
    expect(names.filter((name) => name === "e0")).toHaveLength(4)
    expect(endpoints.map(({ inFlight }) => inFlight)).toEqual([4, 2])
  })

  it("priority draws by them within a tier", () => {
    const candidates = candidatesOf(fleetOf(3, 1).endpoints)
    expect([0, 0.74, 0.76, 0.99].map((random) => priority(() => random)(candidates, claim)?.endpoint.name)).toEqual([
      "e0",
      "e0",
      "e1",
      "e1"
    ])
  })

  it("grow while a lane starts, beside others that have started", () => {
    const fleet = fleetOf(2, 2)
    fleet.clock = () => 0
    const weights = new Weights()
    const candidates = candidatesOf(fleet.endpoints)
    expect(weights.fill(candidates, true).areEqual).toBe(true)
    for (const { endpoint, nativeName } of candidates) endpoint.lanes.of(nativeName)
    fleet.clock = () => 60_000
    expect(weights.fill(candidates, true).of).toEqual([2, 2])
    fleet.endpoints[1]?.lanes.returned()
    fleet.clock = () => 75_000
    expect(weights.fill(candidates, true).of).toEqual([2, 1])
    expect(weights.areEqual).toBe(false)
    expect(weights.fill(candidates, false).of).toEqual([2, 2])
    fleet.endpoints[0]?.lanes.returned()
    expect(weights.fill(candidates, true).areEqual).toBe(true)
  })
})
