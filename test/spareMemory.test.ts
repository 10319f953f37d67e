import { describe, expect, it } from "vitest"
import { BodyBudget, BodyShare } from "../src/guard/BodyBudget.ts"
import { releaseMemory, SpareMemory } from "../src/spareMemory.ts"

const MiB = 1024 * 1024

describe("spare memory", () => {
  const setting = () => {
    const budget = new BodyBudget(() => 1024 * MiB)
    const memory = { resident: 100 * MiB, releases: 0 }
    const spare = new SpareMemory(
      budget,
      () => memory.resident,
      () => {
        memory.releases++
        memory.resident = 110 * MiB
      }
    )
    const share = () => new BodyShare(budget)
    return { spare, memory, share }
  }

  it("is given back once, when the bodies that filled it are gone and no more are coming", () => {
    const { spare, memory, share } = setting()
    const bodies = share()
    bodies.reserve(500 * MiB)
    memory.resident = 600 * MiB
    spare.look()
    bodies.release()
    // They were there a moment ago, and others may come.
    spare.look()
    expect(memory.releases).toBe(0)
    spare.look()
    spare.look()
    expect(memory.releases).toBe(1)
  })

  it("is left alone while it has hardly grown, or where no bodies were why", () => {
    const { spare, memory, share } = setting()
    memory.resident = 300 * MiB
    for (let n = 0; n < 3; n++) spare.look()
    const bodies = share()
    bodies.reserve(500 * MiB)
    bodies.release()
    memory.resident = 120 * MiB
    for (let n = 0; n < 3; n++) spare.look()
    expect(memory.releases).toBe(0)
  })

  it("is given back by the C library too, where it is glibc", () => {
    const { glibcVersionRuntime } = (process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } }).header
    expect(releaseMemory()).toBe(glibcVersionRuntime !== undefined)
  })
})
