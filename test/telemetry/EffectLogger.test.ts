import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as EffectLogger from "../../src/telemetry/EffectLogger.ts"
import type { Fields, Level, LogSink } from "../../src/telemetry/LogSink.ts"

const recording = (enabled: (level: Level, detail?: boolean) => boolean = () => true) => {
  const records: Array<readonly [Level, string, Fields, boolean]> = []
  const sink: LogSink = {
    enabled,
    write: (level, message, fields = {}, detail = false) => void records.push([level, message, fields, detail]),
    filed: () => false,
    file: () => {},
    forPeople: false,
    table: () => {},
    flush: () => {}
  }
  return { records, sink }
}

describe("Effect's logger", () => {
  it.effect("hands over level, words, fields and annotations", () => {
    const { records, sink } = recording()
    return Effect.gen(function* () {
      yield* Effect.logDebug("small")
      yield* Effect.logWarning("Endpoint status changed: desk", { status: "offline", was: "healthy" })
      yield* Effect.logInfo("in a request").pipe(Effect.annotateLogs("request_id", "r1"))
      yield* Effect.logError("broke", new Error("why"))
      yield* Effect.logInfo("detailed", { a: 1 }).pipe(Effect.annotateLogs("detail", true))
      expect(records).toEqual([
        ["debug", "small", {}, false],
        ["warn", "Endpoint status changed: desk", { status: "offline", was: "healthy" }, false],
        ["info", "in a request", { request_id: "r1" }, false],
        ["error", "broke", { error: new Error("why") }, false],
        ["info", "detailed", { a: 1 }, true]
      ])
    }).pipe(Effect.provide(EffectLogger.layer(sink)))
  })

  it.effect("asks the sink before it builds a record", () => {
    const { records, sink } = recording((level) => level === "error")
    return Effect.gen(function* () {
      yield* Effect.logInfo("no")
      yield* Effect.logError("yes")
      expect(records.map(([, message]) => message)).toEqual(["yes"])
    }).pipe(Effect.provide(EffectLogger.layer(sink)))
  })
})
