/** A limit has passed when it has passed on a loop that ran. */
import { describe, expect, it } from "vitest"
import { afterLimit } from "../../../src/proxy/client/PatientTimer.ts"
import { holdUp } from "../rig.ts"

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
})
