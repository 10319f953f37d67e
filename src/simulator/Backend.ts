/**
 * A backend that behaves like a real one: listings, health, chat whole and streamed, embeddings, Ollama's own API and
 * Anthropic's where the kind has it; with realistic timing and with faults that can be switched while it runs. Plain
 * `node:http`, cheap enough for hundreds of streams and for a thousand of them in one process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { type Fault, type FaultScope, meets } from "./Fault.ts"
import { type BackendKind, isInference } from "./Kind.ts"
import { replyTo } from "./Replies.ts"
import { misbehave, send } from "./Sending.ts"

export type { Fault, FaultScope } from "./Fault.ts"
export { type BackendKind, backendKinds } from "./Kind.ts"

export interface BackendOptions {
  readonly kind: BackendKind
  readonly models: ReadonlyArray<string>
  /** 0: any. */
  readonly port?: number
  /** Milliseconds from headers to first token. */
  readonly firstToken?: number
  /** 0: all at once. */
  readonly tokensPerSecond?: number
  readonly tokens?: number
  /** Requests without this bearer token get 401. */
  readonly key?: string
  /** Answers this text, token by token. */
  readonly text?: string
  /** Keep no record of requests: for load. */
  readonly quiet?: boolean
  /** Milliseconds that an idle connection is kept. */
  readonly keepAlive?: number
}

export interface RecordedRequest {
  readonly method: string
  readonly url: string
  readonly rawHeaders: ReadonlyArray<string>
  readonly header: (name: string) => string | undefined
  body: string
  /** `performance.now()` when the client's connection went away before the answer's end; 0: it did not. */
  abortedAt: number
}

export interface SimulatedBackend {
  readonly kind: BackendKind
  readonly port: number
  readonly url: string
  readonly requests: Array<RecordedRequest>
  /** Requests to chat, completion, embedding and message routes only. */
  readonly inference: () => ReadonlyArray<RecordedRequest>
  /** Answers under way. */
  readonly active: () => number
  /** `scope`: inference requests unless said otherwise. `times`: so many requests, then all is well again. */
  readonly setFault: (fault: Fault | undefined, scope?: FaultScope, times?: number) => void
  readonly setModels: (models: ReadonlyArray<string>) => void
  /** `undefined`: none is wanted any more. */
  readonly setKey: (key: string | undefined) => void
  /** Drops every connection and refuses new ones, at once. */
  readonly kill: () => Promise<void>
  /** Listens again on the same port. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

export const startBackend = async (options: BackendOptions): Promise<SimulatedBackend> => {
  const backend = new Backend(options)
  await backend.listen(options.port ?? 0)
  return backend
}

const defaultText = "Hello from a simulated backend, one token after the other."

class Backend implements SimulatedBackend {
  readonly kind: BackendKind
  readonly requests: Array<RecordedRequest> = []
  readonly #options: BackendOptions
  readonly #tokens: ReadonlyArray<string>
  #models: ReadonlyArray<string>
  #key: string | undefined
  #fault: { readonly fault: Fault; readonly scope: FaultScope; times: number } | undefined
  #server: Server | undefined
  #sockets = new Set<Socket>()
  #active = 0
  port = 0

  constructor(options: BackendOptions) {
    this.#options = options
    this.kind = options.kind
    this.#models = options.models
    this.#key = options.key
    const words = (options.text ?? defaultText).match(/\S+\s*/g) ?? []
    this.#tokens = Array.from({ length: options.tokens ?? words.length }, (_, i) => words[i % Math.max(1, words.length)] ?? "token ")
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  inference(): ReadonlyArray<RecordedRequest> {
    return this.requests.filter((request) => isInference(request.url.split("?")[0] ?? ""))
  }

  active(): number {
    return this.#active
  }

  setFault(fault: Fault | undefined, scope: FaultScope = "inference", times = Number.POSITIVE_INFINITY): void {
    this.#fault = fault === undefined ? undefined : { fault, scope, times }
  }

  setModels(models: ReadonlyArray<string>): void {
    this.#models = models
  }

  setKey(key: string | undefined): void {
    this.#key = key
  }

  async listen(port: number): Promise<void> {
    const server = createServer({ noDelay: true, keepAliveTimeout: this.#options.keepAlive ?? 75_000 }, (req, res) =>
      this.#handle(req, res)
    )
    server.on("connection", (socket) => {
      this.#sockets.add(socket)
      socket.on("error", () => {})
      socket.once("close", () => this.#sockets.delete(socket))
    })
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen(port, "127.0.0.1", 1024, resolve)
    })
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await closed
  }

  async restart(): Promise<void> {
    if (this.#server === undefined) await this.listen(this.port)
  }

  async stop(): Promise<void> {
    await this.kill()
  }

  #handle(req: IncomingMessage, res: ServerResponse): void {
    const record: RecordedRequest = {
      method: req.method ?? "",
      url: req.url ?? "",
      rawHeaders: req.rawHeaders,
      header: (name) => {
        const at = req.rawHeaders.findIndex((part, i) => i % 2 === 0 && part.toLowerCase() === name)
        return at < 0 ? undefined : req.rawHeaders[at + 1]
      },
      body: "",
      abortedAt: 0
    }
    if (this.#options.quiet !== true) this.requests.push(record)
    res.on("error", () => {})
    this.#active++
    res.once("close", () => {
      this.#active--
      if (!res.writableFinished) record.abortedAt = performance.now()
    })
    const chunks: Array<Buffer> = []
    req.on("data", (chunk: Buffer) => chunks.push(chunk))
    req.on("error", () => {})
    req.on("end", () => {
      record.body = Buffer.concat(chunks).toString("utf8")
      const path = record.url.split("?")[0] ?? ""
      const fault = this.#faultFor(path)
      if (fault !== undefined && misbehave(fault, req, res)) return
      const answer = () => {
        if (!res.destroyed) this.#answer(record, path, req, res, fault)
      }
      if (fault?._tag === "slowHeaders") setTimeout(answer, fault.delay)
      else answer()
    })
  }

  #faultFor(path: string): Fault | undefined {
    const current = this.#fault
    if (current === undefined || !meets(current.scope, this.kind, path)) return undefined
    if (--current.times <= 0) this.#fault = undefined
    return current.fault
  }

  #answer(record: RecordedRequest, path: string, req: IncomingMessage, res: ServerResponse, fault: Fault | undefined): void {
    const { kind } = this
    const reply = replyTo(
      { kind, models: this.#models, key: this.#key, tokens: this.#tokens },
      { method: record.method, path, body: record.body, authorization: req.headers.authorization }
    )
    const { firstToken = 0, tokensPerSecond = 0 } = this.#options
    send(kind, res, reply, { firstToken, tokensPerSecond, tokens: this.#tokens.length }, fault)
  }
}
