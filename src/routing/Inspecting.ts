/**
 * What routing needs from a request's body, JSON or form. Never fails: on any problem
 * it says what is known, and the body goes on as it came.
 */
import { BodyScan } from "./BodyScan.ts"
import { firstMessageModel } from "./FirstMessage.ts"
import { boundaryOf, FormScan, fieldText } from "./FormScan.ts"
import type { Inspection, PromptPlaces } from "./Router.ts"

/** Below this a parse is cheaper than a scan. */
export const parseBelow = 8 * 1024
/** Bodies beyond this are not looked at for capabilities. */
const capabilityLimit = 1024 * 1024

export const nothingInspected: Inspection = { model: "", spelling: "", field: "none", stream: undefined, capabilities: [] }

/** Keys that some server reads as the model's, at any depth. */
const modelKeys = /"model"\s*:/gi

type Kind = "json" | "maybe" | "other"

/** A body that is said to be JSON, one that cannot be, or one whose beginning decides: many clients send JSON under other types, or none. */
const kindOf = (contentType: string): Kind => {
  const low = contentType.toLowerCase()
  if (low.includes("application/json") || /application\/[^;,]*\+json/.test(low)) return "json"
  return /^\s*(?:multipart|audio|image|video)\//.test(low) ? "other" : "maybe"
}

/** Behind blanks and a byte order mark. */
const firstVisible = (chunk: Buffer): number | undefined => {
  for (const byte of chunk) if (byte > 32 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf) return byte
  return undefined
}

export class BodyInspector {
  readonly #chunks: Array<Buffer> = []
  #kind: Kind
  readonly #form: FormScan | undefined
  #scan: BodyScan | undefined
  #size = 0
  /** A short body was parsed, and is an object. */
  #isWhole = false

  constructor(contentType: string) {
    this.#kind = kindOf(contentType)
    const boundary = this.#kind === "other" ? boundaryOf(contentType) : undefined
    this.#form = boundary === undefined ? undefined : new FormScan(boundary)
  }

  /** Each chunk as it arrives: a long body is read through once, while it comes in. */
  push(chunk: Buffer): void {
    this.#form?.push(chunk)
    if (this.#kind === "other") return
    if (this.#kind === "maybe") {
      const first = firstVisible(chunk)
      if (first !== undefined) this.#kind = first === 0x7b ? "json" : "other"
    }
    this.#size += chunk.length
    if (this.#scan !== undefined) {
      this.#scan.push(chunk)
      return
    }
    this.#chunks.push(chunk)
    if (this.#size < parseBelow) return
    this.#scan = scanOf(this.#chunks)
    this.#chunks.length = 0
  }

  /** How deep the body is nested, to be known before it is parsed. 0 for short ones, which cannot be deep enough to matter. */
  get nesting(): number {
    return this.#scan?.deepest ?? 0
  }

  /** How many lists, objects and texts it has, for the same. 0 for short ones; no end where the scan gave up. */
  get values(): number {
    if (this.#scan === undefined) return 0
    return this.#scan.isRepetitive ? Number.POSITIVE_INFINITY : this.#scan.values
  }

  /**
   * All names of models at the top level, whichever of them a backend would take; `undefined`: the body is no whole JSON and no form.
   * Asked for after `end`, whose inspection and chunks these are.
   */
  named({ field, spelling }: Inspection, body: ReadonlyArray<Buffer>): ReadonlyArray<string> | undefined {
    if (this.#form !== undefined) return this.#form.found.filter(({ field }) => field === "model").map((one) => fieldText(body, one))
    if (this.#kind !== "json") return body.length === 0 ? [] : undefined
    if (this.#scan === undefined && this.#isWhole) {
      // Most bodies have one such key, which nothing hides.
      const text = (body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body)).toString("latin1")
      const keys = text.includes("\\u") ? undefined : text.match(modelKeys)?.length
      if (keys === 1 && field === "model") return [spelling]
    }
    const scan = this.#scan ?? scanOf(body)
    if (!scan.end()) return undefined
    return scan.spans.map(([start, end]) => {
      const text = fieldText(body, { field: "model", start, end })
      try {
        return String(JSON.parse(text))
      } catch {
        // Longer than any name: no pattern but one for everything is meant for it.
        return text
      }
    })
  }

  /** `body`: all chunks, for what the scan does not say. `path`: stripped, for embeddings. */
  end(body: ReadonlyArray<Buffer>, path: string): Inspection {
    if (this.#form !== undefined) return ofForm(this.#form, body)
    if (this.#kind !== "json" || this.#size === 0) return nothingInspected
    if (this.#scan !== undefined) return scanned(this.#scan, body, this.#size, path)
    const record = recordOf(textOf(this.#chunks))
    this.#isWhole = typeof record !== "string"
    return parsed(record, this.#chunks, path)
  }
}

/** A whole body at once. */
export const inspect = (contentType: string, body: ReadonlyArray<Buffer>, path: string): Inspection => {
  const inspector = new BodyInspector(contentType)
  for (const chunk of body) inspector.push(chunk)
  return inspector.end(body, path)
}

/** Of several fields of one name the last that is filled counts, as form readers have it; all of them are rewritten. */
const ofForm = ({ found }: FormScan, body: ReadonlyArray<Buffer>): Inspection => {
  const textOf = (name: string): string | undefined =>
    found
      .filter(({ field }) => field === name)
      .map((one) => fieldText(body, one))
      .findLast((text) => text.trim() !== "")
  const stream = textOf("stream")?.trim().toLowerCase()
  const named = described(textOf("model") ?? "", stream === undefined ? undefined : stream === "true" || stream === "1")
  if (named.model === "") return named
  return { ...named, field: "form", spans: found.filter(({ field }) => field === "model").map(({ start, end }) => [start, end] as const) }
}

export const scanOf = (chunks: ReadonlyArray<Buffer>): BodyScan => {
  const scan = new BodyScan()
  for (const chunk of chunks) scan.push(chunk)
  return scan
}

/** Some programs write one in front of everything; no parser of JSON takes it. */
export const withoutOrderMark = (text: string): string => (text.startsWith("\uFEFF") ? text.slice(1) : text)

type Json = Readonly<Record<string, unknown>>

const recordOf = (text: string): Json | "other" | "broken" => {
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : "other"
  } catch {
    return "broken"
  }
}

const textOf = (chunks: ReadonlyArray<Buffer>): string =>
  withoutOrderMark((chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString("utf8"))

/** No name under `model` itself, but a key like `Model`, or a name that another value of the key hid: the scan knows the order. */
const needsScan = (record: Json): boolean => {
  const { model } = record
  if (typeof model === "string" && model.trim() !== "") return false
  return Object.keys(record).some((key) => key.length === 5 && key.toLowerCase() === "model")
}

const parsed = (record: Json | "other" | "broken", chunks: ReadonlyArray<Buffer>, path: string): Inspection => {
  if (record === "other") return nothingInspected
  if (record === "broken") return described(nameFrom(scanOf(chunks)), undefined)
  const model = needsScan(record) ? nameFrom(scanOf(chunks)) : record["model"]
  const named = described(typeof model === "string" ? model : "", record["stream"])
  const limit = record["max_tokens"] ?? record["max_completion_tokens"] ?? record["max_output_tokens"]
  const found = limit === undefined ? named : { ...named, mostTokens: mostTokensOf(limit) }
  return found.model === "" ? withoutModel(found, record, path) : found
}

const scanned = (scan: BodyScan, body: ReadonlyArray<Buffer>, size: number, path: string): Inspection => {
  const { messagesAt, promptAt } = scan
  const found = {
    ...described(nameFrom(scan), scan.found.get("stream")),
    conversation: { messagesAt, promptAt },
    prompt: placesOf(scan),
    mostTokens: mostTokensOf(scan.limit)
  }
  // A body that is not whole has no places: nothing is replaced in it, and it is not scanned again to find that out.
  if (found.model !== "") return { ...found, spans: scan.end() ? scan.spans : [] }
  if (!scan.end()) return found
  if (size <= capabilityLimit) {
    const record = recordOf(textOf(body))
    return typeof record === "string" ? found : withoutModel(found, record, path)
  }
  return inFirstMessage(found, scan.messagesAt < 0 ? undefined : firstMessageModel(body, scan.messagesAt)?.name)
}

/** Of a body that is not whole nothing is known: it will not be served. */
export const placesOf = (scan: BodyScan): PromptPlaces => ({ spans: scan.end() ? scan.prompt : [], hasImage: scan.hasImage })

const mostTokensOf = (limit: unknown): number | undefined => (typeof limit === "number" && limit > 0 ? limit : undefined)

/** The last one in a whole object; where that is no name, or the body is broken off, the first non-empty one. */
const nameFrom = (scan: BodyScan): string => {
  const last = scan.model
  return scan.end() && typeof last === "string" && last.trim() !== "" ? last : scan.firstModel
}

const described = (spelling: string, stream: unknown): Inspection => {
  const model = spelling.trim().toLowerCase()
  return {
    model,
    spelling: model === "" ? "" : spelling,
    field: model === "" ? "none" : "model",
    stream: typeof stream === "boolean" ? stream : undefined,
    capabilities: []
  }
}

const inFirstMessage = (found: Inspection, spelling: unknown): Inspection =>
  typeof spelling === "string" && spelling.trim() !== ""
    ? { ...found, model: spelling.trim().toLowerCase(), spelling, field: "messages" }
    : found

/** `messages[0].model`, and what the request needs of any model. */
const withoutModel = (found: Inspection, record: Json, path: string): Inspection => {
  const messages: ReadonlyArray<unknown> = Array.isArray(record["messages"]) ? record["messages"] : []
  const named = inFirstMessage(found, isRecord(messages[0]) ? messages[0]["model"] : undefined)
  return named.model === "" ? { ...found, capabilities: capabilitiesOf(record, messages, path) } : named
}

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

const isFilled = (value: unknown): boolean => Array.isArray(value) && value.length > 0

/** Names that backends and lists use for the same ability; each group is one requirement. */
const vision = ["vision", "vision-understanding", "image"]
const functions = ["function-calling", "tools", "function"]
const embeddings = ["embeddings", "embedding"]
const code = ["code", "code-generation"]

const capabilitiesOf = (record: Json, messages: ReadonlyArray<unknown>, path: string): ReadonlyArray<ReadonlyArray<string>> => {
  const out: Array<ReadonlyArray<string>> = []
  if (isFilled(record["images"]) || messages.some(hasImage)) out.push(vision)
  if (["tools", "functions", "tool_choice", "function_call"].some((key) => isGiven(record[key]))) out.push(functions)
  if (/\/(?:embeddings?|api\/embed)$/.test(path)) out.push(embeddings)
  const language = record["language"]
  if ((typeof language === "string" && language !== "") || record["code_model"] === true) out.push(code)
  return out
}

const hasImage = (message: unknown): boolean => {
  if (!isRecord(message)) return false
  if (isFilled(message["images"])) return true
  const content = message["content"]
  const parts: ReadonlyArray<unknown> = Array.isArray(content) ? content : [content]
  return parts.some((part) => {
    if (!isRecord(part)) return false
    const { type, text } = part
    return type === "image_url" || type === "image" || (type === "text" && typeof text === "string" && text.startsWith("data:image/"))
  })
}
