/** Which answers are pushed out at once, and which of them a proxy in front must not gather either. */
import { describe, expect, it } from "vitest"
import { flushes, isWatched } from "../../src/proxy/FlushMode.ts"

const streaming = [
  "text/event-stream",
  "Text/Event-Stream; charset=utf-8",
  "application/x-ndjson",
  "application/stream+json",
  "application/json-seq",
  "text/plain; charset=utf-8"
]
const binary = [
  ...["image/png", "video/mp4", "font/woff2", "model/gltf", "application/pdf", "application/zip", "application/gzip"],
  ...[
    "application/x-tar",
    "application/x-rar",
    "application/x-7z-compressed",
    "application/octet-stream",
    "binary; application/octet-stream"
  ],
  ...["application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.x", "application/msword", "application/vnd.ms-powerpoint"]
]
const audio = ["audio/wav", "Audio/MPEG", "audio/pcm; rate=24000"]
const other = ["application/json", "text/html", "text/plain", "x/unknown", ""]

describe("whether an answer is pushed out at once", () => {
  it.each([...streaming, ...audio, ...binary, ...other])("%s is, or is not, by the profile alone where that says so", (type) => {
    for (const stream of [true, false, undefined]) {
      expect(flushes("standard", type, stream)).toBe(false)
      expect(flushes("streaming", type, stream)).toBe(true)
    }
  })

  it.each([...streaming, ...audio, ...other])("%s is under auto", (type) => {
    for (const stream of [true, false, undefined]) expect(flushes("auto", type, stream)).toBe(true)
  })

  it.each(binary)("%s is under auto only for a request that wants a stream", (type) => {
    expect([true, false, undefined].map((stream) => flushes("auto", type, stream))).toEqual([true, false, false])
  })
})

describe("whether somebody watches an answer come", () => {
  const of = (type: string) => [true, false, undefined].flatMap((stream) => [true, false].map((whole) => isWatched(type, stream, whole)))

  it.each(streaming)("%s: always", (type) => {
    expect(of(type)).toEqual(Array(6).fill(true))
  })

  it.each(audio)("%s: where its length is not known before", (type) => {
    expect(of(type)).toEqual([false, true, false, true, false, true])
  })

  it.each([...binary, ...other])("%s: where the request wants a stream, and the length is not known before", (type) => {
    expect(of(type)).toEqual([false, true, false, false, false, false])
  })
})
