/** One request as the routes see it: what came, what must go with every answer, and the ways to answer. */
import type { ServerResponse } from "node:http"
import type { Exchange } from "../exchange/Exchange.ts"
import { headersOf, headerValue } from "../exchange/RawHeaders.ts"
import { cutAfterFlush } from "../proxy/ClientSocket.ts"
import type { EarlyStream } from "../proxy/EarlyStream.ts"
import { asHeader } from "../proxy/HeaderRules.ts"
import { decisionHeaders } from "../proxy/ReplyHeaders.ts"
import type { StartFields } from "../telemetry/requests/AccessRecords.ts"
import { type ErrorName, errorTable, fill, renderError } from "./ErrorTable.ts"
import { endConnection } from "./listener/ConnectionEnd.ts"
import type { RequestHead } from "./listener/RequestHead.ts"
import type { RequestMessage } from "./listener/RequestMessage.ts"

/** Bytes of a body that nobody wants which are read away so that the connection can be kept. */
export const tolerated = 64 * 1024
/**
 * Of a longer one this much is still read, for this many milliseconds: a reset would take the answer from the client. Clients
 * that only look for an answer when they have written everything, or fail at the first write that does, need most of it.
 */
const lingering = { bytes: 64 * 1024 * 1024, time: 1_000 }

export interface RenderedError {
  readonly contentType: string
  readonly body: string
}

/**
 * One function for all requests of a surface, not one made for each: V8 puts a function that is assigned to a property into
 * the old generation, where it would hold on to its whole request until the next full collection.
 */
export type ErrorRenderer = (context: RequestContext, status: number, message: string, code: string | null) => RenderedError

const plainErrors: ErrorRenderer = (context, status, message, code) => renderError(status, message, code, context.headers("accept"))

/** No surface has put its errors into another form. */
export const isPlain = ({ errors }: RequestContext): boolean => errors === plainErrors

/** The owner of a request for a backend. */
export interface ContextOwner {
  /** The client sends nothing more. True: nobody answers it any further. */
  readonly left: () => boolean
  /** The client has its answer, or is gone. */
  readonly closed: () => void
  /** A fault of ours that this request met: it ends with it. */
  readonly faulted: (detail: string) => void
}

/** What is told of every request. */
export interface RequestEvents {
  /** Olla answers it with an error of its own. */
  readonly refused: (context: RequestContext, status: number) => void
  /** It met a fault of ours. */
  readonly faulted: (context: RequestContext, detail: string) => void
  /** Its trace is sent for certain. */
  readonly isTraced: (context: RequestContext) => boolean
  /** It is answered, or its client is gone. */
  readonly closed: (context: RequestContext) => void
}

/** Why nothing more of a request is read. */
export interface UploadRefusal {
  readonly name: ErrorName
  /** What the table's sentence is filled with. */
  readonly values?: Readonly<Record<string, string>>
  /** Raw name/value pairs. */
  readonly headers?: ReadonlyArray<string>
  readonly code?: string | null
}

export class RequestContext {
  readonly req: RequestMessage
  readonly res: ServerResponse
  readonly exchange: Exchange
  readonly trustedPeer: boolean
  readonly head: RequestHead
  readonly #events: RequestEvents
  /** Flat pairs that every answer carries: rate limits, CORS. */
  readonly extra: Array<string> = []
  /** The client waited for `100 Continue`, and has got it. */
  invited = false
  /** Of a request for a backend; one that is answered here has none. */
  owner: ContextOwner | undefined
  /** What the records of this request begin with; absent: there are none. */
  record: StartFields | undefined
  /** Of a stream whose client may be kept waiting by comments; absent: nobody is. */
  early: EarlyStream | undefined
  /** Body bytes of an answer of Olla's own. */
  answered = 0
  #closed = false
  /** How errors are put on this surface; the translators replace it. */
  errors: ErrorRenderer = plainErrors

  constructor(req: RequestMessage, res: ServerResponse, exchange: Exchange, trustedPeer: boolean, events: RequestEvents) {
    this.req = req
    this.res = res
    this.exchange = exchange
    this.trustedPeer = trustedPeer
    this.head = req.head
    this.#events = events
  }

  renderError(status: number, message: string, code: string | null): RenderedError {
    const { early } = this
    if (early?.isAlone === true) return { contentType: "text/event-stream", body: early.form.broken(status, message) }
    return this.errors(this, status, message, code)
  }

  /** First value of a request header by lower-cased name; empty when absent. */
  header(name: string): string {
    return headerValue(this.req.rawHeaders, name)
  }

  /** All values of a list header, as one. */
  headers(name: string): string {
    return headersOf(this.req.rawHeaders, name).join(", ")
  }

  /** An answer of Olla's own. */
  answer(status: number, contentType: string, body: string | Buffer, headers: ReadonlyArray<string> = []): void {
    const { res } = this
    if (this.early?.isAlone === true && !res.destroyed) this.early.end(body)
    if (res.headersSent || res.destroyed) return
    const bytes = typeof body === "string" ? Buffer.from(body) : body
    const all = ["X-Olla-Request-ID", this.exchange.id, ...this.extra, ...headers]
    if (this.#events.isTraced(this)) all.push("X-Olla-Trace-ID", this.exchange.traceId)
    const unread = this.#hasUnreadBody()
    const last = headers.includes("Connection")
    if (unread && !last) all.push("Connection", "close")
    if (unread || last) endConnection(this.req.socket)
    if (status !== 304 && status !== 204) all.push("Content-Type", contentType, "Content-Length", String(bytes.length))
    const bodiless = status === 304 || status === 204 || this.req.method === "HEAD"
    if (!bodiless) this.answered = bytes.length
    res.writeHead(status, all)
    if (bodiless || !unread) {
      res.end(bodiless ? undefined : bytes)
      return
    }
    // The client has all of its answer then, although the connection goes on for a while.
    res.write(bytes, () => this.closed())
    this.#linger()
  }

  /** Some of the request's body is still to come and is too much to be read away, or will never be sent. */
  #hasUnreadBody(): boolean {
    if (this.req.complete) return false
    const { contentLength, declaredLength, transferEncoding, expect } = this.head
    if (contentLength === "") return transferEncoding !== ""
    return declaredLength > tolerated || (declaredLength > 0 && !this.invited && expect !== "")
  }

  /** Ends the answer when the client has stopped sending, or has had time to read it. */
  #linger(): void {
    const { req, res } = this
    let left = lingering.bytes
    const stop = () => {
      clearTimeout(timer)
      req.off("data", count)
      if (!res.writableEnded) res.end()
    }
    const count = (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) stop()
    }
    const timer = setTimeout(stop, lingering.time)
    req.on("data", count)
    req.once("close", stop)
    res.once("close", stop)
  }

  /** Runs a step whose exceptions nobody else catches: one called from a socket's events or from a fiber. */
  guarded(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.fault(error)
    }
  }

  /** A fault of ours ends its own request only: 500, or a cut where an answer had begun. */
  fault(error: unknown): void {
    const { res } = this
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#events.faulted(this, detail)
    this.owner?.faulted(detail)
    if (!res.headersSent || this.early?.isAlone === true) this.error("internal", { id: this.exchange.id })
    else if (!res.writableEnded) cutAfterFlush(res)
  }

  /**
   * Called by the listener when the client has ended its sending half, which is also what a client that closes its connection looks
   * like: no backend works on for it. What Olla answers by itself still goes out.
   */
  left(): void {
    if (this.owner?.left() === true) cutAfterFlush(this.res)
  }

  /** The client has its answer, or its connection is done with this request; the first counts. */
  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.owner?.closed()
    this.#events.closed(this)
  }

  json(document: unknown, headers: ReadonlyArray<string> = []): void {
    this.answer(200, "application/json", JSON.stringify(document), headers)
  }

  /** An error of the table. */
  error(name: ErrorName, values: Readonly<Record<string, string>> = {}, headers: ReadonlyArray<string> = [], detail = ""): void {
    this.fail(errorTable[name].status, fill(name, values), null, headers, detail)
  }

  /** An error of the table that ends the connection, however much of the request is still to come. */
  refuseUpload({ name, values = {}, headers = [], code = null }: UploadRefusal): void {
    this.fail(errorTable[name].status, fill(name, values), code, [...headers, "Connection", "close"])
  }

  /** `detail`: only in the JSON forms; plain text stays the bare sentence, which clients compare. */
  fail(status: number, message: string, code: string | null, headers: ReadonlyArray<string> = [], detail = ""): void {
    this.#events.refused(this, status)
    const plain = this.renderError(status, message, code)
    const { contentType, body } =
      detail === "" || plain.contentType.startsWith("text/plain") ? plain : this.renderError(status, `${message}; ${detail}`, code)
    this.answer(status, contentType, body, ["X-Content-Type-Options", "nosniff", ...headers])
  }

  /** What is known of the decision and the last attempt, as header pairs. */
  decisionHeaders(): Array<string> {
    const out: Array<string> = []
    const last = this.exchange.lastAttempt
    if (last !== undefined) out.push("X-Olla-Endpoint", asHeader(last.endpointName), "X-Olla-Backend-Type", asHeader(last.endpointType))
    const { length } = this.exchange.attempts
    if (length > 1) out.push("X-Olla-Attempts", String(length))
    if (last !== undefined && last.pick !== "") out.push("X-Olla-Pick", last.pick)
    const queued = this.exchange.waited(performance.now())
    if (queued > 0) out.push("X-Olla-Queue-Time", `${Math.round(queued)}ms`)
    decisionHeaders(this.exchange, out)
    return out
  }
}
