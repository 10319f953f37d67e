import { describe, expect, it } from "vitest"
import type { ResidencyWord } from "../../../src/endpoint/lane/Residency.ts"
import { type Occupancy, pushesOut, residentsOf, Swap } from "../../../src/endpoint/lane/Swap.ts"

const modelOf = (residency: ResidencyWord, model = "m"): { readonly model: string; readonly work: { residency: ResidencyWord } } => ({
  model,
  work: { residency }
})
const server = (fields: Partial<Occupancy> = {}): Occupancy => ({ most: 1, inFlight: 0, residents: 1, ...fields })

describe("a change of models in memory", () => {
  it.each<[what: string, residency: ResidencyWord, server: Partial<Occupancy>, admitted: boolean]>([
    ["a model in memory, whatever runs", "resident", { inFlight: 3 }, true],
    ["one that is being loaded", "loading", { inFlight: 3 }, true],
    ["one of which nothing is known", "unknown", { inFlight: 3 }, true],
    ["a load that pushes one out while something runs", "cold", { inFlight: 1 }, false],
    ["the same when nothing runs any more", "cold", {}, true],
    ["a load for which there is room", "cold", { most: 2, inFlight: 3 }, true],
    ["a load where two fit and two are there", "cold", { most: 2, residents: 2, inFlight: 1 }, false],
    ["any load where nobody says how many fit", "cold", { most: 0, inFlight: 3 }, true]
  ])("%s", (_, residency, fields, admitted) => {
    expect(new Swap().admits(modelOf(residency), server(fields), 0)).toBe(admitted)
    expect(pushesOut(modelOf("resident"), server(fields))).toBe(false)
  })

  it("counts a model once, under however many endpoints of its server", () => {
    const models = [
      modelOf("resident", "a"),
      modelOf("loading", "b"),
      modelOf("resident", "a"),
      modelOf("cold", "c"),
      modelOf("unknown", "d")
    ]
    expect(residentsOf(models)).toBe(2)
  })

  it("lets nothing new begin on the others once it was waited for ten seconds, and then comes first", () => {
    const swap = new Swap()
    const [here, wanted, other] = [modelOf("resident"), modelOf("cold"), modelOf("cold")]
    for (let now = 0; now < 10_000; now += 1000) {
      swap.want(wanted, now)
      expect(swap.admits(here, server({ inFlight: 1 }), now)).toBe(true)
      expect(swap.admits(wanted, server({ inFlight: 1 }), now)).toBe(false)
    }
    swap.want(wanted, 10_000)
    expect(swap.admits(here, server({ inFlight: 1 }), 10_000)).toBe(false)
    expect(swap.admits(wanted, server({ inFlight: 1 }), 10_000)).toBe(false)
    expect(swap.admits(other, server(), 10_000)).toBe(false)
    expect(swap.admits(wanted, server(), 10_000)).toBe(true)
    wanted.work.residency = "loading"
    expect(swap.admits(other, server(), 10_000)).toBe(true)
    expect(swap.admits(here, server(), 10_000)).toBe(true)
  })

  it("is forgotten when whoever waited is gone", () => {
    const wanted = modelOf("cold")
    const swap = new Swap()
    for (let now = 0; now <= 10_000; now += 1000) swap.want(wanted, now)
    expect(swap.admits(modelOf("resident"), server(), 12_000)).toBe(false)
    expect(swap.admits(modelOf("resident"), server(), 13_001)).toBe(true)
    swap.want(wanted, 14_000)
    expect(swap.admits(modelOf("resident"), server(), 14_000)).toBe(true)
  })
})
