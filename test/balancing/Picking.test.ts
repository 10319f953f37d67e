import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Pick } from "../../src/balancing/Balancer.ts"
import { leastConnections } from "../../src/balancing/LeastConnections.ts"
import { priority } from "../../src/balancing/Priority.ts"
import { roundRobin } from "../../src/balancing/RoundRobin.ts"
import type { Status } from "../../src/endpoint/EndpointState.ts"
import { candidatesOf, claimOf, type FakeEndpoint, FakeFleet } from "./fakes.ts"

const fleetOf = (fields: ReadonlyArray<{ readonly priority?: number; readonly status?: Status }>): Array<FakeEndpoint> => {
  const fleet = new FakeFleet()
  for (const [i, one] of fields.entries()) fleet.add(`e${i}`, one)
  return fleet.endpoints
}

const claim = claimOf(undefined)

const nameOf = (pick: Pick, endpoints: ReadonlyArray<FakeEndpoint>): string | undefined =>
  pick(candidatesOf(endpoints), claim)?.endpoint.name

/** A repeatable source of even numbers in [0, 1). */
const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

const counts = (names: Iterable<string | undefined>): Record<string, number> => {
  const out: Record<string, number> = {}
  for (const name of names) out[name ?? "nobody"] = (out[name ?? "nobody"] ?? 0) + 1
  return out
}

const routableStatus = fc.constantFrom<Status>("healthy", "busy", "warming")
const members = fc.array(fc.record({ priority: fc.constantFrom(0, 1, 50, 100, 200), status: routableStatus }), {
  minLength: 1,
  maxLength: 8
})

describe("every balancer", () => {
  it("picks nobody of nobody, and one of the candidates otherwise", () => {
    for (const pick of [priority(() => 0.5), roundRobin(), leastConnections()]) expect(pick([], claim)).toBeUndefined()
    fc.assert(
      fc.property(members, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (of, random) => {
        const candidates = candidatesOf(fleetOf(of))
        for (const pick of [priority(() => random), roundRobin(), leastConnections()]) expect(candidates).toContain(pick(candidates, claim))
      })
    )
  })
})

describe("priority", () => {
  it.each([
    ["a busy one of a higher tier before a healthy one", [{ priority: 200, status: "busy" }, { priority: 100 }], "e0"],
    ["100 where none is given, and 0 is legal", [{ priority: 0 }, {}, { priority: 99 }], "e1"],
    ["the only one, even of tier 0", [{ priority: 0 }], "e0"]
  ] as const)("takes %s", (_, of, expected) => {
    for (let n = 0; n < 20; n++) expect(nameOf(priority(seeded(n)), fleetOf(of))).toBe(expected)
  })

  it.each([
    [0, "e0"],
    [0.7, "e0"],
    [0.72, "e1"],
    [0.92, "e1"],
    [0.93, "e2"],
    [0.999, "e2"]
  ])("walks the weights 1, 0.3 and 0.1: a draw of %d is %s", (random, expected) => {
    const endpoints = fleetOf([{ status: "healthy" }, { status: "busy" }, { status: "warming" }])
    expect(
      nameOf(
        priority(() => random),
        endpoints
      )
    ).toBe(expected)
  })

  it("draws evenly among those without any weight", () => {
    const endpoints = fleetOf([{ status: "offline" }, { status: "offline" }])
    expect(
      counts(
        Array.from({ length: 4 }, (_, n) =>
          nameOf(
            priority(() => n / 4),
            endpoints
          )
        )
      )
    ).toEqual({ e0: 2, e1: 2 })
  })

  it("never leaves the highest tier, whatever goes and comes", () => {
    fc.assert(
      fc.property(members, fc.array(fc.tuple(fc.nat(7), fc.boolean()), { maxLength: 40 }), fc.integer(), (of, churn, seed) => {
        const endpoints = fleetOf(of)
        const away = new Set<number>()
        const pick = priority(seeded(seed))
        for (const [who, leaves] of churn) {
          if (leaves) away.add(who % of.length)
          else away.delete(who % of.length)
          const here = endpoints.filter((_, i) => !away.has(i))
          const picked = pick(candidatesOf(here), claim)
          expect(picked?.endpoint.priority).toBe(here.length === 0 ? undefined : Math.max(...here.map((one) => one.priority)))
        }
      })
    )
  })

  it("shares within a tier by weight", () => {
    fc.assert(
      fc.property(fc.array(routableStatus, { minLength: 2, maxLength: 5 }), fc.integer(), (statuses, seed) => {
        const endpoints = fleetOf(statuses.map((status) => ({ status })))
        const pick = priority(seeded(seed))
        const candidates = candidatesOf(endpoints)
        const draws = 4_000
        const seen = counts(Array.from({ length: draws }, () => pick(candidates, claim)?.endpoint.name))
        const weight = (status: Status) => ({ healthy: 1, busy: 0.3, warming: 0.1 })[status as "healthy" | "busy" | "warming"]
        const sum = statuses.reduce((total, status) => total + weight(status), 0)
        for (const [i, status] of statuses.entries()) {
          const share = weight(status) / sum
          // Six standard deviations: false alarms are out of the question.
          expect(Math.abs((seen[`e${i}`] ?? 0) - draws * share)).toBeLessThan(6 * Math.sqrt(draws * share * (1 - share)) + 1)
        }
      }),
      { numRuns: 30 }
    )
  })
})

describe("round-robin", () => {
  it("rotates in configuration order", () => {
    const endpoints = fleetOf([{}, {}, {}])
    const pick = roundRobin()
    expect(Array.from({ length: 7 }, () => nameOf(pick, endpoints))).toEqual(["e0", "e1", "e2", "e0", "e1", "e2", "e0"])
  })

  it("has one counter for all, each selection a tick, whatever set it is asked about", () => {
    const endpoints = fleetOf([{}, {}, {}])
    const pick = roundRobin()
    expect([
      nameOf(pick, endpoints),
      nameOf(pick, endpoints.slice(0, 2)),
      nameOf(pick, endpoints),
      nameOf(pick, endpoints.slice(1))
    ]).toEqual(["e0", "e1", "e2", "e2"])
    expect(pick([], claim)).toBeUndefined()
    // Nobody to pick is no selection.
    expect(nameOf(pick, endpoints)).toBe("e1")
  })

  it("gives everyone the same, to within one, between two changes of the set", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat(60)), { minLength: 1, maxLength: 12 }), (phases) => {
        const endpoints = fleetOf(Array.from({ length: 6 }, () => ({})))
        const pick = roundRobin()
        for (const [size, requests] of phases) {
          const here = endpoints.slice(0, size)
          const seen = counts(Array.from({ length: requests }, () => nameOf(pick, here)))
          const shares = here.map((one) => seen[one.name] ?? 0)
          expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
        }
      })
    )
  })
})

describe("least connections", () => {
  it("takes the only one with the fewest and leaves the cursor where it is", () => {
    const endpoints = fleetOf([{}, {}, {}])
    const pick = leastConnections()
    ;(endpoints[1] as FakeEndpoint).inFlight = 1
    ;(endpoints[2] as FakeEndpoint).inFlight = 1
    expect(Array.from({ length: 3 }, () => nameOf(pick, endpoints))).toEqual(["e0", "e0", "e0"])
    ;(endpoints[0] as FakeEndpoint).inFlight = 1
    expect(Array.from({ length: 4 }, () => nameOf(pick, endpoints))).toEqual(["e0", "e1", "e2", "e0"])
  })

  it("takes ties in turn among those who are tied", () => {
    const endpoints = fleetOf([{}, {}, {}])
    const pick = leastConnections()
    ;(endpoints[0] as FakeEndpoint).inFlight = 5
    expect(Array.from({ length: 4 }, () => nameOf(pick, endpoints))).toEqual(["e1", "e2", "e1", "e2"])
  })

  it("gives ten idle requests over two five each", () => {
    const endpoints = fleetOf([{}, {}])
    const pick = leastConnections()
    expect(counts(Array.from({ length: 10 }, () => nameOf(pick, endpoints)))).toEqual({ e0: 5, e1: 5 })
  })

  it("never lets two endpoints that were there all along drift apart by more than one, whatever starts and ends", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 60 }), (size, requests) => {
        const endpoints = fleetOf(Array.from({ length: size }, () => ({})))
        const pick = leastConnections()
        for (let n = 0; n < requests; n++) {
          const picked = pick(candidatesOf(endpoints), claim)
          if (picked !== undefined) picked.endpoint.enter()
          const loads = endpoints.map((one) => one.inFlight)
          expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
        }
      })
    )
  })

  it("always picks a least loaded one, whatever goes, comes, starts and ends", () => {
    const step = fc.oneof(
      fc.record({ _tag: fc.constant("start" as const) }),
      fc.record({ _tag: fc.constant("end" as const), who: fc.nat(5) }),
      fc.record({ _tag: fc.constant("toggle" as const), who: fc.nat(5) })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const endpoints = fleetOf(Array.from({ length: 6 }, () => ({})))
        const away = new Set<number>()
        const pick = leastConnections()
        for (const one of steps) {
          if (one._tag === "toggle") {
            if (!away.delete(one.who)) away.add(one.who)
          } else if (one._tag === "end") {
            const endpoint = endpoints[one.who] as FakeEndpoint
            if (endpoint.inFlight > 0) endpoint.inFlight--
          } else {
            const here = endpoints.filter((_, i) => !away.has(i))
            const picked = pick(candidatesOf(here), claim)?.endpoint
            if (here.length === 0) expect(picked).toBeUndefined()
            else {
              expect(picked?.inFlight).toBe(Math.min(...here.map((endpoint) => endpoint.inFlight)))
              if (picked !== undefined) picked.enter()
            }
          }
        }
      })
    )
  })
})
