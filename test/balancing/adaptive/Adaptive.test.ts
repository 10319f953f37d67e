import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Adaptive } from "../../../src/balancing/adaptive/Adaptive.ts"
import type { Claim } from "../../../src/balancing/Claim.ts"
import { Lease } from "../../../src/balancing/Lease.ts"
import type { Lane } from "../../../src/endpoint/lane/Lane.ts"
import type { LaneReport } from "../../../src/endpoint/lane/LaneWork.ts"
import { PrefixTable } from "../../../src/endpoint/lane/PrefixTable.ts"
import { inspect } from "../../../src/routing/Inspecting.ts"
import { Prompt } from "../../../src/routing/Prompt.ts"
import type { Candidate } from "../../../src/routing/Router.ts"
import { runs } from "../../propertyRuns.ts"
import { candidatesOf, claimOf, FakeFleet } from "../fakes.ts"

interface Place {
  readonly priority?: number
  readonly weight?: number
  readonly maxConcurrent?: number
}

/** A few endpoints with one model, and the same choice made again and again. */
class Bench {
  readonly fleet = new FakeFleet()
  readonly candidates: ReadonlyArray<Candidate>
  readonly adaptive: Adaptive
  now = 100_000
  readonly #prefixes: PrefixTable

  constructor(places: ReadonlyArray<Place>, random: () => number = () => 0, memory = 1024 * 1024) {
    this.#prefixes = new PrefixTable(() => memory)
    this.fleet.clock = () => 0
    for (const [n, place] of places.entries()) {
      const endpoint = this.fleet.add(`e${n}`, { priority: place.priority ?? 100 })
      endpoint.spec = { ...endpoint.spec, weight: place.weight ?? 1, maxConcurrent: place.maxConcurrent ?? 0 }
    }
    this.fleet.clock = () => this.now
    this.candidates = candidatesOf(this.fleet.endpoints, "m")
    this.adaptive = new Adaptive({ now: () => this.now, random, prefixes: this.#prefixes, seed: [1, 2] })
  }

  lane(n: number): Lane {
    return this.fleet.endpoints[n]?.lanes.of("m") as Lane
  }

  claim(body: unknown = {}): Claim {
    const bytes = Buffer.from(JSON.stringify(body))
    const prompt = new Prompt(inspect("application/json", [bytes], "/v1/chat/completions"), [bytes], bytes.length)
    return claimOf(undefined, { usesLanes: true, stream: true, candidates: this.candidates, prompt })
  }

  /** As the balancer does it: the lease counts at once. */
  take(claim = this.claim()): Lease {
    const candidate = this.adaptive.choose(this.candidates, claim) as Candidate
    const lane = candidate.endpoint.lanes.of("m")
    const lease = new Lease(candidate, lane, this.adaptive.reason)
    this.adaptive.begin(lease, lane, claim)
    lease.stint = lane.work.begin(Math.max(0, claim.prompt.tokens - lease.cached), Math.round(lane.work.answer), claim.stream)
    return lease
  }

  /** And is over at once, without having taught anything. */
  pick(claim = this.claim()): string {
    const lease = this.take(claim)
    lease.stint?.end(false)
    lease.release()
    return `${lease.candidate.endpoint.name} ${lease.pick}`
  }
}

const text = (kilobytes: number, seed = "word"): string => `${seed} `.repeat((kilobytes * 1024) / (seed.length + 1))

const report = (fields: Partial<LaneReport>): LaneReport => ({
  running: 0,
  waiting: 0,
  kvUsed: undefined,
  slots: undefined,
  foreign: 0,
  at: 0,
  until: Number.POSITIVE_INFINITY,
  isFrozen: false,
  ...fields
})

const measured = (lane: Lane, pace: number, now: number): void => lane.work.streamed.sample(pace, 1000, now)

describe("adaptive", () => {
  it("takes the only one, and nobody of nobody", () => {
    const bench = new Bench([{}])
    expect(bench.pick()).toBe("e0 only")
    expect(bench.adaptive.choose([], bench.claim())).toBeUndefined()
  })

  it("takes the only one of the upper tier, however busy", () => {
    const bench = new Bench([{ priority: 100 }, { priority: 50 }])
    bench.lane(0).work.begin(100_000, 100, true)
    expect(bench.pick()).toBe("e0 only")
  })

  it("shares equals by weight, in turn", () => {
    const bench = new Bench([{ weight: 3 }, { weight: 1 }])
    const names = Array.from({ length: 8 }, () => bench.pick())
    expect(names.filter((name) => name === "e0 rotation")).toHaveLength(6)
    expect(names.filter((name) => name === "e1 rotation")).toHaveLength(2)
  })

  it("begins in other places where chance is another", () => {
    expect(new Bench([{}, {}], () => 0).pick()).toBe("e0 rotation")
    let n = 0
    expect(new Bench([{}, {}], () => n++ / 2).pick()).toBe("e1 rotation")
  })

  it("spreads a burst", () => {
    const bench = new Bench([{}, {}, {}, {}])
    const names = Array.from({ length: 12 }, () => bench.take().candidate.endpoint.name)
    for (const name of ["e0", "e1", "e2", "e3"]) expect(names.filter((each) => each === name)).toHaveLength(3)
  })

  it("prefers the faster one until what waits there makes it the slower", () => {
    const bench = new Bench([{}, {}])
    measured(bench.lane(0), 400, bench.now)
    measured(bench.lane(1), 100, bench.now)
    expect(bench.pick()).toBe("e1 cost")
    const names = Array.from({ length: 10 }, () => bench.take().candidate.endpoint.name)
    expect(names.filter((name) => name === "e0")).toHaveLength(2)
  })

  it("takes noise for no difference", () => {
    const bench = new Bench([{}, {}])
    measured(bench.lane(0), 140, bench.now)
    measured(bench.lane(1), 110, bench.now)
    expect([bench.pick(), bench.pick()].sort()).toEqual(["e0 rotation", "e1 rotation"])
  })

  it("prefers where the model is in memory until more than two loads wait there", () => {
    const bench = new Bench([{}, {}])
    bench.lane(0).work.reported(false, bench.now)
    bench.lane(1).work.reported(true, bench.now)
    expect(bench.pick()).toBe("e1 resident")
    bench.lane(1).work.begin(200_000, 100, true)
    expect(bench.pick()).toBe("e0 cost")
  })

  it("joins a load rather than to begin another one", () => {
    const bench = new Bench([{}, {}])
    for (const n of [0, 1]) bench.lane(n).work.reported(false, bench.now)
    const first = bench.take()
    bench.now += 1000
    const second = bench.take()
    expect(second.candidate).toBe(first.candidate)
    expect(second.pick).toBe("resident")
  })

  it("loads where that is known to be fastest", () => {
    const bench = new Bench([{}, {}])
    for (const n of [0, 1]) bench.lane(n).work.reported(false, bench.now)
    const load = bench.lane(1).work.begin(0, 0, true)
    bench.now += 100
    load.firstByte(true)
    bench.lane(1).work.reported(false, bench.now + 1)
    expect(bench.pick()).toBe("e1 resident")
  })

  it("goes where the prompt is kept while that one is idle, and elsewhere when it has much to do", () => {
    const bench = new Bench([{}, {}, {}])
    const first = bench.take(bench.claim({ messages: [{ role: "user", content: text(40) }] }))
    first.stint?.end(false)
    first.release()
    const next = () =>
      bench.claim({
        messages: [
          { role: "user", content: text(40) },
          { role: "assistant", content: text(1) }
        ]
      })
    for (let n = 0; n < 3; n++) expect(bench.pick(next())).toBe(`${first.candidate.endpoint.name} cached`)
    first.candidate.endpoint.lanes.of("m").work.begin(40_000, 100, true)
    expect(bench.pick(next())).not.toContain(first.candidate.endpoint.name)
  })

  it("does not believe in what is kept where far more runs than elsewhere", () => {
    const bench = new Bench([{}, {}, {}])
    const body = { messages: [{ role: "user", content: text(40) }] }
    const first = bench.take(bench.claim(body))
    first.stint?.end(false)
    first.release()
    const { endpoint } = first.candidate
    const lane = endpoint.lanes.of("m")
    // Attempts that have had their first byte: they wait for nothing, and only run.
    for (let n = 0; n < 4; n++) {
      lane.enter()
      const stint = lane.work.begin(0, 0, true)
      stint.firstByte(false)
    }
    expect(bench.pick(bench.claim(body))).toContain("cached")
    lane.enter()
    expect(bench.pick(bench.claim(body))).toContain("rotation")
  })

  it("knows of no prompts where there is no memory for them", () => {
    const bench = new Bench([{}, {}], () => 0, 0)
    const body = { messages: [{ role: "user", content: text(40) }] }
    for (let n = 0; n < 4; n++) expect(bench.pick(bench.claim(body))).toContain("rotation")
  })

  it("lets short prompts share, whatever is kept", () => {
    const bench = new Bench([{}, {}])
    const body = { messages: [{ role: "user", content: text(2) }] }
    expect([1, 2, 3, 4].map(() => bench.pick(bench.claim(body))).filter((name) => name === "e0 rotation")).toHaveLength(2)
  })

  it("waits for no slot where another lane has one", () => {
    const bench = new Bench([{ maxConcurrent: 2 }, {}])
    measured(bench.lane(0), 100, bench.now)
    measured(bench.lane(1), 400, bench.now)
    bench.lane(0).enter()
    expect(bench.pick()).toBe("e0 cost")
    bench.lane(0).enter()
    expect(bench.pick()).toBe("e1 cost")
  })

  it("counts what others have sent there, by what the backends say, as long as that is fresh", () => {
    const bench = new Bench([{}, {}])
    bench.lane(0).work.report = report({ slots: 4, running: 4, waiting: 2, foreign: 6 })
    expect(bench.pick()).toBe("e1 cost")
    bench.lane(0).work.report = report({ running: 4, waiting: 2, foreign: 6 })
    expect(bench.pick()).toBe("e1 cost")
    bench.lane(0).work.report = report({ running: 4, kvUsed: 0.96, foreign: 4 })
    expect(bench.pick()).toBe("e1 cost")
    bench.lane(0).work.report = report({ running: 4, foreign: 4 })
    expect(bench.pick()).toContain("rotation")
    bench.lane(0).work.report = report({ slots: 4, running: 4, waiting: 2, foreign: 6, until: bench.now - 1 })
    expect(bench.pick()).toContain("rotation")
  })

  it("makes lanes that failed dearer", () => {
    const bench = new Bench([{}, {}])
    const lane = bench.lane(0)
    const verdict = { lane: { _tag: "failure" }, again: "yes", reason: "transport", isFree: false } as const
    lane.judge(verdict, { startedAt: bench.now, trial: 0, hasRoom: () => false })
    for (let n = 0; n < 4; n++) expect(bench.pick()).toBe("e1 cost")
  })

  it("of more than thirty-two, weighs those that have kept most of the prompt, and four by chance", () => {
    const random = { value: 0.99 }
    const bench = new Bench(
      Array.from({ length: 50 }, () => ({})),
      () => random.value
    )
    const body = { messages: [{ role: "user", content: text(40) }] }
    const claim = bench.claim(body)
    const lane = bench.lane(30)
    const lease = new Lease(bench.candidates[30] as Candidate, lane, "cost")
    bench.adaptive.begin(lease, lane, claim)
    lease.release()
    expect(bench.pick(claim)).toBe("e30 cached")
    random.value = 0
    expect(bench.pick()).toBe("e0 rotation")
  })

  it("always takes one of the candidates, and leaves nothing behind", () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 30 }), fc.boolean()), { maxLength: 50 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), steps, fc.double({ min: 0, max: 0.999, noNaN: true }), (size, of, random) => {
        const bench = new Bench(
          Array.from({ length: size }, (_, n) => ({ weight: 1 + (n % 3), priority: 100 - (n % 2) })),
          () => random
        )
        const held: Array<Lease> = []
        for (const [kilobytes, later, ok] of of) {
          bench.now += later
          const lease = bench.take(bench.claim({ messages: [text(kilobytes)] }))
          expect(bench.candidates).toContain(lease.candidate)
          held.push(lease)
          if (later % 2 === 0) {
            const first = held.shift()
            first?.stint?.firstByte(ok)
            first?.stint?.end(ok)
            first?.release()
          }
        }
        for (const lease of held) {
          lease.stint?.end(false)
          lease.release()
        }
        for (let n = 0; n < size; n++) {
          const { work, inFlight } = bench.lane(n)
          expect([work.unread, work.waiting, work.outstanding, inFlight]).toEqual([0, 0, 0, 0])
        }
      }),
      { numRuns: runs(300) }
    )
  })
})
