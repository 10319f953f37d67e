/** One request as the routes see it: what came, what must go with every answer, and the ways to answer. */
import type { ServerResponse } from "node:http"
import { Exchange } from "../exchange/Exchange.ts"
import { asHeader, headerValue } from "../proxy/HeaderRules.ts"
import { decisionHeaders } from "../proxy/ReplyHeaders.ts"
import { endConnection } from "./ConnectionEnd.ts"
import { type ErrorName, errorTable, fill, renderError } from "./ErrorTable.ts"
import { KnownHeaders } from "./KnownHeaders.ts"
import type { RequestMessage } from "./RequestMessage.ts"

/** Bytes of a body that nobody wants which are read away so that the connection can be kept. */
export const tolerated = 64 * 1024
/** Of a longer one this much is still read, for this many milliseconds: a reset would take the answer from the client. */
const lingering = { bytes: 1024 * 1024, time: 1_000 }

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

/** Whoever sees a request to its end. */
export interface ContextOwner {
  /** A fault of ours that this request met: it ends with it. */
  readonly fault: (error: unknown) => void
}

export class RequestContext {
  readonly req: RequestMessage
  readonly res: ServerResponse
  readonly exchange: Exchange
  readonly trustedPeer: boolean
  readonly known: KnownHeaders
  /** Flat pairs that every answer carries: rate limits, CORS. */
  readonly extra: Array<string> = []
  /** The client waited for leave to send its body, and has got it. */
  invited = false
  /** Told of every error that Olla answers itself. */
  onRefused: ((context: RequestContext, status: number) => void) | undefined
  /** Of a request for a backend; one that is answered here has none. */
  owner: ContextOwner | undefined
  /** Told of a fault inside Olla that this request met. */
  onFault: ((context: RequestContext, error: unknown) => void) | undefined
  /** Body bytes of an answer of Olla's own. */
  answered = 0
  /** How errors are put on this surface; the translators replace it. */
  errors: ErrorRenderer = plainErrors

  constructor(req: RequestMessage, res: ServerResponse, exchange: Exchange, trustedPeer: boolean) {
    this.req = req
    this.res = res
    this.exchange = exchange
    this.trustedPeer = trustedPeer
    this.known = new KnownHeaders(req.rawHeaders)
  }

  renderError(status: number, message: string, code: string | null): RenderedError {
    return this.errors(this, status, message, code)
  }

  /** First value of a request header by lower-cased name; empty when absent. */
  header(name: string): string {
    return headerValue(this.req.rawHeaders, name)
  }

  /** All values of a list header, as one. */
  headers(name: string): string {
    const raw = this.req.rawHeaders
    let all = ""
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const key = raw[i] as string
      if (key.length === name.length && key.toLowerCase() === name) all = all === "" ? (raw[i + 1] as string) : `${all}, ${raw[i + 1]}`
    }
    return all
  }

  /** An answer of Olla's own. */
  answer(status: number, contentType: string, body: string | Buffer, headers: ReadonlyArray<string> = []): void {
    const { res } = this
    if (res.headersSent || res.destroyed) return
    const bytes = typeof body === "string" ? Buffer.from(body) : body
    const all = ["X-Olla-Request-ID", this.exchange.id, ...this.extra, ...headers]
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
    res.write(bytes)
    this.#linger()
  }

  /** Some of the request's body is still to come and is too much to be read away, or will never be sent. */
  #hasUnreadBody(): boolean {
    if (this.req.complete) return false
    const length = this.known.contentLength
    if (length === "") return this.known.transferEncoding !== ""
    return Number(length) > tolerated || (Number(length) > 0 && !this.invited && this.known.expect !== "")
  }

  /** Ends the answer when the client has stopped sending, or was given its chance to read it. */
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

  /** Runs a step that nobody else guards: one that is called from a socket's events or from a fiber. */
  guarded(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.onFault?.(this, error)
    }
  }

  json(document: unknown, headers: ReadonlyArray<string> = []): void {
    this.answer(200, "application/json", JSON.stringify(document), headers)
  }

  /** An error of the table. */
  error(name: ErrorName, values: Readonly<Record<string, string>> = {}, headers: ReadonlyArray<string> = []): void {
    this.fail(errorTable[name].status, fill(name, values), null, headers)
  }

  /** An error of the table that ends the connection, however much of the request is still to come (security.md 5.2). */
  refuseUpload(name: ErrorName): void {
    this.error(name, {}, ["Connection", "close"])
  }

  fail(status: number, message: string, code: string | null, headers: ReadonlyArray<string> = []): void {
    this.onRefused?.(this, status)
    const { contentType, body } = this.renderError(status, message, code)
    this.answer(status, contentType, body, ["X-Content-Type-Options", "nosniff", ...headers])
  }

  /** Headers of http-api.md 17.25: what is known of the decision and the last attempt. */
  decisionHeaders(): Array<string> {
    const out: Array<string> = []
    const last = this.exchange.lastAttempt
    if (last !== undefined) out.push("X-Olla-Endpoint", asHeader(last.endpointName), "X-Olla-Backend-Type", asHeader(last.endpointType))
    decisionHeaders(this.exchange, out)
    return out
  }
}

export const newExchange = (
  req: RequestMessage,
  id: string,
  path: string,
  query: string,
  peer: string,
  clientIp: string,
  accepted: number
): Exchange => new Exchange({ id, method: req.method ?? "GET", path, query, peer, clientIp, startedAt: Date.now(), accepted })
