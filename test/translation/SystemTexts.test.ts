import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Turn } from "../../src/translation/ChatTurn.ts"
import { placeSystem, type SystemText } from "../../src/translation/SystemTexts.ts"
import { emptyTurn } from "./turns.ts"
import { writtenFor } from "./words.ts"

const user = (text: string): Turn => ({ role: "user", parts: [{ kind: "text", text }] })
const assistant = (text: string): Turn => ({ role: "assistant", reasoning: "", text, calls: [] })
const tool = (text: string): Turn => ({ role: "tool", call: "c", name: "", text, media: [], failed: false })
const system = (text: string): SystemText => ({ role: "system", text })
const image: Turn = { role: "user", parts: [{ kind: "image", url: "https://x/y.png" }] }

describe("system texts among the turns", () => {
  it("join the system message where nothing was said before", () => {
    expect(placeSystem(["a"], [system("b"), user("hi")])).toEqual({ system: ["a", "b"], turns: [user("hi")] })
  })

  it("go to the end of the user message before them", () => {
    expect(placeSystem([], [user("hi"), system("be brief"), assistant("ok")]).turns).toEqual([
      user("hi\n\n<system>\nbe brief\n</system>"),
      assistant("ok")
    ])
    expect(placeSystem([], [image, system("s")]).turns).toEqual([
      {
        role: "user",
        parts: [
          { kind: "image", url: "https://x/y.png" },
          { kind: "text", text: "<system>\ns\n</system>" }
        ]
      }
    ])
  })

  it("else to the front of the user message behind them", () => {
    expect(placeSystem([], [user("a"), assistant("b"), system("s"), user("c")]).turns.at(-1)).toEqual(user("<system>\ns\n</system>\n\nc"))
  })

  it("else are a user message of their own, behind the results of a call too", () => {
    expect(placeSystem([], [user("a"), assistant("b"), system("s"), assistant("c")]).turns[2]).toEqual(user("<system>\ns\n</system>"))
    expect(placeSystem([], [user("a"), assistant("b"), tool("r"), system("s")]).turns.at(-1)).toEqual(user("<system>\ns\n</system>"))
  })

  it("are never lost, never a system message behind the first turn, and keep the beginning of a conversation that grows", () => {
    const message = fc.oneof(
      fc.constantFrom<Turn | SystemText>(user("u"), assistant("a"), tool("t"), image),
      fc.nat(99).map((n) => system(`rule ${n}.`))
    )
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), message, (messages, next) => {
        const written = (list: ReadonlyArray<Turn | SystemText>) => {
          const placed = placeSystem([], list)
          return JSON.stringify(writtenFor({ ...emptyTurn, ...placed }).fields.messages)
        }
        const text = written(messages)
        for (const each of messages) if (each.role === "system") expect(text).toContain(each.text)
        const roles = (JSON.parse(text) as ReadonlyArray<{ role: string }>).map(({ role }) => role)
        expect(roles.lastIndexOf("system")).toBeLessThan(1)
        // An answer of the assistant settles everything before it.
        const settled = messages.slice(0, messages.findLastIndex(({ role }) => role === "assistant") + 1)
        expect(written([...messages, next]).startsWith(written(settled).slice(0, -1))).toBe(true)
      }),
      { numRuns: 300 }
    )
  })
})
