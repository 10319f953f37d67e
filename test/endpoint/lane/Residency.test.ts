import { describe, expect, it } from "vitest"
import {
  firstLoadTime,
  learnedLoadTime,
  loadWait,
  type Residency,
  type ResidencyEvent,
  type ResidencyWord,
  stepResidency
} from "../../../src/endpoint/lane/Residency.ts"

const at = (word: ResidencyWord, since = 100): Residency => ({ word, since })
const reported = (isLoaded: boolean, askedAt: number, waiting = 0): ResidencyEvent => ({ _tag: "reported", isLoaded, askedAt, waiting })

describe("whether a model is in memory", () => {
  it.each<[what: string, from: Residency, event: ResidencyEvent, to: Residency]>([
    ["listed", at("unknown", 0), reported(true, 5), at("resident", 5)],
    ["not listed", at("unknown", 0), reported(false, 5), at("cold", 5)],
    ["listed again", at("resident"), reported(true, 200), at("resident", 200)],
    ["listed no more", at("resident"), reported(false, 200), at("cold", 200)],
    ["an older report than what an attempt saw", at("resident"), reported(false, 99), at("resident")],
    ["an older report than a load that failed", at("cold"), reported(true, 99), at("cold")],
    ["not listed while it is loaded", at("loading"), reported(false, 200, 1), at("loading")],
    ["not listed, and nobody waits for the load any more", at("loading"), reported(false, 200, 0), at("cold", 200)],
    ["listed while it was loaded", at("loading"), reported(true, 200, 1), at("resident", 200)],
    ["still not listed", at("cold"), reported(false, 200), at("cold")],
    ["an attempt begins its load", at("cold"), { _tag: "dispatched", now: 200 }, at("loading", 200)],
    ["an attempt joins the load", at("loading"), { _tag: "dispatched", now: 200 }, at("loading")],
    ["an attempt on a warm one", at("resident"), { _tag: "dispatched", now: 200 }, at("resident")],
    ["an attempt where nothing is known", at("unknown", 0), { _tag: "dispatched", now: 200 }, at("unknown", 0)],
    ["the first byte of a load", at("loading"), { _tag: "first_byte", now: 200 }, at("resident", 200)],
    ["a first byte where it was thought cold", at("cold"), { _tag: "first_byte", now: 200 }, at("resident", 200)],
    ["a first byte where nothing is known", at("unknown", 0), { _tag: "first_byte", now: 200 }, at("resident", 200)],
    ["the last that waited for a load gives up", at("loading"), { _tag: "given_up", now: 200, waiting: 0 }, at("cold", 200)],
    ["one of those that wait for a load gives up", at("loading"), { _tag: "given_up", now: 200, waiting: 1 }, at("loading")],
    ["an attempt fails on a warm one", at("resident"), { _tag: "given_up", now: 200, waiting: 0 }, at("resident")],
    ["nobody tells any more", at("cold"), { _tag: "outdated" }, at("unknown")],
    ["nobody tells any more, of a warm one", at("resident"), { _tag: "outdated" }, at("unknown")],
    ["nobody tells any more, while it is loaded", at("loading"), { _tag: "outdated" }, at("loading")]
  ])("%s", (_, from, event, to) => {
    expect(stepResidency(from, event)).toEqual(to)
  })

  it("costs two loads when cold, what is left of one while loading, and nothing else", () => {
    expect(loadWait(at("cold"), 4000, 100)).toBe(8000)
    expect(loadWait(at("loading"), 4000, 1100)).toBe(3000)
    expect(loadWait(at("loading"), 4000, 9000)).toBe(0)
    expect(loadWait(at("resident"), 4000, 100)).toBe(0)
    expect(loadWait(at("unknown"), 4000, 100)).toBe(0)
  })

  it("takes a load to be as long as the model is large, until one was seen", () => {
    expect(firstLoadTime(5e9)).toBe(8000)
    expect(firstLoadTime(undefined)).toBe(15_000)
    expect(firstLoadTime(0)).toBe(15_000)
    expect(learnedLoadTime(8000, 18_000)).toBe(11_000)
  })
})
