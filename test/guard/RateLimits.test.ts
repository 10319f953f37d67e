import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type RateLimitSettings, RateLimits } from "../../src/guard/RateLimits.ts"

const settings = (changes: Partial<RateLimitSettings> = {}): RateLimitSettings => ({
  global_requests_per_minute: 600,
  per_ip_requests_per_minute: 60,
  health_requests_per_minute: 60,
  burst_size: 3,
  ...changes
})

const wall = 1_700_000_000_000
const pairs = (headers: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(headers.flatMap((name, index) => (index % 2 === 0 ? [[name, headers[index + 1] ?? ""]] : [])))

describe("admission", () => {
  it("lets a burst through and tells truthfully what is left and when it is full again", () => {
    const limits = new RateLimits()
    expect(pairs(limits.admit("a", settings(), 0, wall).headers)).toEqual({
      "X-RateLimit-Limit": "60",
      "X-RateLimit-Remaining": "2",
      "X-RateLimit-Reset": String(wall / 1000 + 1)
    })
    expect(pairs(limits.admit("a", settings(), 0, wall).headers)["X-RateLimit-Remaining"]).toBe("1")
    expect(limits.admit("a", settings(), 0, wall).allowed).toBe(true)
    const refused = limits.admit("a", settings(), 0, wall)
    expect(refused).toMatchObject({ allowed: false, refusedBy: "ip", retryAfter: 1, limit: 60 })
    expect(pairs(refused.headers)).toMatchObject({
      "X-RateLimit-Remaining": "0",
      "X-RateLimit-Reset": String(wall / 1000 + 3),
      "Retry-After": "1"
    })
    expect(limits.admit("a", settings(), 1000, wall + 1000).allowed).toBe(true)
  })

  it("rounds Retry-After up", () => {
    const limits = new RateLimits()
    const slow = settings({ per_ip_requests_per_minute: 7, burst_size: 1 })
    limits.admit("a", slow, 0, wall)
    expect(limits.admit("a", slow, 100, wall).retryAfter).toBe(9)
  })

  it("does not charge the global bucket for a client that its own limit refuses", () => {
    const limits = new RateLimits()
    const tight = settings({ burst_size: 2 })
    for (let n = 0; n < 50; n++) limits.admit("greedy", tight, 0, wall)
    // Two of the two global tokens went to what was admitted; none to the 48 refusals.
    expect(limits.admit("other", tight, 100, wall).refusedBy).toBe(undefined)
    expect(limits.admit("other", tight, 100, wall).refusedBy).toBe("global")
  })

  it("does not charge the client for a request that the global bucket refuses", () => {
    const limits = new RateLimits()
    const tight = settings({ burst_size: 2 })
    limits.admit("a", tight, 0, wall)
    limits.admit("a", tight, 0, wall)
    const refused = limits.admit("b", tight, 0, wall)
    expect(refused).toMatchObject({ refusedBy: "global", limit: 600, retryAfter: 1 })
    expect(pairs(refused.headers)).toMatchObject({ "X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0" })
    expect(pairs(limits.admit("b", tight, 100, wall).headers)["X-RateLimit-Remaining"]).toBe("1")
  })

  it.each([
    ["per client off keeps the global limit", { per_ip_requests_per_minute: 0 }, ["yes", "yes", "yes", "global"], "0"],
    ["global off keeps the client's", { global_requests_per_minute: 0 }, ["yes", "yes", "yes", "ip"], "60"],
    ["both off admits all", { global_requests_per_minute: 0, per_ip_requests_per_minute: -1 }, ["yes", "yes", "yes", "yes"], "0"]
  ])("%s", (_name, changes, expected, limit) => {
    const limits = new RateLimits()
    const verdicts = [1, 2, 3, 4].map(() => limits.admit("a", settings(changes), 0, wall))
    expect(verdicts.map((verdict) => verdict.refusedBy ?? "yes")).toEqual(expected)
    expect(pairs(verdicts[0]?.headers ?? [])["X-RateLimit-Limit"]).toBe(limit)
  })

  it("refuses everything with a burst of 0, and says to come back after at least a second", () => {
    const limits = new RateLimits()
    const none = settings({ burst_size: 0, per_ip_requests_per_minute: 100 })
    const first = limits.admit("a", none, 0, wall)
    expect(first).toMatchObject({ allowed: false, retryAfter: 1 })
    expect(limits.admit("a", none, 3_600_000, wall).allowed).toBe(false)
  })

  it("keeps health to itself: own bucket, own limit in the header, others neither consulted nor charged", () => {
    const limits = new RateLimits()
    const own = settings({ burst_size: 1, health_requests_per_minute: 30 })
    limits.admit("a", own, 0, wall)
    expect(limits.admit("a", own, 0, wall).allowed).toBe(false)
    const health = limits.admitHealth("a", own, 0, wall)
    expect(health.allowed).toBe(true)
    expect(pairs(health.headers)["X-RateLimit-Limit"]).toBe("30")
    expect(limits.admitHealth("a", own, 0, wall)).toMatchObject({ allowed: false, retryAfter: 2 })
    expect(limits.admit("b", own, 100, wall).allowed).toBe(true)
  })

  it("marks only the first refusal of a client within a minute", () => {
    const limits = new RateLimits()
    const one = settings({ burst_size: 1, per_ip_requests_per_minute: 1 })
    limits.admit("a", one, 0, wall)
    const firsts = [0, 10, 59_000, 59_900].map((now) => limits.admit("a", one, now, wall).first)
    expect(firsts).toEqual([true, false, false, false])
    limits.admit("a", one, 60_000, wall)
    expect(limits.admit("a", one, 60_001, wall).first).toBe(true)
  })

  it("takes new limits at the next request", () => {
    const limits = new RateLimits()
    limits.admit("a", settings({ burst_size: 1 }), 0, wall)
    expect(limits.admit("a", settings({ burst_size: 1 }), 0, wall).allowed).toBe(false)
    expect(limits.admit("a", settings({ per_ip_requests_per_minute: 0, global_requests_per_minute: 0 }), 0, wall).allowed).toBe(true)
  })

  it("always lets the client in after the seconds that Retry-After named, with nobody else around", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 3000 }),
        (perMinute, burst, gap) => {
          const limits = new RateLimits()
          const own = settings({ per_ip_requests_per_minute: perMinute, burst_size: burst, global_requests_per_minute: 0 })
          let now = 0
          for (let n = 0; n < 12; n++) {
            const verdict = limits.admit("a", own, now, wall)
            if (!verdict.allowed) {
              now += verdict.retryAfter * 1000
              expect(limits.admit("a", own, now, wall).allowed).toBe(true)
            }
            now += gap
          }
        }
      ),
      { numRuns: 200 }
    )
  })
})
