import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { giveRequestBack, leave, remaining, requestsRefusal, spend, take, useRefusal } from "../../../src/guard/keys/KeyAdmission.ts"
import { KeyClient, KeyUse } from "../../../src/guard/keys/KeyClient.ts"
import { noRules } from "../../../src/guard/keys/KeyEntry.ts"

const minute = 60_000

const client = (rules: Partial<typeof noRules>, group?: Partial<typeof noRules>, use = new KeyUse(), shared = new KeyUse()) =>
  new KeyClient(
    { name: "ci", entry: undefined, rules: { ...noRules, ...rules }, use, drops: new Set() },
    group === undefined ? undefined : { of: { name: "team", ...noRules, ...group }, use: shared }
  )

const admits = (one: KeyClient, now: number): string | undefined => {
  const refused = requestsRefusal(one, now) ?? useRefusal(one, now)
  if (refused === undefined) take(one)
  return refused?.code
}

describe("limits of a client", () => {
  it("a refusal by the group takes nothing from the key, and says whose limit it was", () => {
    const shared = new KeyUse()
    const [a, b] = [
      client({ requestsPerMinute: 10, burst: 10 }, { requestsPerMinute: 1, burst: 1 }, new KeyUse(), shared),
      client({ requestsPerMinute: 10, burst: 10 }, { requestsPerMinute: 1, burst: 1 }, new KeyUse(), shared)
    ]
    expect(admits(a, 0)).toBeUndefined()
    expect(requestsRefusal(b, 0)).toMatchObject({ whose: "group", name: "team", limit: 1, retryAfter: 60 })
    expect(remaining(b, 0).requests).toBe(10)
  })

  it("a prompt above the whole limit passes once, and its debt is paid off in time", () => {
    const one = client({ tokensPerMinute: 100 })
    expect(admits(one, 0)).toBeUndefined()
    spend(one, 500, 0)
    expect(useRefusal(one, 0)).toMatchObject({ code: "tokens_exhausted", retryAfter: 241 })
    expect(useRefusal(one, 4 * minute)?.code).toBe("tokens_exhausted")
    expect(useRefusal(one, 4 * minute + 1_000)).toBeUndefined()
    // It never fills above its limit.
    expect(remaining(one, 100 * minute).tokens).toBe(100)
  })

  it("whatever order requests come and go in, places and buckets are exact at the end", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("begin" as const), prompt: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ kind: fc.constant("end" as const), which: fc.nat(), tokens: fc.integer({ min: 0, max: 80 }) }),
      fc.record({ kind: fc.constant("giveBack" as const), which: fc.nat() })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        // Time stands still: nothing is refilled, and every token is accounted for.
        const one = client({ requestsPerMinute: 1_000, burst: 1_000, maxConcurrent: 5, tokensPerMinute: 1_000 }, { maxConcurrent: 4 })
        const running: Array<number> = []
        let [requests, tokens] = [0, 0]
        const end = (index: number, used: number) => {
          const [reserved = 0] = running.splice(index % running.length, 1)
          spend(one, used - reserved, 0)
          tokens += used
          leave(one)
        }
        for (const each of steps)
          if (each.kind === "begin") {
            if (admits(one, 0) !== undefined) continue
            spend(one, each.prompt, 0)
            running.push(each.prompt)
            requests++
          } else if (running.length > 0) {
            if (each.kind === "giveBack") {
              giveRequestBack(one)
              requests--
            }
            end(each.which, each.kind === "end" ? each.tokens : 0)
          }
        expect(one.use.inFlight).toBe(running.length)
        expect(one.use.inFlight).toBeLessThanOrEqual(4)
        while (running.length > 0) end(0, 1)
        expect(one.limited.map(({ use }) => use.inFlight)).toEqual([0, 0])
        expect(remaining(one, 0).requests).toBe(1_000 - requests)
        if (one.use.tokens !== undefined) expect(one.use.tokens.tokens).toBe(1_000 - tokens)
      })
    )
  })
})
