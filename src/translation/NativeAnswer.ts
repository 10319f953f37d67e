/**
 * An answer in the client's own dialect, relayed byte for byte but for three things: a stream that does not begin as it must may be
 * repaired, a stream that breaks off says so, and a server that turns out not to know the route, or not to take what the
 * request has, is asked again in translation.
 */
import { type Failure, failure, ruleOf } from "../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Spoken, Translated } from "../proxy/Dialect.ts"
import { missingBy } from "../proxy/PathRefusal.ts"
import { isPlain, unpacked } from "../proxy/Unpacking.ts"
import { answerHeaders, headerOf } from "./AnswerHeaders.ts"
import { isRecord, parseJson } from "./JsonValue.ts"
import type { KeepAlive, Opened } from "./KeepAlive.ts"
import { backendMessageOf } from "./openai/BackendError.ts"

/** Bytes of a refusal that are looked at before it is relayed. */
const maxRefusal = 64 * 1024
/** Bytes within which the first event must be whole; longer ones are relayed unseen. */
const maxFirstEvent = 64 * 1024
/** A 200 that is a refusal is a short one, bytes. */
const maxDoubtful = 4 * 1024

/** What is particular to one dialect. */
export interface NativeForm {
  /** Fields of which every answer has one at its top and an error has none. */
  readonly marks: ReadonlyArray<string>
  /** Content type of its streams, and with what an event of theirs ends. */
  readonly streamType: string
  readonly eventEnd: string
  /** What keeps a client waiting between two events. */
  readonly ping: (model: string) => string
  /** An error of the dialect's own, which a server without the route could not have made. */
  readonly isOwnError: (body: string, status: number, model: string) => boolean
  /** The event that ends a stream which broke off. */
  readonly broken: (status: number, message: string) => string
  /** What is sent in place of a stream's beginning, which may be the same; `undefined`: it cannot be told yet. Absent: it is not looked at. */
  readonly beginning?: (held: Buffer, model: string) => Buffer | undefined
}

/** The server has not got the route at all. */
type Route = "route"

export interface NativeOptions<Refusal extends string> {
  readonly form: NativeForm
  readonly model: string
  readonly requestId: string
  /** The client wants a stream. */
  readonly streaming: boolean
  readonly keepAlive: KeepAlive
  /** Shared by the attempts of an exchange. */
  readonly opened: Opened
  /** The same request in translation; `undefined` where it cannot be translated. Made only when it is needed. */
  readonly translated: () => Spoken | undefined
  /** What of the request an error says that the server cannot take. */
  readonly refuses: (status: number, sentence: string) => Refusal | Route | undefined
  /** To be remembered. `status`: of the answer that says so. */
  readonly onRefusal: (refusal: Refusal | Route, status: number) => void
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

export class NativeAnswer<Refusal extends string> implements AnswerTranslator {
  readonly #options: NativeOptions<Refusal>
  #mode: Mode = "relay"
  #head: AnswerHead = { status: 200, headers: [] }
  #held: Array<Buffer> = []
  #heldBytes = 0
  #isStream = false
  /** The last event that was relayed is whole. */
  #isBetween = true

  constructor(options: NativeOptions<Refusal>) {
    this.#options = options
  }

  head(head: AnswerHead): AnswerHead | undefined {
    this.#head = { status: head.status, headers: withOneRequestId(head.headers, this.#options.requestId) }
    const isOpened = this.#options.opened.sent
    const type = headerOf(head.headers, "content-type").toLowerCase()
    // What is no stream is no answer for somebody who has got the head of one.
    const isReadable = type.includes(this.#options.form.streamType) && isPlain(headerOf(head.headers, "content-encoding"))
    if (isRefusal(head.status) || (isOpened && (head.status !== 200 || !isReadable))) {
      this.#mode = "refusal"
      return undefined
    }
    if (head.status === 200 && type.includes("json") && !type.includes(this.#options.form.streamType)) {
      this.#mode = "doubtful"
      return undefined
    }
    // One of a declared length takes no words of ours: they would count as the bytes that are missing.
    this.#isStream =
      type.includes(this.#options.form.streamType) &&
      isPlain(headerOf(head.headers, "content-encoding")) &&
      headerOf(head.headers, "content-length") === ""
    if (this.#isStream && head.status === 200 && this.#options.form.beginning !== undefined) this.#mode = "first"
    return isOpened ? undefined : this.#head
  }

  /** Before the backend's head: the stream's own, so that the client goes on waiting. */
  waiting(head: AnswerHead, milliseconds: number): Translated | undefined {
    const { form, keepAlive, model, opened, requestId, streaming } = this.#options
    if (!streaming || milliseconds < (opened.sent ? keepAlive.interval : keepAlive.first)) return undefined
    const bytes = Buffer.from(form.ping(model))
    if (opened.sent) return { bytes }
    opened.sent = true
    return { head: { status: 200, headers: answerHeaders(head.headers, form.streamType, requestId) }, bytes }
  }

  silent(milliseconds: number): Translated | undefined {
    const { form, keepAlive, model } = this.#options
    const isPlace = this.#mode === "first" || (this.#mode === "relay" && this.#isBetween)
    return this.#isStream && isPlace && milliseconds >= keepAlive.interval ? { bytes: Buffer.from(form.ping(model)) } : undefined
  }

  push(bytes: Buffer): Translated | undefined {
    if (this.#mode === "relay") return this.#relay(bytes)
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#mode === "refusal") return this.#heldBytes > maxRefusal ? this.#tooLong() : undefined
    if (this.#mode === "doubtful") return this.#heldBytes > maxDoubtful || !this.#mayBeError ? this.#tooLong() : undefined
    const begun = this.#options.form.beginning?.(Buffer.concat(this.#held), this.#options.model)
    if (begun === undefined) return this.#heldBytes <= maxFirstEvent ? undefined : this.#release(false)
    this.#held = [begun]
    return this.#release(false)
  }

  end(): Translated | undefined {
    if (this.#mode === "relay") return undefined
    if (this.#mode === "first") return this.#release(false)
    const body = unpacked(Buffer.concat(this.#held), headerOf(this.#head.headers, "content-encoding"), maxRefusal)
    const refusal = this.#refusal(body?.toString("utf8"))
    if (refusal !== undefined) {
      const again = this.#options.translated()
      if (again !== undefined || refusal === "route") this.#options.onRefusal(refusal, this.#head.status)
      if (again !== undefined) return { again }
    }
    return this.#options.opened.sent ? this.#refuse(body?.toString("utf8") ?? "") : this.#release(true)
  }

  #tooLong(): Translated {
    return this.#options.opened.sent ? this.#refuse("") : this.#release(true)
  }

  /** An error for a client that has got the head of a stream already. */
  #refuse(body: string): Translated {
    const isNoStream = this.#head.status === 200
    const status = isNoStream ? 502 : this.#head.status
    const message = isNoStream ? "the backend's answer is no stream" : backendMessageOf(body)
    const bytes = Buffer.from(this.#options.form.broken(status, message))
    return { bytes, done: true, fault: failure("untranslatable", `the backend answered ${this.#head.status}: ${message}`) }
  }

  /** What came so far is the beginning of `{"error":`, or begins with it. */
  get #mayBeError(): boolean {
    const text = Buffer.concat(this.#held).toString("latin1").replace(/\s+/g, "").slice(0, refused.length)
    return refused.startsWith(text)
  }

  #refusal(body: string | undefined): Refusal | Route | undefined {
    const { status } = this.#head
    if (this.#mode === "doubtful") {
      const value = body === undefined ? undefined : parseJson(body)
      return isRecord(value) &&
        value["error"] !== undefined &&
        value["error"] !== null &&
        this.#options.form.marks.every((mark) => value[mark] === undefined)
        ? "route"
        : undefined
    }
    if (status !== 404 && status !== 405 && status !== 501) return this.#options.refuses(status, backendMessageOf(body ?? ""))
    if (body === undefined) return "route"
    return !this.#options.form.isOwnError(body, status, this.#options.model) && missingBy(status, body, this.#options.model) !== "model"
      ? "route"
      : undefined
  }

  fail(why: Failure): LastWords | undefined {
    if (!this.#isStream && !this.#options.opened.sent) return undefined
    const error = `${this.#isBetween && this.#held.length === 0 ? "" : this.#options.form.eventEnd}${this.#options.form.broken(ruleOf(why).status, "upstream connection lost before the response was complete")}`
    return { bytes: Buffer.concat([...this.#held, Buffer.from(error)]), complete: false }
  }

  #relay(bytes: Buffer): Translated {
    this.#options.onBytes?.(bytes, this.#head)
    this.#isBetween = endsWith(bytes, this.#options.form.eventEnd)
    return { bytes }
  }

  #release(withHead: boolean): Translated {
    this.#mode = "relay"
    const bytes = Buffer.concat(this.#held)
    this.#held = []
    if (bytes.length > 0) this.#options.onBytes?.(bytes, this.#head)
    this.#isBetween = endsWith(bytes, this.#options.form.eventEnd)
    return { ...(withHead ? { head: this.#head } : {}), ...(bytes.length > 0 ? { bytes } : {}) }
  }
}

/** Line breaks may come as two characters. */
const endsWith = (bytes: Buffer, end: string): boolean =>
  bytes.length === 0 ||
  bytes
    .toString("latin1", Math.max(0, bytes.length - 2 * end.length))
    .replace(/\r/g, "")
    .endsWith(end)

/** The backend's own id where it has one, else ours: never both. Its headers come before ours. */
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
