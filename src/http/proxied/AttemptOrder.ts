/** In which order endpoints are tried for a request that some of them answer natively and others in translation. */
import { accepts } from "../../endpoint/Endpoint.ts"
import type { Candidate } from "../../routing/Router.ts"
import type { RequestRules } from "../../routing/Rules.ts"
import type { Conversation } from "../../translation/Translator.ts"

type Group = ReadonlyArray<Candidate>

/** Those that a rule wants to be asked before others, and the others. */
export const preferredFirst = (candidates: Group, rules: RequestRules | undefined): ReadonlyArray<Group> => {
  if (rules === undefined) return [candidates]
  const isPreferred = ({ endpoint, target }: Candidate) => rules.of(target).prefers(endpoint)
  const preferred = candidates.filter(isPreferred)
  if (preferred.length === 0 || preferred.length === candidates.length) return [candidates]
  return [preferred, candidates.filter((candidate) => !isPreferred(candidate))]
}

/** By falling priority; candidates keep their order. */
export const tiersOf = (candidates: Group): ReadonlyArray<Group> => {
  const tiers = new Map<number, Array<Candidate>>()
  for (const candidate of candidates) {
    const { priority } = candidate.endpoint
    const tier = tiers.get(priority)
    if (tier === undefined) tiers.set(priority, [candidate])
    else tier.push(candidate)
  }
  return [...tiers].sort(([a], [b]) => b - a).map(([, tier]) => tier)
}

/**
 * Groups of which the next is tried when nobody of the one before could be reached: of each tier those who answer natively, then the
 * others, as far as the request can be said to them. Whether it can is asked only when it is their turn.
 */
export function* attemptGroups(
  tiers: ReadonlyArray<Group>,
  { isNative, complaintFor }: Pick<Conversation, "isNative" | "complaintFor">
): Generator<Group, undefined> {
  for (const tier of tiers) {
    const natives = tier.filter(({ endpoint }) => isNative(endpoint))
    if (natives.length > 0) yield natives
    if (natives.length === tier.length) continue
    const others = tier.filter(
      (candidate) => !natives.includes(candidate) && accepts(candidate.endpoint) && complaintFor(candidate) === undefined
    )
    if (others.length > 0) yield others
  }
}
