/** Tokens of a request without a tokenizer: UTF-8 bytes by four. */
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"
import { searchResultText } from "./ContentBlocks.ts"

/** What an image costs on Anthropic's own scale, in bytes of this estimate. */
const imageBytes = 1_500 * 4

const bytesOf = (text: string): number => Buffer.byteLength(text)

/** Blocks hold blocks no deeper than this. */
const maxDepth = 8

const blockBytes = (block: unknown, depth: number): number => {
  if (!isRecord(block) || depth > maxDepth) return 0
  switch (block["type"]) {
    case "text":
      return bytesOf(textOf(block["text"]) ?? "")
    case "thinking":
      return bytesOf(textOf(block["thinking"]) ?? "")
    case "tool_use":
      return bytesOf(textOf(block["name"]) ?? "") + (block["input"] === undefined ? 0 : bytesOf(JSON.stringify(block["input"])))
    case "tool_result":
      return contentBytes(block["content"], depth + 1)
    case "image":
      return imageBytes
    case "document":
      return documentBytes(recordOf(block["source"]), depth + 1)
    case "search_result":
      return bytesOf(searchResultText(block))
    default:
      return 0
  }
}

const documentBytes = (source: JsonRecord | undefined, depth: number): number => {
  switch (source?.["type"]) {
    case "text":
      return bytesOf(textOf(source["data"]) ?? "")
    case "content":
      return contentBytes(source["content"], depth)
    // About a sixth of a PDF's Base64 is text; each of its pages costs as an image does.
    case "base64":
      return Math.max(imageBytes, Math.floor((textOf(source["data"])?.length ?? 0) / 6))
    default:
      return 0
  }
}

const contentBytes = (content: unknown, depth = 0): number =>
  typeof content === "string" ? bytesOf(content) : (listOf(content) ?? []).reduce<number>((sum, block) => sum + blockBytes(block, depth), 0)

export const estimateTokens = (request: JsonRecord): number => {
  const system = request["system"]
  let bytes = typeof system === "string" ? bytesOf(system) : 0
  for (const block of listOf(system) ?? []) if (recordOf(block)?.["type"] === "text") bytes += blockBytes(block, 0)
  for (const message of listOf(request["messages"]) ?? []) bytes += contentBytes(recordOf(message)?.["content"])
  for (const tool of listOf(request["tools"]) ?? []) {
    if (!isRecord(tool)) continue
    bytes += bytesOf(textOf(tool["name"]) ?? "") + bytesOf(textOf(tool["description"]) ?? "")
    if (tool["input_schema"] !== undefined) bytes += bytesOf(JSON.stringify(tool["input_schema"]))
  }
  return Math.max(1, Math.floor(bytes / 4))
}
