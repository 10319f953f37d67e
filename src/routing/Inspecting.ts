/**
 * What routing needs from a request's body (models-and-routing.md 6.2, 6.3, B4, B16, B17). Never fails: on any problem
 * it says what is known, and the body goes on as it came.
 */
import { BodyScan } from "./BodyScan.ts"
import type { Inspection } from "./Router.ts"

/** Below this a parse is cheaper than a scan. */
const parseBelow = 8 * 1024
/** Bodies beyond this are not looked at for capabilities. */
const capabilityLimit = 1024 * 1024

const nothing: Inspection = { model: "", spelling: "", field: "none", stream: undefined, capabilities: [] }

/** Is this body worth a look? Missing and form types count when the body begins like an object (`curl -d`). */
const isJson = (contentType: string, first: Buffer | undefined): boolean => {
  const low = contentType.toLowerCase()
  if (low.includes("application/json") || /application\/[^;,]*\+json/.test(low)) return true
  if (low !== "" && !low.includes("application/x-www-form-urlencoded")) return false
  return first !== undefined && first.toString("latin1", 0, 64).trimStart().startsWith("{")
}

export class BodyInspector {
  readonly #contentType: string
  readonly #chunks: Array<Buffer> = []
  #scan: BodyScan | undefined
  #size = 0
  #skip = false

  constructor(contentType: string) {
    this.#contentType = contentType
  }

  /** Each chunk as it arrives: a long body is read through once, while it comes in. */
  push(chunk: Buffer): void {
    if (this.#skip) return
    this.#size += chunk.length
    if (this.#scan !== undefined) {
      this.#scan.push(chunk)
      return
    }
    if (this.#chunks.length === 0 && !isJson(this.#contentType, chunk)) {
      this.#skip = true
      return
    }
    this.#chunks.push(chunk)
    if (this.#size >= parseBelow) {
      this.#scan = new BodyScan()
      for (const held of this.#chunks) this.#scan.push(held)
    }
  }

  /** `body`: all chunks, for the rare look at capabilities. `path`: stripped, for embeddings. */
  end(body: ReadonlyArray<Buffer>, path: string): Inspection {
    if (this.#skip || this.#size === 0) return nothing
    const found = this.#scan === undefined ? this.#parsed() : fromScan(this.#scan)
    if (found.model !== "" || this.#size > capabilityLimit) return found
    return withoutModel(found, body, path)
  }

  #parsed(): Inspection {
    const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks)
    try {
      const value = JSON.parse(bytes.toString("utf8")) as unknown
      if (typeof value !== "object" || value === null || Array.isArray(value)) return nothing
      const record = value as Record<string, unknown>
      let model = record["model"]
      if (typeof model !== "string" || hasOddModel(record)) {
        for (const key of Object.keys(record)) if (key.length === 5 && key.toLowerCase() === "model") model = record[key]
      }
      return described(typeof model === "string" ? model : "", record["stream"])
    } catch {
      const scan = new BodyScan()
      scan.push(bytes)
      return fromScan(scan)
    }
  }
}

const hasOddModel = (record: Record<string, unknown>): boolean => "Model" in record || "MODEL" in record

const fromScan = (scan: BodyScan): Inspection => {
  const last = scan.found.get("model")
  return described(scan.end() && typeof last === "string" ? last : scan.firstModel, scan.found.get("stream"))
}

const described = (name: string, stream: unknown): Inspection => {
  const spelling = name.trim()
  return {
    model: spelling.toLowerCase(),
    spelling,
    field: spelling === "" ? "none" : "model",
    stream: typeof stream === "boolean" ? stream : undefined,
    capabilities: []
  }
}

/** `messages[0].model`, and what the request needs of any model. */
const withoutModel = (found: Inspection, body: ReadonlyArray<Buffer>, path: string): Inspection => {
  let value: unknown
  try {
    value = JSON.parse(Buffer.concat(body).toString("utf8"))
  } catch {
    return found
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return found
  const record = value as Record<string, unknown>
  const messages: ReadonlyArray<unknown> = Array.isArray(record["messages"]) ? record["messages"] : []
  const first = messages[0]
  const nested = typeof first === "object" && first !== null ? (first as Record<string, unknown>)["model"] : undefined
  if (typeof nested === "string" && nested.trim() !== "") {
    const spelling = nested.trim()
    return { ...found, model: spelling.toLowerCase(), spelling, field: "messages" }
  }
  const capabilities: Array<ReadonlyArray<string>> = []
  if (messages.some(hasImage) || (Array.isArray(record["images"]) && record["images"].length > 0))
    capabilities.push(["vision", "vision-understanding", "image"])
  if (["tools", "functions", "tool_choice", "function_call"].some((key) => record[key] !== undefined && record[key] !== null))
    capabilities.push(["function-calling", "tools", "function"])
  if (/\/(?:embeddings?|api\/embed)$/.test(path)) capabilities.push(["embeddings", "embedding"])
  const language = record["language"]
  if ((typeof language === "string" && language !== "") || record["code_model"] === true) capabilities.push(["code", "code-generation"])
  return { ...found, capabilities }
}

const hasImage = (message: unknown): boolean => {
  const content = typeof message === "object" && message !== null ? (message as Record<string, unknown>)["content"] : undefined
  const parts: ReadonlyArray<unknown> = Array.isArray(content) ? content : [content]
  return parts.some((part) => {
    if (typeof part !== "object" || part === null) return false
    const { type, text } = part as Record<string, unknown>
    return type === "image_url" || type === "image" || (type === "text" && typeof text === "string" && text.startsWith("data:image/"))
  })
}
