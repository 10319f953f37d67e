/** What rules leave of a decision: endpoints that a request may not go to are none of its candidates, whatever else happens. */
import type { RoutingVerdict } from "../exchange/Exchange.ts"
import type { Candidate, Decision } from "./Router.ts"
import type { RequestRules } from "./Rules.ts"

/** The same list where nobody is left out. */
export const admitted = (candidates: ReadonlyArray<Candidate>, rules: RequestRules | undefined): ReadonlyArray<Candidate> => {
  if (rules === undefined) return candidates
  const may = ({ endpoint, target }: Candidate) => rules.of(target).admits(endpoint)
  for (const candidate of candidates) if (!may(candidate)) return candidates.filter(may)
  return candidates
}

export const unsatisfied = (strategy: RoutingVerdict["strategy"]): Decision => ({
  candidates: [],
  verdict: { strategy, action: "rejected", reason: "placement_unsatisfied", status: 503 }
})
