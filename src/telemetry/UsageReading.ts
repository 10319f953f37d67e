/** Reads usage figures from an exchange's kept bytes, by the endpoint's profile. */
import type { Exchange } from "../exchange/Exchange.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import { extractUsage } from "../profile/UsageExtraction.ts"
import type { ReadUsage } from "./Usage.ts"

/** Bytes of a body that are looked at. */
const most = 1024 * 1024

const none = Buffer.alloc(0)
const line = Buffer.from("\n")

/** The kept bytes. They are a body's own: engines keep payload, never the frames around it. */
export const keptBytes = ({ head, tail }: Exchange["kept"]): Buffer => {
  const [only] = tail
  const size = tail.reduce((sum, part) => sum + part.length, 0)
  if (only === undefined || size > most) return none
  // The head is a part of its own once the tail has moved on.
  if (head !== undefined && head !== only) return Buffer.concat([head, line, ...tail])
  return tail.length === 1 && Buffer.isBuffer(only) ? only : Buffer.concat(tail)
}

export const readUsage =
  (profiles: ProfileSet): ReadUsage =>
  (exchange, attempt) => {
    if (attempt.endpointType === "" && attempt.profileName === "") return undefined
    const profile = profiles.byName(attempt.profileName) ?? profiles.generic
    if (profile === undefined) return undefined
    const { kept } = exchange
    const { timings } = attempt
    const responseMs = timings.started > 0 && timings.lastByte > timings.started ? timings.lastByte - timings.started : 0
    return extractUsage(profile, { contentType: kept.contentType, bytes: () => keptBytes(kept), headers: kept.headers, responseMs })
  }
