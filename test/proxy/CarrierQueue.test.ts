/** Requests that wait, and those who leave: nothing is left of them. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { describe, expect } from "vitest"
import { Carrier } from "../../src/proxy/Carrier.ts"
import { answers, carrying, fails, hangs, Scene } from "./carrying.ts"

const model = { inspection: { model: "m", spelling: "m" } } as const

const limited = (names: ReadonlyArray<string>, limit: number, traffic = ""): Scene => {
  const scene = new Scene("", traffic)
  for (const name of names) {
    const endpoint = scene.add(name)
    endpoint.spec = { ...endpoint.spec, maxConcurrent: limit }
  }
  return scene
}

describe("whoever leaves, in whatever phase", () => {
  it.effect("leaves nothing behind", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ fate: fc.constantFrom("hangs", "answers", "fails"), leave: fc.boolean(), after: fc.nat(3_000) }), {
            minLength: 3,
            maxLength: 12
          }),
          (requests) => {
            const scene = limited(["a", "b"], 1, "queue: { max_wait: 2s, max_waiting: 5 }")
            let asked = 0
            for (const name of ["a", "b"])
              scene.fates.set(name, () => {
                const { fate } = requests[asked++ % requests.length] as (typeof requests)[number]
                return fate === "hangs" ? hangs : fate === "fails" ? fails("reset") : answers()
              })
            return Effect.runPromise(
              Effect.gen(function* () {
                const { carry } = yield* carrying
                const { queue } = yield* Carrier
                const running = []
                for (const { after } of requests) {
                  running.push(yield* Effect.forkChild(Effect.exit(carry(scene.request(model)))))
                  yield* TestClock.adjust(after)
                  for (const { inFlight } of scene.fleet.endpoints) expect(inFlight).toBeLessThanOrEqual(1)
                }
                for (const [index, { leave }] of requests.entries())
                  if (leave) yield* Fiber.interrupt(running[index] as Fiber.Fiber<unknown>)
                yield* TestClock.adjust(10_000)
                for (const fiber of running) yield* Fiber.interrupt(fiber)
                expect([queue.size, ...scene.fleet.endpoints.map(({ inFlight, host }) => inFlight + host.inFlight)]).toEqual([0, 0, 0])
              }).pipe(Effect.provide(scene.layer), Effect.provide(TestClock.layer()))
            )
          }
        ),
        { numRuns: 60 }
      )
    )
  )
})

it.effect("without limits nobody waits, and no timer is started", () => {
  const scene = new Scene()
  scene.add("a")
  return Effect.gen(function* () {
    const { carry } = yield* carrying
    const { queue } = yield* Carrier
    const request = scene.request(model)
    yield* carry(request)
    expect([queue.size, request.exchange.waits.length]).toEqual([0, 0])
  }).pipe(Effect.provide(scene.layer))
})
