import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { searchEvery, untilFound } from "../src/localSearch.ts"
import { settle } from "./endpoint/fakeFleet.ts"

describe("a search for servers on this machine", () => {
  it.effect("goes on while there are none, and is over with the first that is found", () =>
    Effect.gen(function* () {
      let looks = 0
      let found = 0
      yield* Effect.forkChild(
        untilFound(
          async () => ++looks === 3,
          () => true,
          Effect.sync(() => found++)
        )
      )
      yield* settle
      expect(looks).toBe(0)
      for (let n = 1; n <= 5; n++) {
        yield* TestClock.adjust(searchEvery)
        yield* Effect.promise(() => new Promise(setImmediate))
        yield* settle
        expect([looks, found]).toEqual([Math.min(n, 3), n >= 3 ? 1 : 0])
      }
    })
  )
  it.effect("is over when a configuration says which there are", () =>
    Effect.gen(function* () {
      let looks = 0
      yield* Effect.forkChild(
        untilFound(
          async () => ++looks > 9,
          () => false,
          Effect.void
        )
      )
      yield* TestClock.adjust(3 * searchEvery)
      yield* settle
      expect(looks).toBe(0)
    })
  )
})
