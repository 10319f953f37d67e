/**
 * Which kind an `auto` endpoint is, on evidence. What proves a kind is its profile's: a path to ask, marks that the answer must have, and
 * the place among the proofs of all kinds. Paths are asked in the order of their first proof; the first proof that holds decides.
 */
import type { DetectionProof, Profile } from "./Profile.ts"

export type HeaderOf = (name: string) => string | undefined

export interface DetectionProbe {
  readonly path: string
  /** What a 200 answer with this JSON proves; `undefined`: nothing, go on. */
  readonly judge: (body: unknown, headerOf?: HeaderOf) => Proved | undefined
}

export interface Proved {
  readonly profile: Profile
  readonly isListing: boolean
}

export interface Detection {
  readonly probes: ReadonlyArray<DetectionProbe>
  /** An explicit `model_url`: that answer alone, judged by the same evidence. */
  readonly judgeListing: DetectionProbe["judge"]
}

type Json = { readonly [key: string]: unknown }

const record = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {})

const noHeaders: HeaderOf = () => undefined

const holds = (proof: DetectionProof, body: unknown, headerOf: HeaderOf): boolean => {
  const { lists, lacks, entryFields, owners, text, header } = proof
  const fields = record(body)
  if (text !== "" && body !== text) return false
  if (!lists.every((list) => Array.isArray(fields[list]))) return false
  if (lacks !== "" && Array.isArray(fields[lacks])) return false
  if (header !== "" && !hasHeader(header, headerOf)) return false
  if (entryFields.length === 0 && owners.length === 0) return true
  const data = fields["data"]
  const entries = Array.isArray(data) ? data.map(record) : []
  if (owners.length > 0 && !entries.some(({ owned_by: owner }) => typeof owner === "string" && owners.includes(owner))) return false
  return (
    entryFields.length === 0 || entries.some((entry) => entryFields.some((field) => entry[field] !== undefined && entry[field] !== null))
  )
}

const hasHeader = (wanted: string, headerOf: HeaderOf): boolean => {
  const colon = wanted.indexOf(":")
  const value = headerOf((colon < 0 ? wanted : wanted.slice(0, colon)).trim().toLowerCase())
  return (
    value !== undefined &&
    (colon < 0 ||
      value.toLowerCase().startsWith(
        wanted
          .slice(colon + 1)
          .trim()
          .toLowerCase()
      ))
  )
}

interface Candidate {
  readonly profile: Profile
  readonly proof: DetectionProof
}

const judgeBy =
  (candidates: ReadonlyArray<Candidate>): DetectionProbe["judge"] =>
  (body, headerOf = noHeaders) => {
    const found = candidates.find(({ proof }) => holds(proof, body, headerOf))
    return found === undefined ? undefined : { profile: found.profile, isListing: found.proof.isListing }
  }

const made = new WeakMap<ReadonlyArray<Profile>, Detection>()

/** Of a closed set of profiles; of equal places the one whose profile comes first. */
export const detectionOf = (profiles: ReadonlyArray<Profile>): Detection => {
  const known = made.get(profiles)
  if (known !== undefined) return known
  const all = profiles
    .flatMap((profile) => profile.proofs.map((proof): Candidate => ({ profile, proof })))
    .sort((a, b) => a.proof.place - b.proof.place)
  const paths = [...new Set(all.map(({ proof }) => proof.path))].filter((path) => path !== "")
  const detection: Detection = {
    probes: paths.map((path) => ({ path, judge: judgeBy(all.filter(({ proof }) => proof.path === path)) })),
    judgeListing: judgeBy(all.filter(({ proof }) => proof.anywhere))
  }
  made.set(profiles, detection)
  return detection
}
