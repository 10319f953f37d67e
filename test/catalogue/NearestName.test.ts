import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { editsWithin, nearestNames, nearestText } from "../../src/catalogue/NearestName.ts"
import { ListedFleet } from "./fakes.ts"

const fleet = new ListedFleet()
fleet.with("a", "ollama", ["qwen3:8b", "qwen3:32b", "llama3.2:1b", "mistral:7b"])
fleet.with("b", "vllm", ["Qwen/Qwen3-8B", "meta-llama/Llama-3.2-1B", "mistral:7b"])
const snapshot = fleet.snapshot()

describe("names near one that nobody has", () => {
  it.each([
    ["qwen3", ["qwen3:32b", "qwen3:8b", "Qwen/Qwen3-8B"]],
    ["qwen3:9b", ["qwen3:32b", "qwen3:8b", "Qwen/Qwen3-8B"]],
    ["mistrla:7b", ["mistral:7b"]],
    ["qwen3-8b", ["Qwen/Qwen3-8B", "qwen3:32b", "qwen3:8b"]],
    ["Llama-3.2-1B", ["meta-llama/Llama-3.2-1B", "llama3.2:1b"]],
    ["claude", []],
    ["x".repeat(5_000), []]
  ])("%s", (asked, near) => {
    expect(nearestNames(snapshot, asked)).toEqual(near)
  })

  it("may be aliases, and never the name itself", () => {
    expect(nearestNames(snapshot, "big-chta", ["Big-Chat"])).toEqual(["Big-Chat"])
    expect(nearestNames(snapshot, "mistral:7b")).toEqual([])
  })

  it("are part of a sentence", () => {
    expect(nearestText([])).toBe("")
    expect(nearestText(["a"])).toBe('near it is "a"')
    expect(nearestText(["a", "b"])).toBe('near it are "a", "b"')
  })

  it("are told apart by their edits, as far as it matters", () => {
    const plain = (a: string, b: string): number => {
      if (a === "" || b === "") return a.length + b.length
      const [restA, restB] = [a.slice(1), b.slice(1)]
      if (a[0] === b[0]) return plain(restA, restB)
      return 1 + Math.min(plain(restA, b), plain(a, restB), plain(restA, restB))
    }
    const name = fc.string({ unit: fc.constantFrom(..."abc1"), maxLength: 6 })
    fc.assert(
      fc.property(name, name, fc.integer({ min: 0, max: 4 }), (a, b, limit) => {
        const edits = plain(a, b)
        expect(editsWithin(a, b, limit)).toBe(edits > limit ? limit + 1 : edits)
      })
    )
  })
})
