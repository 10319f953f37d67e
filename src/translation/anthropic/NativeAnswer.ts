/**
 * A native Messages answer, relayed byte for byte but for three things: a stream that begins in the middle or without what
 * its first event must have gets that, a stream that breaks off says so, and a server that turns out not to know the route, or
 * not to take what the request has, is asked again in translation.
 */
import { type Failure, ruleOf } from "../../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Spoken, Translated } from "../../proxy/Dialect.ts"
import { headerOf } from "../AnswerHeaders.ts"
import { isRecord, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { backendMessageOf } from "../openai/BackendError.ts"
import { randomId } from "../RandomId.ts"
import { isPlain, unpacked } from "../Unpacking.ts"
import { errorEvent, errorTypeOf, isAnthropicError } from "./ErrorEnvelope.ts"
import { frame } from "./EventWriter.ts"
import type { NativeRefusal } from "./NativeSupport.ts"

/** Bytes of a refusal that are looked at before it is relayed. */
const maxRefusal = 64 * 1024
/** Bytes within which the first event must be whole; longer ones are relayed unseen. */
const maxFirstEvent = 64 * 1024
/** A 200 that is a refusal is a short one, bytes. */
const maxDoubtful = 4 * 1024

export interface NativeOptions {
  readonly model: string
  readonly requestId: string
  /** The same request in translation; `undefined` where it cannot be translated. Made only when it is needed. */
  readonly translated: () => Spoken | undefined
  /** What of the request an error says that the server cannot take. */
  readonly refuses: (status: number, sentence: string) => NativeRefusal | undefined
  /** To be remembered. */
  readonly onRefusal: (refusal: NativeRefusal) => void
  /** Everything relayed, for the inspector. */
  readonly onBytes: ((bytes: Buffer, head: AnswerHead) => void) | undefined
}

/**
 * - `refusal`: an error, which may be one that a translation would not meet
 * - `doubtful`: JSON with 200, which some servers send for routes that they do not have
 * - `first`: a stream whose first event is not whole yet
 */
type Mode = "relay" | "refusal" | "doubtful" | "first"

const refused = '{"error":'

const isRefusal = (status: number): boolean => [400, 404, 405, 422, 500, 501].includes(status)

export class NativeAnswer implements AnswerTranslator {
  readonly #options: NativeOptions
  #mode: Mode = "relay"
  #head: AnswerHead = { status: 200, headers: [] }
  #held: Array<Buffer> = []
  #heldBytes = 0
  #isStream = false

  constructor(options: NativeOptions) {
    this.#options = options
  }

  head(head: AnswerHead): AnswerHead | undefined {
    this.#head = { status: head.status, headers: withOneRequestId(head.headers, this.#options.requestId) }
    if (isRefusal(head.status)) {
      this.#mode = "refusal"
      return undefined
    }
    const type = headerOf(head.headers, "content-type").toLowerCase()
    if (head.status === 200 && type.includes("json")) {
      this.#mode = "doubtful"
      return undefined
    }
    // One of a declared length takes no words of ours: they would count as the bytes that are missing.
    this.#isStream =
      type.includes("text/event-stream") &&
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
    if (this.#mode === "doubtful") return this.#heldBytes > maxDoubtful || !this.#mayBeError ? this.#release(true) : undefined
    const held = Buffer.concat(this.#held)
    const first = firstEvent(held.toString("latin1"))
    if (first === undefined || (first.type === "message_start" && first.end < 0))
      return this.#heldBytes <= maxFirstEvent ? undefined : this.#release(false)
    if (first.type === "content_block_start") this.#held.unshift(frameStart({}, this.#options.model))
    else if (first.type === "message_start") {
      const repaired = repairedStart(held.subarray(0, first.end), this.#options.model)
      if (repaired !== undefined) this.#held = [repaired, held.subarray(first.end)]
    }
    return this.#release(false)
  }

  end(): Translated | undefined {
    if (this.#mode === "relay") return undefined
    if (this.#mode === "first") return this.#release(false)
    const body = unpacked(Buffer.concat(this.#held), headerOf(this.#head.headers, "content-encoding"), maxRefusal)
    const refusal = this.#refusal(body?.toString("utf8"))
    if (refusal !== undefined) {
      const again = this.#options.translated()
      if (again !== undefined || refusal === "route") this.#options.onRefusal(refusal)
      if (again !== undefined) return { again }
    }
    return this.#release(true)
  }

  /** What came so far is the beginning of `{"error":`, or begins with it. */
  get #mayBeError(): boolean {
    const text = Buffer.concat(this.#held).toString("latin1").replace(/\s+/g, "").slice(0, refused.length)
    return refused.startsWith(text)
  }

  #refusal(body: string | undefined): NativeRefusal | undefined {
    const { status } = this.#head
    if (this.#mode === "doubtful") {
      const value = body === undefined ? undefined : parseJson(body)
      return isRecord(value) && value["error"] !== undefined && value["error"] !== null && value["type"] === undefined ? "route" : undefined
    }
    if (status !== 404 && status !== 405 && status !== 501) return this.#options.refuses(status, backendMessageOf(body ?? ""))
    if (body === undefined) return "route"
    const isAboutModel = body.includes("model_not_found") || backendMessageOf(body).includes(this.#options.model)
    return isAnthropicError(body) || isAboutModel ? undefined : "route"
  }

  fail(why: Failure): LastWords | undefined {
    if (!this.#isStream) return undefined
    const error = `\n\n${errorEvent(errorTypeOf(ruleOf(why).status), "upstream connection lost before the response was complete")}`
    return { bytes: Buffer.concat([...this.#held, Buffer.from(error)]), complete: false }
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

/**
 * Type of the first event, and where it ends (-1: it is not whole); `undefined` while it cannot be told. Comments and other
 * fields before it are passed over.
 */
const firstEvent = (text: string): { readonly type: string; readonly end: number } | undefined => {
  const start = /(?:^|[\r\n])(?:event|data): ?/.exec(text)
  if (start === null) return undefined
  const blank = /\r\n\r\n|\n\n|\r\r/g
  blank.lastIndex = start.index + 1
  const end = blank.exec(text) === null ? -1 : blank.lastIndex
  const named = /(?:^|[\r\n])event: ?([^\r\n]+)[\r\n]/.exec(text)
  if (named?.[1] !== undefined) return { type: named[1].trim(), end }
  // Without a name its data say what it is, once they are all there.
  const data = end < 0 ? null : /(?:^|[\r\n])data: ?([^\r\n]+)/.exec(text.slice(0, end))
  return data?.[1] === undefined ? undefined : { type: textOf(recordOf(parseJson(data[1]))?.["type"]) ?? "", end }
}

/** With what clients read without looking whether it is there; `undefined`: it has all of it. */
const repairedStart = (event: Buffer, model: string): Buffer | undefined => {
  const data = /(?:^|[\r\n])data: ?([^\r\n]+)/.exec(event.toString("utf8"))?.[1]
  const start = recordOf(parseJson(data ?? ""))
  const message = recordOf(start?.["message"])
  if (start === undefined || message === undefined) return undefined
  const lacks = ["type", "role", "content", "usage"].some((key) => message[key] === undefined || message[key] === null)
  return lacks || message["stop_reason"] === undefined ? frameStart(message, model, start) : undefined
}

/** Everything that is said stays; what is missing or null is added, key by key. */
const frameStart = (message: Record<string, unknown>, model: string, event: Record<string, unknown> = {}): Buffer => {
  const whole: Record<string, unknown> = {
    id: randomId("msg_01"),
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 0, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
  }
  for (const [key, value] of Object.entries(message)) if (value !== null && value !== undefined) whole[key] = value
  return Buffer.from(frame({ ...event, type: "message_start", message: whole } as Parameters<typeof frame>[0]))
}
