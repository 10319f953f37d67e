/**
 * Anthropic content blocks as the messages of an OpenAI chat (anthropic.md 5.3 to 5.5, B15 to B17). A rule that cannot be
 * kept is a `Complaint`: the request is refused with 400 instead of losing content silently.
 */
import { isRecord, type JsonRecord, kindOf, listOf, recordOf, textOf } from "../JsonValue.ts"
import type { ChatMessage, ContentPart } from "../openai/ChatSchema.ts"
import { Complaint } from "../Translator.ts"

const textPart = (text: string): ContentPart => ({ type: "text", text })

/** Zero or more chat messages for one Anthropic message. */
export const convertMessage = (message: JsonRecord, index: number, out: Array<ChatMessage>): Complaint | undefined => {
  const role = message["role"]
  if (role !== "user" && role !== "assistant" && role !== "system" && role !== "developer") {
    return new Complaint(`messages.${index}.role: must be 'user' or 'assistant'`)
  }
  const content = message["content"]
  if (typeof content === "string") {
    if (content !== "") out.push({ role, content })
    return undefined
  }
  const blocks = isRecord(content) ? [content] : listOf(content)
  if (blocks === undefined) {
    return new Complaint(
      content === null || content === undefined
        ? `messages.${index}.content: must be a string or a list of blocks, got ${kindOf(content)}`
        : `failed to convert messages: invalid content type: ${kindOf(content)}`
    )
  }
  const records = blocks.filter(isRecord)
  if (role === "user") return convertUser(records, out)
  if (role === "assistant") return convertAssistant(records, out)
  const text = textsOf(records).join("")
  if (text !== "") out.push({ role, content: text })
  return undefined
}

const textsOf = (blocks: ReadonlyArray<JsonRecord>): ReadonlyArray<string> =>
  blocks.flatMap((block) => (block["type"] === "text" ? (textOf(block["text"]) ?? []) : []))

/** Tool results first, as OpenAI servers want them directly after the calls; then one user message. */
const convertUser = (blocks: ReadonlyArray<JsonRecord>, out: Array<ChatMessage>): Complaint | undefined => {
  const own: Array<ContentPart> = []
  const fromResults: Array<ContentPart> = []
  for (const block of blocks) {
    const complaint = block["type"] === "tool_result" ? convertToolResult(block, out, fromResults) : convertUserBlock(block, own)
    if (complaint !== undefined) return complaint
  }
  const parts = [...fromResults, ...own]
  if (parts.length === 0) return undefined
  // Without images the message stays the plain string that every backend understands. Texts are joined as they are
  // (pinned), but the end of a document is no part of the sentence behind it.
  const texts = parts.flatMap((part) => (part.type === "text" ? [part.text] : []))
  const separator = blocks.every((block) => block["type"] === "text" || block["type"] === "tool_result") ? "" : "\n\n"
  out.push({ role: "user", content: texts.length === parts.length ? texts.join(separator) : parts })
  return undefined
}

/** Documents hold blocks no deeper than this. */
const maxDepth = 8

const convertUserBlock = (block: JsonRecord, parts: Array<ContentPart>, depth = 0): Complaint | undefined => {
  if (depth > maxDepth) return new Complaint("content blocks are nested too deeply")
  switch (block["type"]) {
    case "text": {
      const text = textOf(block["text"])
      if (text !== undefined) parts.push(textPart(text))
      return undefined
    }
    case "image":
      return convertImage(block, parts)
    case "document":
      return convertDocument(block, parts, depth + 1)
    case "search_result":
      parts.push(textPart(searchResultText(block)))
      return undefined
    // History of the assistant that an agent replays under the wrong role; it means nothing to a backend.
    case "thinking":
    case "redacted_thinking":
      return undefined
    default:
      return new Complaint(`unsupported content block type '${String(block["type"])}'`)
  }
}

const convertImage = (block: JsonRecord, parts: Array<ContentPart>): Complaint | undefined => {
  const source = recordOf(block["source"])
  const kind = source?.["type"]
  if (kind === "base64" && textOf(source?.["data"]) !== undefined) {
    parts.push({
      type: "image_url",
      image_url: { url: `data:${textOf(source?.["media_type"]) ?? "image/png"};base64,${String(source?.["data"])}` }
    })
    return undefined
  }
  const url = textOf(source?.["url"])
  if (kind === "url" && url !== undefined) {
    parts.push({ type: "image_url", image_url: { url } })
    return undefined
  }
  return new Complaint(`image source type '${String(kind)}' is not supported`)
}

const convertDocument = (block: JsonRecord, parts: Array<ContentPart>, depth: number): Complaint | undefined => {
  const source = recordOf(block["source"])
  const title = textOf(block["title"])
  const heading = [title, textOf(block["context"])].filter((line) => line !== undefined)
  switch (source?.["type"]) {
    case "text":
      parts.push(textPart([...heading, textOf(source["data"]) ?? ""].join("\n")))
      return undefined
    case "content": {
      if (heading.length > 0) parts.push(textPart(`${heading.join("\n")}\n`))
      const content = source["content"]
      if (typeof content === "string") {
        if (content !== "") parts.push(textPart(content))
        return undefined
      }
      for (const inner of listOf(content) ?? []) {
        const complaint = isRecord(inner) ? convertUserBlock(inner, parts, depth) : undefined
        if (complaint !== undefined) return complaint
      }
      return undefined
    }
    case "base64": {
      if (textOf(source["media_type"]) !== "application/pdf")
        return new Complaint(`document media type '${String(source["media_type"])}' is not supported`)
      const file = { filename: title ?? "document.pdf", file_data: `data:application/pdf;base64,${textOf(source["data"]) ?? ""}` }
      parts.push({ type: "file", file })
      return undefined
    }
    default:
      return new Complaint(
        `document source type '${String(source?.["type"])}' is not supported: send the document's text or its base64 data`
      )
  }
}

const searchResultText = (block: JsonRecord): string => {
  const content = block["content"]
  const body = typeof content === "string" ? [content] : textsOf((listOf(content) ?? []).filter(isRecord))
  return [textOf(block["title"]), textOf(block["source"]), ...body].filter((line) => line !== undefined && line !== "").join("\n")
}

const convertToolResult = (block: JsonRecord, out: Array<ChatMessage>, parts: Array<ContentPart>): Complaint | undefined => {
  const id = textOf(block["tool_use_id"]) ?? ""
  const content = block["content"]
  let text: string
  if (typeof content === "string") text = content
  else if (content === undefined || content === null) text = ""
  else if (!Array.isArray(content)) text = JSON.stringify(content)
  else {
    const texts: Array<string> = []
    const media: Array<ContentPart> = []
    for (const inner of content) {
      if (!isRecord(inner)) {
        texts.push(typeof inner === "string" ? inner : JSON.stringify(inner))
        continue
      }
      const before = media.length
      if (["text", "image", "document", "search_result"].includes(String(inner["type"]))) {
        const complaint = convertUserBlock(inner, media)
        if (complaint !== undefined) return complaint
        // Only what a tool message cannot carry goes on to the user message.
        for (const part of media.splice(before)) {
          if (part.type === "text") texts.push(part.text)
          else media.push(part)
        }
      } else texts.push(JSON.stringify(inner))
    }
    text = texts.length > 0 ? texts.join("\n") : media.length > 0 ? "[image]" : ""
    for (const part of media) parts.push(textPart(`Content of tool result ${id}:`), part)
  }
  if (block["is_error"] === true && !/^error/i.test(text)) text = `Error: ${text}`
  out.push({ role: "tool", tool_call_id: id, content: text })
  return undefined
}

const convertAssistant = (blocks: ReadonlyArray<JsonRecord>, out: Array<ChatMessage>): Complaint | undefined => {
  const text = textsOf(blocks).join("")
  const calls = blocks.flatMap((block) => {
    const id = textOf(block["id"])
    const name = textOf(block["name"])
    if (block["type"] !== "tool_use" || id === undefined || name === undefined) return []
    return [{ id, type: "function" as const, function: { name, arguments: JSON.stringify(recordOf(block["input"]) ?? {}) } }]
  })
  if (calls.length > 0) out.push({ role: "assistant", content: text === "" ? null : text, tool_calls: calls })
  else if (text !== "") out.push({ role: "assistant", content: text })
  return undefined
}
