/** Reads usage figures from an exchange's kept bytes, by the endpoint's profile. */
import type { Exchange } from "../exchange/Exchange.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import { extractUsage } from "../profile/UsageExtraction.ts"
import type { ReadUsage } from "./Usage.ts"

/** Bytes of a body that are looked at. */
const most = 1024 * 1024

/** The kept bytes as text. They are a body's own: engines keep payload, never the frames around it. */
export const keptText = (kept: Exchange["kept"]): string => {
  const parts = kept.tail.map((part) => Buffer.from(part.buffer, part.byteOffset, part.length))
  // The head is a part of its own once the tail has moved on.
  const apart = kept.head !== undefined && kept.head !== kept.tail[0]
  const bytes = Buffer.concat(parts)
  if (bytes.length > most) return ""
  return `${apart ? `${Buffer.from(kept.head ?? []).toString("utf8")}\n` : ""}${bytes.toString("utf8")}`
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
    return extractUsage(profile, { contentType: kept.contentType, text: () => keptText(kept), headers: kept.headers, responseMs })
  }
