/** Whatever backends do, each on its own: nobody else is touched, everybody is probed again, and all heal. */
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { expect, it } from "vitest"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { restartDelays } from "../../src/endpoint/Supervision.ts"
import { failure } from "../../src/exchange/Failure.ts"
import { answer, askedAt, type Backend, endpointAt, fleetLayer, hanging, ollama, refused, type World, world } from "./fakeFleet.ts"

const moods: Readonly<Record<string, Backend>> = {
  well: ollama("m"),
  refusing: () => refused,
  hanging: () => hanging,
  failing: () => answer(500),
  locked: () => answer(401),
  limited: () => answer(429, "", { retryAfter: "20" }),
  "badly limited": () => answer(429, "", { retryAfter: "soon" }),
  slow: (path, request) => Effect.delay(ollama("m")(path, request), "1900 millis"),
  "slower than it may": (path, request) => Effect.delay(ollama("m")(path, request), "3 seconds"),
  "without a list": (path) => (path === "/" ? answer(200) : answer(200, {})),
  "with a broken list": (path) => (path === "/" ? answer(200) : answer(200, "[")),
  "with a hanging list": (path) => (path === "/" ? answer(200) : hanging),
  "a trap in the probe": (path, request) => (path === "/" ? Effect.die(new Error("bug")) : ollama("m")(path, request)),
  "a trap in the listing": (path) => (path === "/" ? answer(200) : Effect.die(new Error("bug")))
}

const hosts = ["a", "b", "c"] as const

interface Change {
  /** Seconds after the one before. */
  readonly after: number
  readonly host: (typeof hosts)[number]
  readonly mood: string
  /** And traffic meets it. */
  readonly attempt: boolean
}

const changes: fc.Arbitrary<ReadonlyArray<Change>> = fc.array(
  fc.record({
    after: fc.nat(20),
    host: fc.constantFrom(...hosts),
    mood: fc.constantFrom(...Object.keys(moods)),
    attempt: fc.boolean()
  }),
  { minLength: 1, maxLength: 25 }
)

const live = (here: World, script: ReadonlyArray<Change>): Effect.Effect<void, never, Fleet> =>
  Effect.gen(function* () {
    const fleet = yield* Fleet
    let second = 0
    const pass = Effect.fnUntraced(function* (seconds: number) {
      for (let n = 0; n < seconds; n++) {
        yield* TestClock.adjust("1 second")
        second++
        for (const { state, restarts } of fleet.endpoints) {
          expect(state.nextCheck).toBeLessThanOrEqual(second * 1000 + 60_000)
          // What is due is asked, but for the time that a probe with its retries takes, and a crashed actor's pause.
          const pause = !restarts ? 0 : Math.min(restartDelays.first * 2 ** (restarts - 1), restartDelays.longest)
          expect(state.nextCheck).toBeGreaterThan((second - 4) * 1000 - pause)
        }
      }
    })
    yield* pass(2)
    for (const { after, host, mood, attempt } of script) {
      yield* pass(after)
      here.backends[host] = moods[mood] as Backend
      if (attempt) endpointAt(fleet, host).attemptFailed({ failure: failure("refused", "ECONNREFUSED"), startedAt: second * 1000 })
    }
    yield* pass(5)
    for (const host of hosts) here.backends[host] = ollama("m", "n")
    // The longest back-off, a last hanging listing, and the crash's own pause.
    yield* pass(130)
    // A listing that kept failing is asked again after min(interval * 2^k, 1 h) from its last failure, and no later.
    const latest = second + 3600
    while (second < latest && hosts.some((host) => endpointAt(fleet, host).discoveryDisabled)) yield* pass(1)
    for (const host of hosts) {
      const endpoint = endpointAt(fleet, host)
      expect([host, endpoint.state.status, endpoint.state.consecutiveFailures, endpoint.state.lastError]).toEqual([host, "healthy", 0, ""])
      expect([host, endpoint.models.map(({ name }) => name), endpoint.listingIssue]).toEqual([host, ["m", "n"], ""])
    }
    const beats = Array.from({ length: Math.floor(second / 5) + 1 }, (_, n) => n * 5)
    expect(askedAt(here, "steady", "/")).toEqual(beats)
    expect(endpointAt(fleet, "steady")).toMatchObject({ state: { status: "healthy" }, models: [{ name: "m" }], restarts: 0 })
  })

it("a fleet in any trouble heals, and its steady member never notices", async () => {
  await fc.assert(
    fc.asyncProperty(changes, async (script) => {
      const here = world({ steady: ollama("m"), a: ollama("m"), b: ollama("m"), c: ollama("m") })
      const entries = [{ host: "steady" }, ...hosts.map((host) => ({ host }))]
      const fleet = fleetLayer(here, entries, "interval: 30s, timeout: 10s, retry_attempts: 1")
      await Effect.runPromise(live(here, script).pipe(Effect.provide(fleet), Effect.provide(TestClock.layer())))
    }),
    { numRuns: 15 }
  )
})
