import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  admit,
  admitAlone,
  admitsFrom,
  type BreakerPolicy,
  type BreakerState,
  closedBreaker,
  enginePolicy,
  fail,
  phaseOf,
  probed,
  release,
  succeed,
  wouldAdmit
} from "../../src/endpoint/CircuitBreaker.ts"
import { EndpointBreaker } from "../../src/endpoint/EndpointBreaker.ts"

const policy: BreakerPolicy = { threshold: 3, openFor: 30_000, staleness: 5000, aloneEvery: 1000 }
const failTimes = (n: number, at = 1000): BreakerState =>
  Array.from({ length: n }).reduce<BreakerState>((state) => fail(state, undefined, at, policy), closedBreaker)
const open = failTimes(3)
const admitted = (state: BreakerState, now: number) => {
  const asked = admit(state, now, policy)
  if (asked.admission._tag !== "Admitted") throw new Error("was denied")
  return { state: asked.state, token: asked.admission.token }
}
const halfOpen = admitted(open, 31_001)

describe("closed", () => {
  it("admits without a token", () => {
    expect(admit(closedBreaker, 0, policy)).toEqual({ state: closedBreaker, admission: { _tag: "Admitted", token: undefined } })
  })
  it("opens at the threshold of consecutive failures", () => {
    expect(failTimes(2).phase).toBe("closed")
    expect(open).toMatchObject({ phase: "open", failures: 3, lastFailure: 1000 })
  })
  it("forgets failures with one success", () => {
    expect(succeed(failTimes(2), undefined)).toMatchObject({ phase: "closed", failures: 0 })
  })
  it("ignores a result under a token, which can only be superseded", () => {
    expect(fail(closedBreaker, 7, 2000, policy)).toBe(closedBreaker)
    expect(succeed(closedBreaker, 7)).toBe(closedBreaker)
  })
})

describe("open", () => {
  it("denies until strictly after its time, then admits one trial", () => {
    expect(admit(open, 31_000, policy).admission._tag).toBe("Denied")
    expect(admit(open, 31_001, policy).admission).toEqual({ _tag: "Admitted", token: 1 })
    expect(admitsFrom(open, policy)).toBe(31_001)
  })
  it("ignores results of requests that were admitted while closed", () => {
    expect(succeed(open, undefined)).toBe(open)
    expect(fail(open, undefined, 9000, policy)).toBe(open)
  })
  it("shows as half-open once its time is over", () => {
    expect([phaseOf(open, 31_000, policy), phaseOf(open, 31_001, policy)]).toEqual(["open", "half-open"])
  })
})

describe("half-open", () => {
  it("denies while the trial is fresh", () => {
    expect(admit(halfOpen.state, 36_000, policy).admission._tag).toBe("Denied")
  })
  it("replaces a stale trial exactly once", () => {
    const second = admitted(halfOpen.state, 36_001)
    expect(second.token).toBe(2)
    expect(admit(second.state, 36_001, policy).admission._tag).toBe("Denied")
    expect(succeed(second.state, halfOpen.token)).toBe(second.state)
    expect(succeed(second.state, second.token).phase).toBe("closed")
  })
  it("closes with the trial's success", () => {
    expect(succeed(halfOpen.state, halfOpen.token)).toMatchObject({ phase: "closed", failures: 0, trial: undefined })
  })
  it("opens for another full time with the trial's failure", () => {
    const again = fail(halfOpen.state, halfOpen.token, 32_000, policy)
    expect(again).toMatchObject({ phase: "open", lastFailure: 32_000, trial: undefined })
    expect(admitsFrom(again, policy)).toBe(62_001)
  })
  it("ignores results without a token", () => {
    expect(succeed(halfOpen.state, undefined)).toBe(halfOpen.state)
    expect(fail(halfOpen.state, undefined, 32_000, policy)).toBe(halfOpen.state)
  })
  it("gives the trial's place back when it ends without a verdict", () => {
    expect(admit(release(halfOpen.state, halfOpen.token), 31_002, policy).admission._tag).toBe("Admitted")
    expect(release(halfOpen.state, 99)).toBe(halfOpen.state)
  })
})

it("opens with five failures for half a minute", () => {
  expect(enginePolicy).toEqual({ threshold: 5, openFor: 30_000, staleness: 30_000, aloneEvery: 1000 })
})

describe("with nobody else to ask", () => {
  const alone = (state: BreakerState, now: number) => admitAlone(state, now, policy)
  const token = ({ admission }: ReturnType<typeof alone>) => (admission._tag === "Admitted" ? admission.token : "denied")
  it("lets one a second through while open, and closes with the success of any of them", () => {
    expect(token(alone(closedBreaker, 5000))).toBeUndefined()
    expect(token(alone(open, 1999))).toBe("denied")
    const first = alone(open, 2000)
    const second = alone(first.state, 3000)
    expect([first, alone(first.state, 2999), second].map(token)).toEqual([-1, "denied", -2])
    expect(phaseOf(second.state, 3000, policy)).toBe("open")
    for (const one of [-1, -2]) expect(succeed(second.state, one)).toMatchObject({ phase: "closed", failures: 0 })
    expect(succeed(second.state, undefined)).toBe(second.state)
  })
  it("stays open for another full time with a failure, and counts none of an earlier time", () => {
    const first = alone(open, 2000)
    expect(fail(first.state, -1, 9000, policy)).toMatchObject({ phase: "open", lastFailure: 9000 })
    const closed = succeed(first.state, -1)
    const again = Array.from({ length: 3 }).reduce<BreakerState>((state) => fail(state, undefined, 20_000, policy), closed)
    expect(again.phase).toBe("open")
    expect(succeed(again, -1)).toBe(again)
    expect(token(alone(again, 21_000))).toBe(-2)
  })
  it("leaves the trial of a half-open one alone", () => {
    const extra = alone(halfOpen.state, 32_001)
    expect(token(extra)).toBe(-1)
    expect(fail(extra.state, -1, 32_500, policy).trial).toEqual(halfOpen.state.trial)
  })
})

describe("a good probe", () => {
  it("closes it where a probe had failed before, or where somebody had nobody else to ask", () => {
    expect(probed(open, true)).toBe(open)
    expect(probed(probed(open, false), true)).toMatchObject({ phase: "closed", failures: 0 })
    expect(probed(admitAlone(open, 1001, policy).state, true)).toMatchObject({ phase: "closed", failures: 0 })
  })
  it("is nothing to one that has counted nothing", () => {
    for (const isGood of [true, false]) expect(probed(closedBreaker, isGood)).toBe(closedBreaker)
  })
})

type Op = { readonly op: "admit" | "ok" | "bad" | "drop"; readonly pick: number; readonly wait: number }
const ops = fc.array(
  fc.record({
    op: fc.constantFrom("admit" as const, "ok" as const, "bad" as const, "drop" as const),
    pick: fc.nat(),
    wait: fc.nat(20_000)
  }),
  { maxLength: 60 }
)

const play = (steps: ReadonlyArray<Op>, look: (state: BreakerState, now: number, trials: number) => void): BreakerState => {
  let state = closedBreaker
  let now = 1
  const out: Array<number | undefined> = []
  for (const { op, pick, wait } of steps) {
    now += wait
    if (op === "admit") {
      const asked = admit(state, now, policy)
      state = asked.state
      if (asked.admission._tag === "Admitted") out.push(asked.admission.token)
    } else if (out.length > 0) {
      const [token] = out.splice(pick % out.length, 1)
      state = op === "ok" ? succeed(state, token) : op === "bad" ? fail(state, token, now, policy) : release(state, token)
    }
    look(state, now, out.length)
  }
  return state
}

describe("whatever happens", () => {
  it("is never in an impossible state", () => {
    fc.assert(
      fc.property(ops, (steps) => {
        play(steps, (state) => {
          if (state.trial !== undefined) expect(state.phase).toBe("half-open")
          if (state.phase === "closed") expect(state.failures).toBeLessThan(policy.threshold)
          if (state.phase === "open") expect(state.lastFailure).toBeGreaterThan(0)
        })
      })
    )
  })
  it("admits again after at most one open time and one staleness", () => {
    fc.assert(
      fc.property(ops, (steps) => {
        let last = 0
        const state = play(steps, (_, now) => {
          last = now
        })
        expect(wouldAdmit(state, last + policy.openFor + policy.staleness + 1, policy)).toBe(true)
        expect(wouldAdmit(state, Math.max(admitsFrom(state, policy), last), policy)).toBe(true)
      })
    )
  })
  it("admits only one of many callers while half-open", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 31_001, max: 90_000 }), (callers, now) => {
        let state = open
        let admissions = 0
        for (let i = 0; i < callers; i++) {
          const asked = admit(state, now, policy)
          state = asked.state
          if (asked.admission._tag === "Admitted") admissions++
        }
        expect(admissions).toBe(1)
      })
    )
  })
})

describe("an endpoint's breaker", () => {
  it("tells of its first refusal and of the end of them, and of no trial between", () => {
    let now = 1_000
    const told: Array<boolean> = []
    const breaker = new EndpointBreaker(
      () => now,
      (isClosed) => told.push(isClosed)
    )
    for (let n = 0; n < enginePolicy.threshold; n++) breaker.fail(undefined)
    expect(told).toEqual([false])
    now += enginePolicy.openFor + 1
    const trial = breaker.admit()
    breaker.fail(trial._tag === "Admitted" ? trial.token : undefined)
    now += enginePolicy.openFor + 1
    expect(told).toEqual([false])
    const better = breaker.admit()
    breaker.succeed(better._tag === "Admitted" ? better.token : undefined)
    expect(told).toEqual([false, true])
  })
})
