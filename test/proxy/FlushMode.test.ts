/** The detection table of proxying.md 11.2. */
import { describe, expect, it } from "vitest"
import { flushes } from "../../src/proxy/FlushMode.ts"

const streaming = [
  "text/event-stream",
  "Text/Event-Stream; charset=utf-8",
  "application/x-ndjson",
  "application/stream+json",
  "application/json-seq",
  "text/plain; charset=utf-8"
]
const binary = [
  ...["image/png", "video/mp4", "audio/wav", "font/woff2", "model/gltf", "application/pdf", "application/zip", "application/gzip"],
  ...[
    "application/x-tar",
    "application/x-rar",
    "application/x-7z-compressed",
    "application/octet-stream",
    "binary; application/octet-stream"
  ],
  ...["application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.x", "application/msword", "application/vnd.ms-powerpoint"]
]
const other = ["application/json", "text/html", "text/plain", "x/unknown", ""]

describe("whether an answer is pushed out at once", () => {
  it.each([...streaming, ...binary, ...other])("%s is, or is not, by the profile alone where that says so", (type) => {
    for (const stream of [true, false, undefined]) {
      expect(flushes("standard", type, stream)).toBe(false)
      expect(flushes("streaming", type, stream)).toBe(true)
    }
  })

  it.each([...streaming, ...other])("%s is under auto", (type) => {
    for (const stream of [true, false, undefined]) expect(flushes("auto", type, stream)).toBe(true)
  })

  it.each(binary)("%s is under auto only for a request that wants a stream", (type) => {
    expect([true, false, undefined].map((stream) => flushes("auto", type, stream))).toEqual([true, false, false])
  })
})
