import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import { describe } from "vitest"
import type { DnsEntry } from "../../src/endpoint/DnsEntry.ts"
import type { DnsFound } from "../../src/endpoint/DnsLookup.ts"
import { makeDnsSource } from "../../src/endpoint/DnsSource.ts"
import type { EndpointSpec } from "../../src/endpoint/EndpointSpec.ts"

const pattern = { name: "", origin: { tls: undefined } } as EndpointSpec
const entry = (name: string, interval = 30_000): DnsEntry => ({ name, port: 80, scheme: "http", resolver: undefined, interval, pattern })

const found = (addresses: ReadonlyArray<string>, ttl?: number): DnsFound => ({
  targets: addresses.map((address) => ({ address, port: 80, host: "h" })),
  ttl,
  problem: undefined
})
const failed: DnsFound = { targets: [], ttl: undefined, problem: "SERVFAIL" }

/** A source whose names lead where `answers` says, what it told, and how often it looked and brought something into force. */
const rig = Effect.fnUntraced(function* (answers: Record<string, DnsFound>) {
  const counts = { looked: 0, brought: 0 }
  const source = yield* makeDnsSource(
    ({ name }) => {
      counts.looked++
      return Promise.resolve(answers[name] ?? failed)
    },
    () => 1_000
  )
  source.whenChanged(Effect.sync(() => void counts.brought++))
  const names = () => source.specs().map(({ name }) => name)
  // Promises of the look-ups end between two turns of the clock.
  const pass = (millis: number) =>
    TestClock.adjust(millis).pipe(Effect.andThen(Effect.promise(() => new Promise((done) => setImmediate(done)))))
  return { source, counts, names, pass }
})

const telling = <A, E, R>(run: (told: Array<string>) => Effect.Effect<A, E, R>) => {
  const told: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    told.push(`${logLevel} ${(Array.isArray(message) ? message : [message])[0]}`)
  })
  return run(told).pipe(Effect.provide(Logger.layer([logger])))
}

describe("names that stand for endpoints", () => {
  it.effect("are looked up again after the records' time, the interval at most and a second at least", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const answers: Record<string, DnsFound> = { a: found(["10.0.0.1"], 5_000) }
        const { source, counts, names, pass } = yield* rig(answers)
        yield* source.update([entry("a")])
        expect([counts, names()]).toEqual([{ looked: 1, brought: 0 }, ["10.0.0.1:80"]])
        yield* pass(4_900)
        expect(counts.looked).toBe(1)
        answers["a"] = found(["10.0.0.2"], 0)
        yield* pass(100)
        expect([counts, names()]).toEqual([{ looked: 2, brought: 1 }, ["10.0.0.2:80", "10.0.0.1:80"]])
        answers["a"] = found(["10.0.0.2"], 3_600_000)
        yield* pass(1_000)
        expect([counts, names()]).toEqual([{ looked: 3, brought: 2 }, ["10.0.0.2:80"]])
        yield* pass(29_900)
        expect(counts.looked).toBe(3)
        yield* pass(100)
        expect(counts).toEqual({ looked: 4, brought: 2 })
      })
    )
  )

  it.effect("lose an endpoint that two answers in turn have not got, so that names which tell each time of another part keep theirs", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const answers: Record<string, DnsFound> = { a: found(["10.0.0.1"], 0) }
        const { source, counts, names, pass } = yield* rig(answers)
        yield* source.update([entry("a")])
        for (let turn = 0; turn < 6; turn++) {
          answers["a"] = found([turn % 2 === 0 ? "10.0.0.2" : "10.0.0.1"], 3_600_000)
          yield* pass(1_000)
          expect([names().toSorted(), counts.brought]).toEqual([["10.0.0.1:80", "10.0.0.2:80"], 1])
        }
        yield* pass(1_000)
        expect([names(), counts.brought]).toEqual([["10.0.0.1:80"], 2])
      })
    )
  )

  it.effect("keep their endpoints while they cannot be looked up, which is told once", () =>
    telling((told) =>
      Effect.scoped(
        Effect.gen(function* () {
          const answers: Record<string, DnsFound> = { a: found(["10.0.0.1"], 1_000) }
          const { source, names, counts, pass } = yield* rig(answers)
          yield* source.update([entry("a")])
          answers["a"] = failed
          yield* pass(1_000)
          yield* pass(1_000)
          yield* pass(1_000)
          expect([names(), counts.brought]).toEqual([["10.0.0.1:80"], 0])
          expect(source.statuses()).toEqual([{ name: "a", endpoints: 1, resolvedAt: 1_000, lastError: "SERVFAIL" }])
          answers["a"] = found(["10.0.0.1"])
          yield* pass(1_000)
          expect(source.statuses()).toMatchObject([{ lastError: undefined }])
          expect(told).toEqual([
            "Info A DNS name leads elsewhere",
            "Warn A DNS name cannot be looked up, its endpoints stay as they are",
            "Info A DNS name can be looked up again"
          ])
        })
      )
    )
  )

  it.effect("come and go with the configuration, in its order", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { source, counts, names, pass } = yield* rig({ a: found(["10.0.0.1"]), b: found(["10.0.0.2"]) })
        yield* source.update([entry("a"), entry("nobody")])
        expect(source.statuses()).toMatchObject([{ name: "a" }, { name: "nobody", endpoints: 0, resolvedAt: 0, lastError: "SERVFAIL" }])
        yield* source.update([entry("b"), { ...entry("a"), pattern: { ...pattern, priority: 9 } }])
        // What is known of a stays, and is said otherwise now.
        expect([names(), counts.looked]).toEqual([["10.0.0.2:80", "10.0.0.1:80"], 3])
        expect(source.specs()[1]).toMatchObject({ priority: 9 })
        yield* source.update([])
        yield* pass(3_600_000)
        expect([names(), counts.looked]).toEqual([[], 3])
      })
    )
  )

  it.effect("have 256 addresses at most, and say when there are more", () =>
    telling((told) =>
      Effect.scoped(
        Effect.gen(function* () {
          const addresses = Array.from({ length: 300 }, (_, n) => `10.0.${n >> 8}.${n & 255}`)
          const { source, names, pass } = yield* rig({ a: found(addresses) })
          yield* source.update([entry("a")])
          yield* pass(30_000)
          expect(names()).toHaveLength(256)
          expect(told.filter((line) => line.startsWith("Warn"))).toEqual([
            "Warn A DNS name has more than 256 addresses, the rest is left out"
          ])
        })
      )
    )
  )
})
