import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  isOnTrial,
  type LaneCondition,
  type LaneEvent,
  type LanePolicy,
  newLane,
  slowStartShare,
  stateAt,
  step
} from "../../../src/endpoint/lane/LaneCondition.ts"

const policy: LanePolicy = { failures: 3, duration: 10_000, maxDuration: 300_000, slowStart: 30_000, missingFor: Number.POSITIVE_INFINITY }

const failed = (startedAt: number, fields: Partial<Extract<LaneEvent, { _tag: "failed" }>> = {}): LaneEvent => ({
  _tag: "failed",
  startedAt,
  trial: 0,
  reason: "status_5xx",
  ended: 1,
  failed: 1,
  hasRoom: true,
  jitter: 0,
  ...fields
})
const succeeded = (startedAt: number, trial = 0): LaneEvent => ({ _tag: "succeeded", startedAt, trial })
const wait = (startedAt: number, time?: number, trial = 0): LaneEvent => ({
  _tag: "asked_to_wait",
  startedAt,
  trial,
  time,
  reason: "status_429"
})

/** A lane with what happened to it, each with its time. */
class Life {
  now = 0
  condition: LaneCondition = newLane(0)
  policy = policy

  at(now: number, ...events: ReadonlyArray<LaneEvent>): this {
    this.now = now
    for (const event of events) this.condition = step(this.condition, event, now, this.policy)
    return this
  }
  get state() {
    return stateAt(this.condition, this.now, this.policy)
  }
  /** Begins a trial, and says its number. */
  trial(now: number): number {
    this.at(now, { _tag: "trial_begins" })
    return this.condition.trial
  }
  ejected(now = 40_000): this {
    return this.at(now, failed(now - 1), failed(now - 1), failed(now - 1))
  }
}

describe("a lane", () => {
  it("starts slowly and is open then", () => {
    const life = new Life()
    assert.strictEqual(life.state, "slow_start")
    const share = (now: number) => slowStartShare(life.condition, now, policy)
    assert.deepStrictEqual([0, 1_500, 15_000, 29_999, 30_000, 90_000].map(share), [0.1, 0.1, 0.5, 29_999 / 30_000, 1, 1])
    assert.strictEqual(life.at(30_000).state, "open")
    life.policy = { ...policy, slowStart: 0 }
    assert.strictEqual(life.at(0).state, "open")
    assert.strictEqual(slowStartShare(life.condition, 0, life.policy), 1)
  })

  it("is ejected after failures in a row, a success between them starts the count anew", () => {
    const life = new Life().at(40_000, failed(39_000), failed(39_000), succeeded(39_000), failed(39_000), failed(39_000))
    assert.strictEqual(life.state, "open")
    life.at(41_000, failed(40_500))
    assert.strictEqual(life.state, "ejected")
    assert.strictEqual(life.condition.until, 51_000)
    assert.strictEqual(life.condition.reason, "status_5xx")
  })

  it("is ejected when half of many recent attempts failed", () => {
    const life = new Life().at(40_000, failed(39_000, { ended: 9, failed: 8 }))
    assert.strictEqual(life.state, "open")
    assert.strictEqual(new Life().at(40_000, failed(39_000, { ended: 11, failed: 5 })).state, "open")
    assert.strictEqual(new Life().at(40_000, failed(39_000, { ended: 10, failed: 5 })).state, "ejected")
  })

  it("stays in while its model cannot do without it, and goes with the next failure when it can", () => {
    const life = new Life()
    for (let n = 0; n < 6; n++) life.at(40_000, failed(39_000, { hasRoom: false }))
    assert.strictEqual(life.state, "open")
    assert.strictEqual(life.condition.failures, 6)
    assert.strictEqual(life.at(40_000, failed(39_000)).state, "ejected")
  })

  it("is never ejected where nothing is", () => {
    const life = new Life()
    life.policy = { ...policy, failures: 0 }
    for (let n = 0; n < 20; n++) life.at(40_000, failed(39_000, { ended: 20, failed: 20 }))
    assert.strictEqual(life.state, "open")
  })

  it("is not ejected for longer by what was under way before", () => {
    const life = new Life().ejected(40_000).at(45_000, failed(39_000), failed(39_999), succeeded(39_000), wait(39_000, 60_000))
    assert.strictEqual(life.condition.until, 50_000)
    assert.strictEqual(life.condition.ejections, 1)
  })

  it("comes back by one trial: well, with a slow start", () => {
    const life = new Life().ejected(40_000)
    assert.strictEqual(life.at(49_999).state, "ejected")
    assert.strictEqual(life.at(50_000).state, "trial")
    assert.isFalse(isOnTrial(life.condition, 50_000))
    const trial = life.trial(50_000)
    assert.isTrue(isOnTrial(life.condition, 50_001))
    assert.strictEqual(life.at(50_010, succeeded(50_000, trial)).state, "slow_start")
    assert.strictEqual(slowStartShare(life.condition, 50_010, policy), 0.1)
    assert.strictEqual(life.condition.failures, 0)
  })

  it("goes for twice as long with each trial that fails, up to the longest time, and for the first time again after that without one", () => {
    const life = new Life().ejected(40_000)
    const times: Array<number> = []
    for (let n = 0; n < 7; n++) {
      const { until } = life.condition
      const trial = life.trial(until)
      life.at(until, failed(until, { trial }))
      times.push(life.condition.until - until)
    }
    assert.deepStrictEqual(times, [20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000])
    const back = life.condition.until
    life.at(back, succeeded(back, life.trial(back)))
    life.ejected(back + 299_999)
    assert.strictEqual(life.condition.until - life.now, 300_000)
    const again = life.condition.until
    life.at(again, succeeded(again, life.trial(again)))
    life.ejected(again + 300_000)
    assert.strictEqual(life.condition.until - life.now, 10_000)
  })

  it("spreads ejections by a tenth", () => {
    const of = (jitter: number) => {
      const life = new Life().at(40_000, failed(1, { jitter }), failed(1, { jitter }), failed(1, { jitter }))
      return life.condition.until - 40_000
    }
    assert.deepStrictEqual([of(-1), of(0), of(1)], [9_000, 10_000, 11_000])
  })

  it("replaces a trial of which nothing was heard, and hears no late word of it as a failed trial", () => {
    const life = new Life().ejected(40_000)
    const lost = life.trial(50_000)
    assert.isTrue(isOnTrial(life.condition, 79_999))
    assert.isFalse(isOnTrial(life.condition, 80_000))
    const next = life.trial(80_000)
    life.at(81_000, failed(50_000, { trial: lost }))
    assert.strictEqual(life.state, "trial")
    assert.isTrue(isOnTrial(life.condition, 81_000))
    assert.strictEqual(life.at(82_000, succeeded(80_000, next)).state, "slow_start")
  })

  it("learns nothing from a trial whose client left", () => {
    const life = new Life().ejected(40_000)
    const trial = life.trial(50_000)
    life.at(50_100, { _tag: "unjudged", trial })
    assert.strictEqual(life.state, "trial")
    assert.isFalse(isOnTrial(life.condition, 50_100))
  })

  it("comes back by any attempt that began after it was ejected and ended well", () => {
    assert.strictEqual(new Life().ejected(40_000).at(43_000, failed(42_000), succeeded(42_000)).state, "slow_start")
  })

  it.each([
    [undefined, 1_000],
    [0, 1_000],
    [400, 1_000],
    [7_000, 7_000],
    [3_600_000, 60_000]
  ])("pauses as it is asked to, within bounds: %s ms is %i ms", (time, expected) => {
    const life = new Life().at(40_000, wait(39_000, time))
    assert.strictEqual(life.state, "paused")
    assert.strictEqual(life.condition.until, 40_000 + expected)
    assert.strictEqual(life.at(40_000 + expected).state, "trial")
  })

  it("pauses for twice as long each time in a row when nobody says how long", () => {
    const life = new Life()
    const times: Array<number> = []
    let now = 40_000
    for (let n = 0; n < 7; n++) {
      const trial = n === 0 ? 0 : life.trial(now)
      life.at(now, wait(now, undefined, trial))
      times.push(life.condition.until - now)
      now = life.condition.until
    }
    assert.deepStrictEqual(times, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
    life.at(now, succeeded(now, life.trial(now)), wait(now))
    assert.strictEqual(life.condition.until - now, 1_000)
  })

  it("takes the same wish of many requests for one", () => {
    const life = new Life().at(40_000, wait(39_000), wait(39_100), wait(39_200))
    assert.strictEqual(life.condition.until, 41_000)
    life.at(40_500, wait(39_900, 5_000))
    assert.strictEqual(life.condition.until, 45_500)
    assert.strictEqual(life.condition.pauses, 1)
    life.at(40_600, wait(39_900, 2_000))
    assert.strictEqual(life.condition.until, 45_500)
  })

  it("is open, not ejected, when the trial after a pause fails once", () => {
    const life = new Life().at(40_000, wait(39_000))
    life.at(41_000, failed(41_000, { trial: life.trial(41_000) }))
    assert.strictEqual(life.state, "open")
    assert.strictEqual(life.condition.failures, 1)
  })

  it("is missing until a list is read, or for a while where none is", () => {
    const life = new Life().at(40_000, { _tag: "not_there", startedAt: 39_000, trial: 0 })
    assert.strictEqual(life.at(9_999_999).state, "missing")
    assert.strictEqual(life.at(40_100, { _tag: "listed" }).state, "slow_start")
    life.policy = { ...policy, missingFor: 30_000 }
    life.at(50_000, { _tag: "not_there", startedAt: 49_000, trial: 0 })
    assert.strictEqual(life.at(79_999).state, "missing")
    assert.strictEqual(life.at(80_000).state, "trial")
  })

  it("starts slowly when its endpoint serves again, but not before its time is over", () => {
    const life = new Life().at(40_000, { _tag: "returned" })
    assert.strictEqual(life.state, "slow_start")
    assert.strictEqual(life.ejected(90_000).at(91_000, { _tag: "returned" }).state, "ejected")
  })
})

describe("whatever happens to a lane", () => {
  const event = fc.oneof(
    fc.record({ _tag: fc.constant("succeeded" as const), ago: fc.nat(20_000), trial: fc.boolean() }),
    fc.record({ _tag: fc.constant("failed" as const), ago: fc.nat(20_000), trial: fc.boolean(), hasRoom: fc.boolean() }),
    fc.record({
      _tag: fc.constant("asked_to_wait" as const),
      ago: fc.nat(20_000),
      trial: fc.boolean(),
      time: fc.option(fc.nat(120_000), { nil: undefined })
    }),
    fc.record({ _tag: fc.constant("not_there" as const), ago: fc.nat(20_000), trial: fc.boolean() }),
    fc.record({ _tag: fc.constant("unjudged" as const), ago: fc.nat(1), trial: fc.boolean() }),
    fc.record({ _tag: fc.constant("trial_begins" as const), ago: fc.nat(1), trial: fc.boolean() }),
    fc.record({ _tag: fc.constantFrom("listed" as const, "returned" as const), ago: fc.nat(1), trial: fc.boolean() })
  )

  it("it is never out for longer than the bounds, never ejected without room, and one good answer opens it", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(event, fc.nat(30_000)), { maxLength: 60 }), (events) => {
        const life = new Life()
        for (const [one, passed] of events) {
          const now = life.now + passed
          const wasOut = life.condition.state === "ejected"
          const startedAt = Math.max(0, now - one.ago)
          const trial = one.trial ? life.condition.trial : 0
          const told = {
            jitter: 0,
            reason: "status_5xx" as const,
            ended: 1,
            failed: 1,
            hasRoom: true,
            time: undefined,
            ...one,
            startedAt,
            trial
          }
          life.at(now, told as LaneEvent)
          const { state, until, since } = life.condition
          if (state === "ejected") assert.isAtMost(until - since, 300_000)
          if (state === "paused") assert.isAtMost(until - now, 60_000)
          if (state === "ejected" && !wasOut) assert.isTrue(told.hasRoom)
        }
        assert.include(["open", "slow_start"], life.at(life.now, succeeded(life.now)).state)
      })
    )
  })
})
