/** An alias may lead to several models of one endpoint: it is asked for the first of them that can be asked for. */
import type { Candidate } from "../routing/Router.ts"

/** Candidates of one endpoint stand together, in order of the alias's targets. The same list where each has one. */
export const firstOfEach = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> => {
  for (let i = 1; i < candidates.length; i++)
    if (isAnother(candidates, i)) return candidates.filter((_, index) => index === 0 || !isAnother(candidates, index))
  return candidates
}

const isAnother = (candidates: ReadonlyArray<Candidate>, index: number): boolean =>
  candidates[index]?.endpoint === candidates[index - 1]?.endpoint
