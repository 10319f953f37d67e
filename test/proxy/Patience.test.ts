/** A limit has passed when it has passed on a loop that ran. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "vitest"
import { afterLimit, patientClock } from "../../src/proxy/Patience.ts"
import { holdUp } from "./rig.ts"

const looped = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))

describe("a limit", () => {
  it("expires, not before its time", async () => {
    const started = performance.now()
    await new Promise<void>((resolve) => afterLimit(20, resolve))
    expect(performance.now() - started).toBeGreaterThanOrEqual(19)
  })

  it("that passed while the loop was held up expires only at the second look, and may be called off until then", async () => {
    let expired = 0
    const callOff = afterLimit(20, () => expired++)
    const waits = new Promise<void>((resolve) => afterLimit(20, resolve))
    holdUp(200)
    await looped()
    expect(expired).toBe(0)
    callOff()
    await waits
    expect(expired).toBe(0)
  })

  it("is one of a fiber's as well, and does not outlive it", async () => {
    const fiber = Effect.runFork(patientClock.sleep(Duration.millis(20)))
    holdUp(200)
    await looped()
    expect(fiber.pollUnsafe()).toBeUndefined()
    fiber.interruptUnsafe()
    await looped()
    expect(fiber.pollUnsafe()?._tag).toBe("Failure")
  })
})
