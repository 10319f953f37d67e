/**
 * A native Messages answer, relayed byte for byte but for three things: a stream that begins in the middle gets its
 * `message_start` (B32), a stream that breaks off says so (B3), and a server that turns out not to know the route is
 * asked again in translation (B23).
 */
import { type Failure, ruleOf } from "../../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator, Spoken, Translated } from "../../proxy/Dialect.ts"
import { headerOf } from "../AnswerHeaders.ts"
import { parseJson, recordOf, textOf } from "../JsonValue.ts"
import { randomId } from "../RandomId.ts"
import { isPlain, unpacked } from "../Unpacking.ts"
import { errorEvent, errorTypeOf, isAnthropicError } from "./ErrorEnvelope.ts"
import { frame } from "./EventWriter.ts"

/** Bytes of a refusal that are looked at before it is relayed. */
const maxRefusal = 64 * 1024
/** Bytes within which the first event must name itself; longer ones are relayed unseen. */
const maxFirstEvent = 64 * 1024

export interface NativeOptions {
  readonly model: string
  readonly requestId: string
  /** The same request in translation; `undefined` where it cannot be translated. Made only when it is needed. */
  readonly translated: () => Spoken | undefined
  /** The endpoint's own route is missing: remembered until its next health transition. */
  readonly onUnsupported: () => void
  /** Everything relayed, for the inspector. */
  readonly onBytes: ((bytes: Buffer, head: AnswerHead) => void) | undefined
}

export class NativeAnswer implements AnswerTranslator {
  readonly #options: NativeOptions
  #mode: "relay" | "refusal" | "first" = "relay"
  #head: AnswerHead = { status: 200, headers: [] }
  #held: Array<Buffer> = []
  #heldBytes = 0
  #isStream = false

  constructor(options: NativeOptions) {
    this.#options = options
  }

  head(head: AnswerHead): AnswerHead | undefined {
    this.#head = { status: head.status, headers: withOneRequestId(head.headers, this.#options.requestId) }
    if (head.status === 404 || head.status === 405 || head.status === 501) {
      this.#mode = "refusal"
      return undefined
    }
    // One of a declared length takes no words of ours: they would count as the bytes that are missing.
    this.#isStream =
      headerOf(head.headers, "content-type").toLowerCase().includes("text/event-stream") &&
      isPlain(headerOf(head.headers, "content-encoding")) &&
      headerOf(head.headers, "content-length") === ""
    if (this.#isStream && head.status === 200) this.#mode = "first"
    return this.#head
  }

  push(bytes: Buffer): Translated | undefined {
    if (this.#mode === "relay") return this.#relay(bytes)
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#mode === "refusal") return this.#heldBytes > maxRefusal ? this.#release(true) : undefined
    const known = firstEventType(Buffer.concat(this.#held).toString("latin1"))
    if (known === undefined && this.#heldBytes <= maxFirstEvent) return undefined
    if (known === "content_block_start") this.#held.unshift(messageStart(this.#options.model))
    return this.#release(false)
  }

  end(): Translated | undefined {
    if (this.#mode === "relay") return undefined
    if (this.#mode === "first") return this.#release(false)
    const body = unpacked(Buffer.concat(this.#held), headerOf(this.#head.headers, "content-encoding"), maxRefusal)
    if (body === undefined || !isAnthropicError(body.toString("utf8"))) {
      this.#options.onUnsupported()
      const again = this.#options.translated()
      if (again !== undefined) return { again }
    }
    return this.#release(true)
  }

  fail(why: Failure): Buffer | undefined {
    if (!this.#isStream) return undefined
    const held = Buffer.concat(this.#held)
    return Buffer.concat([
      held,
      Buffer.from(`\n\n${errorEvent(errorTypeOf(ruleOf(why).status), "upstream connection lost before the response was complete")}`)
    ])
  }

  #relay(bytes: Buffer): Translated {
    this.#options.onBytes?.(bytes, this.#head)
    return { bytes }
  }

  #release(withHead: boolean): Translated {
    this.#mode = "relay"
    const bytes = Buffer.concat(this.#held)
    this.#held = []
    if (bytes.length > 0) this.#options.onBytes?.(bytes, this.#head)
    return { ...(withHead ? { head: this.#head } : {}), ...(bytes.length > 0 ? { bytes } : {}) }
  }
}

/** The backend's own id where it has one, else ours: never both (B27). Its headers come before ours. */
const withOneRequestId = (headers: ReadonlyArray<string>, ours: string): ReadonlyArray<string> => {
  const out: Array<string> = []
  let seen = false
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]?.toLowerCase() === "request-id") {
      if (seen) continue
      seen = true
    }
    out.push(headers[i] as string, headers[i + 1] as string)
  }
  if (!seen && ours !== "") out.push("request-id", ours)
  return out
}

/** Type of the first event; `undefined` while it cannot be told. Comments and other fields before it are passed over. */
const firstEventType = (text: string): string | undefined => {
  const named = /(?:^|[\r\n])event: ?([^\r\n]+)[\r\n]/.exec(text)
  if (named?.[1] !== undefined) return named[1].trim()
  // Without a name its data say what it is, once they are all there.
  const data = /(?:^|[\r\n])data: ?([^\r\n]+)(?:\r\n\r\n|\n\n|\r\r)/.exec(text)
  if (data?.[1] !== undefined) return textOf(recordOf(parseJson(data[1]))?.["type"]) ?? ""
  return undefined
}

const messageStart = (model: string): Buffer =>
  Buffer.from(
    frame({
      type: "message_start",
      message: {
        id: randomId("msg_01"),
        type: "message",
        role: "assistant",
        model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
      }
    })
  )
