/** More turns, blocks and calls than one call of a function has room for as arguments (about 120,000 in V8). */
import { expect, it } from "vitest"
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { writeMessages } from "../../src/translation/anthropic/MessagesWriting.ts"
import type { Turn } from "../../src/translation/ChatTurn.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import { readOllamaChat } from "../../src/translation/ollama/OllamaReading.ts"
import { writeChat } from "../../src/translation/openai/ChatRequestWriting.ts"
import { emptyTurn } from "./turns.ts"
import { wordsFor } from "./words.ts"

const many = 200_000
const fill = <A>(value: A): Array<A> => new Array<A>(many).fill(value)
const valid = <A>(made: A | Complaint): A => {
  if (made instanceof Complaint) throw new Error(made.message)
  return made
}
const hi: Turn = { role: "user", parts: [{ kind: "text", text: "hi" }] }

it("are written into a chat", () => {
  const { fields } = writeChat({ ...emptyTurn, turns: fill(hi), system: ["be kind"] }, wordsFor.vllm, "none")
  expect([fields.messages.length, fields.messages[0]?.role]).toEqual([many + 1, "system"])
})

it("are written into one message of Messages, whose roles alternate", () => {
  const crowd: Turn = { role: "user", parts: fill({ kind: "text", text: "hi" } as const) }
  const { fields } = valid(writeMessages({ ...emptyTurn, turns: [hi, crowd] }))
  expect((fields as { messages: ReadonlyArray<{ content: ReadonlyArray<unknown> }> }).messages[0]?.content).toHaveLength(many + 1)
})

it("are read out of one message: results of tools", () => {
  const content = fill({ type: "tool_result", tool_use_id: "a", content: "x" })
  const { turns } = valid(readMessages({ model: "m", max_tokens: 9, messages: [{ role: "user", content }] }))
  expect(turns.length).toBeGreaterThanOrEqual(many)
})

it("are read out of one message of Ollama: calls", () => {
  const message = { role: "assistant", content: "", tool_calls: fill({ function: { name: "n", arguments: {} } }) }
  const { turns } = valid(readOllamaChat({ model: "m", messages: [message] }))
  expect(turns.flatMap((each) => (each.role === "assistant" ? each.calls : []))).toHaveLength(many)
})
