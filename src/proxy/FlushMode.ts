/** Push every read out at once, or gather: by `proxy.profile`, the answer's type and the request's `stream` (proxying.md 11.2). */
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
  "audio/",
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

export const flushes = (profile: OllaConfig["proxy"]["profile"], contentType: string, stream: boolean | undefined): boolean => {
  if (profile !== "auto") return profile === "streaming"
  const type = contentType.toLowerCase()
  if (streaming.some((part) => type.includes(part)) || stream === true) return true
  return !(binaryStart.some((start) => type.startsWith(start)) || binaryPart.some((part) => type.includes(part)))
}
