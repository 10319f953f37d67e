/**
 * Anthropic's content blocks of user messages and tool results as parts. A block that nothing else can say is a
 * `Complaint`: the request is refused with 400 instead of losing content silently.
 */
import type { Part, ToolTurn, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { isRecord, type JsonRecord, listOf, recordOf, textOf, wordOf } from "../JsonValue.ts"

const textPart = (text: string): Part => ({ kind: "text", text })

export const textsOf = (blocks: ReadonlyArray<JsonRecord>): ReadonlyArray<string> =>
  blocks.flatMap((block) => (block["type"] === "text" ? (textOf(block["text"]) ?? []) : []))

/** Tool results first, as OpenAI servers want them directly after the calls; then one user turn. */
export const readUser = (blocks: ReadonlyArray<JsonRecord>, out: Array<Turn>): Complaint | undefined => {
  const parts: Array<Part> = []
  for (const block of blocks) {
    const complaint = block["type"] === "tool_result" ? readToolResult(block, out) : readUserBlock(block, parts)
    if (complaint !== undefined) return complaint
  }
  if (parts.length === 0) return undefined
  // Without images the message stays the plain string that every backend understands. Texts are joined as they are, since
  // clients count on it, but the end of a document is no part of the sentence behind it.
  const texts = parts.flatMap((part) => (part.kind === "text" ? [part.text] : []))
  const separator = blocks.every((block) => block["type"] === "text" || block["type"] === "tool_result") ? "" : "\n\n"
  out.push({ role: "user", parts: texts.length === parts.length ? [textPart(texts.join(separator))] : parts })
  return undefined
}

/** Documents hold blocks no deeper than this. */
const maxDepth = 8

const readUserBlock = (block: JsonRecord, parts: Array<Part>, depth = 0): Complaint | undefined => {
  if (depth > maxDepth) return new Complaint("content blocks are nested too deeply")
  switch (block["type"]) {
    case "text": {
      const text = textOf(block["text"])
      if (text !== undefined) parts.push(textPart(text))
      return undefined
    }
    case "image":
      return readImage(block, parts)
    case "document":
      return readDocument(block, parts, depth + 1)
    case "search_result":
      parts.push(textPart(searchResultText(block)))
      return undefined
    // History of the assistant that an agent replays under the wrong role; it means nothing to a backend.
    case "thinking":
    case "redacted_thinking":
      return undefined
    default:
      return unsupportedBlock(block)
  }
}

export const unsupportedBlock = (block: JsonRecord): Complaint => new Complaint(`unsupported content block type '${wordOf(block["type"])}'`)

const readImage = (block: JsonRecord, parts: Array<Part>): Complaint | undefined => {
  const source = recordOf(block["source"])
  const kind = source?.["type"]
  const data = textOf(source?.["data"])
  if (kind === "base64" && data !== undefined) {
    parts.push({ kind: "image", url: `data:${textOf(source?.["media_type"]) ?? "image/png"};base64,${data}` })
    return undefined
  }
  const url = textOf(source?.["url"])
  if (kind === "url" && url !== undefined) {
    parts.push({ kind: "image", url })
    return undefined
  }
  return new Complaint(`image source type '${wordOf(kind)}' is not supported`)
}

const readDocument = (block: JsonRecord, parts: Array<Part>, depth: number): Complaint | undefined => {
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
        const complaint = isRecord(inner) ? readUserBlock(inner, parts, depth) : undefined
        if (complaint !== undefined) return complaint
      }
      return undefined
    }
    case "base64": {
      const type = textOf(source["media_type"])
      const data = textOf(source["data"]) ?? ""
      if (type === "text/plain") parts.push(textPart([...heading, Buffer.from(data, "base64").toString("utf8")].join("\n")))
      else if (type === "application/pdf") {
        const context = textOf(block["context"])
        if (context !== undefined) parts.push(textPart(context))
        parts.push({ kind: "file", name: title ?? "document.pdf", data: `data:application/pdf;base64,${data}` })
      } else return new Complaint(`document media type '${wordOf(source["media_type"])}' is not supported`)
      return undefined
    }
    default:
      return new Complaint(
        `document source type '${wordOf(source?.["type"])}' is not supported: send the document's text or its base64 data`
      )
  }
}

export const searchResultText = (block: JsonRecord): string => {
  const content = block["content"]
  const body = typeof content === "string" ? [content] : textsOf((listOf(content) ?? []).filter(isRecord))
  return [textOf(block["title"]), textOf(block["source"]), ...body].filter((line) => line !== undefined && line !== "").join("\n")
}

const readToolResult = (block: JsonRecord, out: Array<Turn>): Complaint | undefined => {
  const content = block["content"]
  const turn = (text: string, media: ReadonlyArray<Part> = []): ToolTurn => ({
    role: "tool",
    call: textOf(block["tool_use_id"]) ?? "",
    name: "",
    text,
    media,
    failed: block["is_error"] === true
  })
  if (!Array.isArray(content)) {
    const text = typeof content === "string" ? content : content === undefined || content === null ? "" : JSON.stringify(content)
    out.push(turn(text))
    return undefined
  }
  const texts: Array<string> = []
  const media: Array<Part> = []
  for (const inner of content) {
    if (!isRecord(inner) || !["text", "image", "document", "search_result"].includes(String(inner["type"]))) {
      texts.push(typeof inner === "string" ? inner : JSON.stringify(inner))
      continue
    }
    const parts: Array<Part> = []
    const complaint = readUserBlock(inner, parts)
    if (complaint !== undefined) return complaint
    for (const part of parts) {
      if (part.kind === "text") texts.push(part.text)
      else media.push(part)
    }
  }
  out.push(turn(texts.join("\n"), media))
  return undefined
}
