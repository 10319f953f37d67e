/**
 * Anthropic's content blocks of assistant messages: text, calls, the reasoning that led to them, and what its own servers did
 * in between, which another server can only be told as text.
 */
import type { AssistantTurn, Call, Turn } from "../ChatTurn.ts"
import type { Complaint } from "../Complaint.ts"
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"
import { unsupportedBlock } from "./ContentBlocks.ts"

interface Saying {
  reasoning: string
  signature: string | undefined
  text: string
  calls: Array<Call>
}

const silent = (): Saying => ({ reasoning: "", signature: undefined, text: "", calls: [] })

export const readAssistant = (blocks: ReadonlyArray<JsonRecord>, out: Array<Turn>): Complaint | undefined => {
  let saying = silent()
  const say = (): void => {
    const { reasoning, signature, text, calls } = saying
    if (reasoning !== "" || text !== "" || calls.length > 0)
      out.push({ role: "assistant", reasoning, ...(signature === undefined ? {} : { signature }), text, calls } satisfies AssistantTurn)
    saying = silent()
  }
  for (const block of blocks) {
    const type = String(block["type"])
    switch (type) {
      case "text":
        saying.text += textOf(block["text"]) ?? ""
        break
      case "thinking": {
        const isFirst = saying.reasoning === ""
        saying.reasoning = joined(saying.reasoning, textOf(block["thinking"]) ?? "")
        // One that is signed is whole by itself: two that were joined are nobody's.
        saying.signature = isFirst ? textOf(block["signature"]) : undefined
        break
      }
      case "tool_use": {
        const id = textOf(block["id"])
        const name = textOf(block["name"])
        if (id !== undefined && name !== undefined) saying.calls.push({ id, name, input: JSON.stringify(recordOf(block["input"]) ?? {}) })
        break
      }
      // What was said before it stands in the summary, or the client still sends it.
      case "compaction": {
        say()
        const summary = textOf(block["content"])
        if (summary !== undefined) out.push({ role: "user", parts: [{ kind: "text", text: `<summary>${summary}</summary>` }] })
        break
      }
      // Nobody but their maker can read these, and calls that its servers made need no answer.
      case "redacted_thinking":
      case "server_tool_use":
      case "mcp_tool_use":
      case "mcp_tool_listing":
      case "fallback":
      case "tool_addition":
      case "tool_removal":
        break
      default:
        if (!type.endsWith("_tool_result")) return unsupportedBlock(block)
        saying.text = joined(saying.text, `[${type}]\n${resultTexts(block["content"]).join("\n")}`)
    }
  }
  say()
  return undefined
}

const joined = (before: string, text: string): string => (before === "" ? text : text === "" ? before : `${before}\n\n${text}`)

/** What a reader would want of a server tool's result; ciphertexts and ids are not among it. */
const telling = ["title", "url", "source", "text", "stdout", "stderr", "error_code", "content"]

/** Results hold results no deeper than this. */
const maxDepth = 8

const resultTexts = (content: unknown, depth = 0): ReadonlyArray<string> => {
  if (depth > maxDepth) return []
  if (typeof content === "string") return content === "" ? [] : [content]
  const list = listOf(content)
  if (list !== undefined) return list.flatMap((item) => resultTexts(item, depth + 1))
  return isRecord(content) ? telling.flatMap((key) => resultTexts(content[key], depth + 1)) : []
}
