/** Hard rules hold whatever is up, whoever has the model, and however far a chain has come. */
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import type { Status } from "../../src/endpoint/EndpointState.ts"
import type { ChainReason } from "../../src/routing/Chain.ts"
import { Eligibility, unconstrained } from "../../src/routing/Eligibility.ts"
import { admitted } from "../../src/routing/Placement.ts"
import type { Candidate } from "../../src/routing/Router.ts"
import { decideAlias, decideChain } from "../../src/routing/Routing.ts"
import { RuleBook } from "../../src/routing/Rules.ts"
import { ListedFleet } from "../catalogue/fakes.ts"
import { runs } from "../propertyRuns.ts"

const models = ["m", "n", "o"]
const zones = ["a", "b", "c"]
const reasons: ReadonlyArray<ChainReason> = ["unavailable", "saturated", "rate_limited", "failed", "context"]

const rules = fc.array(
  fc
    .record({ match: fc.subarray(models), require: fc.constantFrom("", ...zones), deny: fc.constantFrom("", ...zones) })
    .map(({ match, require, deny }) => ({
      match: { model: match },
      ...(require === "" ? {} : { require: { zone: require } }),
      ...(deny === "" ? {} : { deny: { zone: deny } })
    })),
  { minLength: 1, maxLength: 3 }
)
const endpoints = fc.array(
  fc.record({
    zone: fc.constantFrom("", ...zones),
    has: fc.subarray(models),
    status: fc.constantFrom<Status>("healthy", "busy", "offline", "warming")
  }),
  { minLength: 1, maxLength: 5 }
)

it("nobody whom a rule keeps out is ever a candidate, and nobody else is left out", () => {
  fc.assert(
    fc.property(
      rules,
      endpoints,
      fc.array(fc.constantFrom(...reasons), { maxLength: 4 }),
      fc.boolean(),
      (written, given, moves, discovers) => {
        const { config } = decodeConfig(JSON.stringify({ traffic: { rules: written } }), "c.json", {})
        const configured = config?.traffic.rules ?? []
        const fleet = new ListedFleet()
        for (const [index, { zone, has, status }] of given.entries())
          fleet.with(`e${index}`, "ollama", has, { status, labels: zone === "" ? {} : { zone } })
        const request = { asked: "any", model: "any", key: "", client: "10.0.0.1", headers: () => [], promptTokens: () => 0 }
        const own = new RuleBook(() => configured).rules?.forRequest(request)
        const may = ({ endpoint, target }: Candidate) =>
          configured.every(({ match, require, deny }) => {
            if (match.model.length > 0 && !match.model.includes(target ?? "")) return true
            const zone = endpoint.spec.labels["zone"]
            return (require["zone"] === undefined || require["zone"] === zone) && (deny["zone"] === undefined || deny["zone"] !== zone)
          })
        const eligibilityOf = (policy: "chain" | "pool") =>
          new Eligibility(fleet.snapshot({ aliases: { any: { policy, targets: models, on: reasons } } }), fleet.endpoints, unconstrained, {
            model: "any",
            spelling: "any",
            field: "model",
            stream: undefined,
            capabilities: []
          })
        const chained = eligibilityOf("chain")
        const begun = decideChain({ preferring: chained, anyPath: () => chained, rules: own, prompted: undefined, discovers })
        const seen = [...(begun?.candidates ?? [])]
        for (const reason of moves) seen.push(...(begun?.chain?.next(reason)?.candidates ?? []))
        expect(seen.every(may)).toBe(true)

        const pool = decideAlias(eligibilityOf("pool"), true)?.candidates ?? []
        expect(admitted(pool, own)).toEqual(pool.filter(may))
        // A chain finds somebody wherever a pool of the same targets would.
        if (discovers) expect((begun?.candidates.length ?? 0) > 0).toBe(pool.some(may))
      }
    ),
    { numRuns: runs(500) }
  )
})
