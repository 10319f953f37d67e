/** An alias whose targets are a chain: which target has its turn, and for which reasons it goes on. */
import { describe, expect, it } from "vitest"
import { Chain, type ChainReason, type PromptSize } from "../../src/routing/Chain.ts"
import { FakeFleet } from "../balancing/fakes.ts"

const fleet = new FakeFleet()
const endpoint = fleet.add("a")
const everyReason: ReadonlyArray<ChainReason> = ["unavailable", "saturated", "rate_limited", "failed", "context"]

interface World {
  /** Contexts of the lanes of each target; `undefined`: of unknown length. */
  readonly lanes: ReadonlyArray<ReadonlyArray<number | undefined>>
  readonly on?: ReadonlyArray<ChainReason>
  readonly prompt?: PromptSize
}

const chainOf = ({ lanes, on = everyReason, prompt = { bytes: 600, hasImage: false } }: World) => {
  const targets = lanes.map((_, index) => `t${index}`)
  return new Chain(
    { name: "best", targets, on },
    {
      serving: (place) => (lanes[place] ?? []).map((contextLength) => ({ endpoint, contextLength })),
      prompt: () => prompt
    }
  )
}

/** The target that a chain begins with, and why. */
const begun = (world: World) => {
  const chain = chainOf(world)
  const first = chain.begin()
  if (first === undefined) return "nobody"
  return first.moved === undefined ? chain.target : `${chain.target} ${first.moved.reason}`
}

const open = [undefined]

describe("a chain begins with", () => {
  it.each<readonly [string, World]>([
    ["t0", { lanes: [open, open] }],
    ["t1 unavailable", { lanes: [[], open, open] }],
    ["t2 unavailable", { lanes: [[], [], open] }],
    ["nobody", { lanes: [[], []] }],
    ["nobody", { lanes: [[], open], on: ["failed"] }],
    // 600 bytes are sure to need 100 tokens.
    ["t0", { lanes: [[100], [1000]] }],
    ["t1 context", { lanes: [[99], [1000]] }],
    ["t2 context", { lanes: [[99], [50], open] }],
    ["t0", { lanes: [[99, 100], [1000]] }],
    ["t0", { lanes: [[99], [1000]], on: ["failed"] }],
    ["t0", { lanes: [[99], [1000]], prompt: { bytes: 600, hasImage: true } }],
    // It fits nowhere: the backend says so.
    ["t0", { lanes: [[99], [50]] }],
    ["t0", { lanes: [[99], []] }],
    ["t1 unavailable", { lanes: [[], [99]] }],
    ["t1 context", { lanes: [[99], open], on: ["context"] }],
    ["t0", { lanes: [[99], [], open], on: ["context"] }]
  ])("%s: %j", (expected, world) => expect(begun(world)).toBe(expected))

  it("those of its lanes that the prompt fits", () => {
    expect(
      chainOf({ lanes: [[99, 100, undefined]] })
        .begin()
        ?.candidates.map(({ contextLength }) => contextLength)
    ).toEqual([100, undefined])
  })
})

describe("a chain goes on", () => {
  it.each(everyReason)("for %s only where that is a reason", (reason) => {
    const others = everyReason.filter((other) => other !== reason)
    expect(chainOf({ lanes: [open, open], on: others }).next(reason)).toBeUndefined()
    expect(chainOf({ lanes: [open, open], on: [reason] }).next(reason)?.moved).toEqual({ alias: "best", from: "t0", to: "t1", reason })
  })

  it("target by target, to each once", () => {
    const chain = chainOf({ lanes: [open, [], open, open] })
    expect(chain.next("failed")?.moved).toMatchObject({ from: "t0", to: "t2", reason: "failed" })
    expect(chain.next("rate_limited")?.moved).toMatchObject({ from: "t2", to: "t3", reason: "rate_limited" })
    expect(chain.next("failed")).toBeUndefined()
    expect(chain.target).toBe("t3")
  })

  it("past a target that nobody serves only where that is a reason", () => {
    expect(chainOf({ lanes: [open, [], open], on: ["failed"] }).next("failed")).toBeUndefined()
    expect(chainOf({ lanes: [open, [], open], on: ["failed", "unavailable"] }).next("failed")?.moved.to).toBe("t2")
  })

  it("to the first later target for which there is a place, else stays", () => {
    const chain = chainOf({ lanes: [open, [1000], [2000]] })
    expect(chain.nextFor("saturated", () => undefined)).toBeUndefined()
    expect(chain.target).toBe("t0")
    const place = (candidates: ReadonlyArray<{ readonly contextLength?: number | undefined }>) =>
      candidates[0]?.contextLength === 2000 ? "lease" : undefined
    expect(chain.nextFor("saturated", place)).toMatchObject({ taken: "lease", moved: { from: "t0", to: "t2", reason: "saturated" } })
    expect(chain.target).toBe("t2")
  })

  it("to longer contexts alone when one turned out to be too short", () => {
    const chain = chainOf({ lanes: [[4096], [2048, 4096], [undefined, 1024], [8192]] })
    chain.isTooLongFor(4096)
    const next = chain.next("context")
    expect(next?.moved.to).toBe("t2")
    expect(next?.candidates.map(({ contextLength }) => contextLength)).toEqual([undefined])
    chain.isTooLongFor(undefined)
    expect(chain.next("context")?.moved.to).toBe("t3")
  })
})
