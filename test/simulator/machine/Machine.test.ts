import { describe, expect, it } from "vitest"
import { Machine, type MachineOptions, type Work } from "../../../src/simulator/machine/Machine.ts"
import { blockTokens, PrefixCache } from "../../../src/simulator/machine/PrefixCache.ts"
import { promptOf } from "../../../src/simulator/machine/PromptBlocks.ts"
import { VirtualTime } from "../../../src/simulator/machine/VirtualTime.ts"

/** Reads 1,000 tokens a second, writes 100. */
const machineWith = (options: Partial<MachineOptions> = {}) => {
  const time = new VirtualTime()
  const machine = new Machine(time, { promptTokensPerSecond: 1_000, tokensPerSecond: 100, ...options })
  const seen: Array<string> = []
  const ask = (name: string, more: Partial<Work> = {}) =>
    machine.submit({
      model: "m",
      promptTokens: 640,
      blocks: [],
      answerTokens: 50,
      onFirstToken: (cached) => seen.push(`${name} begins ${time.now()}${cached === 0 ? "" : ` (${cached} cached)`}`),
      onDone: () => seen.push(`${name} ends ${time.now()}`),
      ...more
    })
  return { time, machine, seen, ask }
}
const blocks = (...names: ReadonlyArray<number>) => ({ blocks: names, promptTokens: names.length * blockTokens + 1 })

describe("a machine", () => {
  it("reads one prompt after the other and answers them together", () => {
    const { time, seen, ask } = machineWith()
    ask("a")
    ask("b")
    time.run()
    expect(seen).toEqual(["a begins 640", "a ends 1140", "b begins 1280", "b ends 1780"])
  })
  it("has as many at once as it has slots, in order of arrival", () => {
    const { time, seen, ask, machine } = machineWith({ slots: 1 })
    ask("a")
    ask("b")
    expect([machine.running.size, machine.waiting.length]).toEqual([1, 1])
    time.run()
    expect(seen).toEqual(["a begins 640", "a ends 1140", "b begins 1780", "b ends 2280"])
    expect([machine.running.size, machine.waiting.length]).toEqual([0, 0])
  })
  it("reads only what it does not remember", () => {
    const { time, seen, ask, machine } = machineWith({ cacheTokens: 10 * blockTokens })
    ask("a", blocks(1, 2, 3))
    time.run()
    ask("b", blocks(1, 2, 4))
    time.run()
    expect(seen[2]).toMatch(/^b begins .* \(128 cached\)$/)
    expect(machine.totals).toEqual({ requests: 2, promptTokens: 386, cachedTokens: 128, answerTokens: 100 })
  })
  it("goes on to the next when one that waits, is read, or is answered is given up", () => {
    for (const at of [0, 300, 700]) {
      const { time, seen, ask, machine } = machineWith({ slots: 1 })
      const first = ask("a")
      ask("b")
      time.run(at)
      machine.cancel(first)
      time.run()
      expect(seen.at(-1)).toBe(`b ends ${at + 1140}`)
    }
    const { time, seen, ask, machine } = machineWith({ slots: 1 })
    ask("a")
    machine.cancel(ask("b"))
    time.run()
    expect(seen).toEqual(["a begins 640", "a ends 1140"])
  })
  it("loads a model once for all who ask for it, and pushes out the one that is not in use", () => {
    const { time, seen, ask, machine } = machineWith({ maxResident: 1, loadMillis: 5_000 })
    ask("a")
    ask("b")
    ask("c", { model: "n" })
    expect([machine.memory.listed, machine.memory.loads]).toEqual([["m"], 1])
    time.run()
    expect(seen).toEqual(["a begins 5640", "a ends 6140", "b begins 6280", "b ends 6780", "c begins 12420", "c ends 12920"])
    expect([machine.memory.listed, machine.memory.loads]).toEqual([["n"], 2])
  })
  it("has forgotten everything after a crash, and tells nobody", () => {
    const { time, seen, ask, machine } = machineWith({ maxResident: 1, loadMillis: 100, slots: 1, cacheTokens: 640 })
    ask("a")
    ask("b")
    time.run(200)
    machine.reset()
    time.run()
    expect([seen, machine.running.size, machine.waiting.length, machine.memory.listed]).toEqual([[], 0, 0, []])
  })
})

describe("the memory for prompts", () => {
  it("loses the ends of the prompts that were used longest ago first", () => {
    const cache = new PrefixCache(4 * blockTokens)
    cache.keep([1, 2, 3])
    cache.keep([7, 8])
    expect([cache.match([1, 2, 3]), cache.match([7, 8]), cache.used]).toEqual([2 * blockTokens, 2 * blockTokens, 1])
  })
  it("knows the same beginning by the same names, for one model", () => {
    const turn = (text: string, model = "m") =>
      promptOf({ model, messages: [{ role: "user", content: "x".repeat(600) }, ...(text === "" ? [] : [{ role: "user", content: text }])] })
    const first = turn("")
    expect(first.blocks).toHaveLength(2)
    expect(turn("y".repeat(600)).blocks.slice(0, 2)).toEqual(first.blocks)
    expect(turn("", "n").blocks[0]).not.toBe(first.blocks[0])
    expect(turn("y".repeat(600)).tokens).toBeGreaterThan(300)
  })
})
