/** Push every read out at once, or gather: by `proxy.profile`, the answer's type and the request's `stream` (docs/proxying.md). */
import type { OllaConfig } from "../config/OllaConfig.ts"

const streaming = [
  "text/event-stream",
  "application/x-ndjson",
  "application/stream+json",
  "application/json-seq",
  "text/plain; charset=utf-8"
]
const binaryStart = [
  "image/",
  "video/",
  "font/",
  "model/",
  "application/pdf",
  "application/zip",
  "application/gzip",
  "application/x-tar",
  "application/x-rar",
  "application/x-7z-compressed"
]
const binaryPart = [
  "application/octet-stream",
  "application/vnd.ms-excel",
  "application/vnd.openxmlformats-officedocument",
  "application/msword",
  "application/vnd.ms-powerpoint"
]

/** `audio` is played while it is generated. */
type Kind = "streaming" | "audio" | "binary" | "other"

const kindOf = (contentType: string): Kind => {
  const type = contentType.toLowerCase()
  if (streaming.some((part) => type.includes(part))) return "streaming"
  if (type.startsWith("audio/")) return "audio"
  return binaryStart.some((start) => type.startsWith(start)) || binaryPart.some((part) => type.includes(part)) ? "binary" : "other"
}

/** Content types whose kind is remembered: it takes twenty comparisons, and backends send the same few. */
const maxSpellings = 200
const known = new Map<string, Kind>()

const remembered = (contentType: string): Kind => {
  const found = known.get(contentType)
  if (found !== undefined) return found
  const kind = kindOf(contentType)
  if (known.size < maxSpellings) known.set(contentType, kind)
  return kind
}

export const flushes = (profile: OllaConfig["proxy"]["profile"], contentType: string, stream: boolean | undefined): boolean =>
  profile === "auto" ? stream === true || remembered(contentType) !== "binary" : profile === "streaming"

/**
 * Is the answer shown while it arrives? Then a proxy in front must be told not to buffer it: nginx would deliver it in one piece at the
 * end. `whole`: the backend has declared its length.
 */
export const isWatched = (contentType: string, stream: boolean | undefined, whole: boolean): boolean => {
  const kind = remembered(contentType)
  return kind === "streaming" || (!whole && (kind === "audio" || stream === true))
}
