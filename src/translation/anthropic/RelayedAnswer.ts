/** What a natively relayed answer said, put together from its bytes for the inspector. */
import type { AnswerHead } from "../../proxy/Dialect.ts"
import { unpacked } from "../../proxy/Unpacking.ts"
import { headerOf } from "../AnswerHeaders.ts"
import { isRecord, type JsonRecord, listOf, numberOf, parseJson, recordOf } from "../JsonValue.ts"
import { SseReader } from "../SseReader.ts"

const maxUnpacked = 64 * 1024 * 1024

type Block = Record<string, unknown>

/** Fields of deltas that are appended to a field of their block. */
const appended: Readonly<Record<string, string>> = {
  text_delta: "text",
  thinking_delta: "thinking",
  signature_delta: "signature",
  input_json_delta: "partial_json"
}

/** A stream as the message that it makes; anything else as JSON, or as text when it is none. */
export const relayedAnswer = ({ headers }: AnswerHead, relayed: Buffer): unknown => {
  const bytes = unpacked(relayed, headerOf(headers, "content-encoding"), maxUnpacked)
  if (bytes === undefined) return `${relayed.length} bytes that could not be unpacked`
  if (!headerOf(headers, "content-type").toLowerCase().includes("text/event-stream")) {
    const text = bytes.toString("utf8")
    return parseJson(text) ?? text
  }
  const fold = new MessageFold()
  const sse = new SseReader((_, data) => fold.push(recordOf(parseJson(data)) ?? {}))
  sse.push(bytes)
  sse.end()
  return fold.message()
}

class MessageFold {
  #message: Record<string, unknown> = { type: "message", role: "assistant" }
  readonly #blocks = new Map<number, Block>()
  readonly #inputs = new Map<number, string>()

  push(event: JsonRecord): void {
    const index = numberOf(event["index"]) ?? 0
    switch (event["type"]) {
      case "message_start":
        this.#message = { ...recordOf(event["message"]) }
        break
      case "content_block_start":
        this.#blocks.set(index, { ...recordOf(event["content_block"]) })
        break
      case "content_block_delta":
        this.#delta(index, recordOf(event["delta"]) ?? {})
        break
      case "message_delta":
        Object.assign(this.#message, recordOf(event["delta"]))
        this.#message["usage"] = { ...recordOf(this.#message["usage"]), ...recordOf(event["usage"]) }
        break
      case "error":
        this.#message = { ...this.#message, error: event["error"] }
        break
    }
  }

  message(): JsonRecord {
    for (const [index, text] of this.#inputs) {
      const input = parseJson(text)
      const block = this.#blocks.get(index)
      if (block !== undefined) block["input"] = isRecord(input) ? input : text
    }
    return { ...this.#message, content: [...this.#blocks].sort(([a], [b]) => a - b).map(([, block]) => block) }
  }

  #delta(index: number, delta: JsonRecord): void {
    const block = this.#blocks.get(index)
    if (block === undefined) return
    const field = appended[String(delta["type"])]
    const said = field === undefined ? undefined : delta[field]
    if (field === "partial_json" && typeof said === "string") this.#inputs.set(index, (this.#inputs.get(index) ?? "") + said)
    else if (field !== undefined && typeof said === "string")
      block[field] = `${typeof block[field] === "string" ? block[field] : ""}${said}`
    else if (delta["type"] === "citations_delta") block["citations"] = [...(listOf(block["citations"]) ?? []), delta["citation"]]
  }
}
