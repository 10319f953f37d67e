/**
 * A backend that behaves like a real one: listings, health, chat whole and streamed, embeddings, Ollama's own API and
 * Anthropic's where the kind has it; with realistic timing and with faults that can be switched while it runs. Plain
 * `node:http`, cheap enough for hundreds of streams and for a thousand of them in one process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { type Fault, type FaultScope, meets } from "./Fault.ts"
import { type BackendKind, isInference } from "./Kind.ts"
import { Machine, type MachineOptions } from "./machine/Machine.ts"
import { promptOf } from "./machine/PromptBlocks.ts"
import { realTimers } from "./machine/Timers.ts"
import type { Load } from "./OwnMetrics.ts"
import { type Reply, replyTo } from "./Replies.ts"
import { headComesFirst, misbehave, send, sendHead } from "./Sending.ts"

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
  /** What computes the answers, instead of `firstToken` and `tokensPerSecond`: prompts take their time, caches, slots and models count. */
  readonly machine?: MachineOptions
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
  /** How many of those there were; counted also where no record is kept. */
  readonly asked: () => number
  /** Answers under way. */
  readonly active: () => number
  /** `scope`: inference requests unless said otherwise. `times`: so many requests, then all is well again. */
  readonly setFault: (fault: Fault | undefined, scope?: FaultScope, times?: number) => void
  readonly machine: Machine | undefined
  /** Whether vLLM's sleep mode says so; `undefined`: it is not served. */
  readonly setAsleep: (asleep: boolean | undefined) => void
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
  #asleep: boolean | undefined
  readonly machine: Machine | undefined
  #fault: { readonly fault: Fault; readonly scope: FaultScope; times: number } | undefined
  #server: Server | undefined
  #sockets = new Set<Socket>()
  #comesBack: NodeJS.Timeout | undefined
  #active = 0
  /** Inference requests among them, and all that there were. */
  #working = 0
  #asked = 0
  port = 0

  constructor(options: BackendOptions) {
    this.#options = options
    this.kind = options.kind
    this.#models = options.models
    this.#key = options.key
    this.machine = options.machine === undefined ? undefined : new Machine(realTimers, options.machine)
    const words = (options.text ?? defaultText).match(/\S+\s*/g) ?? []
    this.#tokens = Array.from({ length: options.tokens ?? words.length }, (_, i) => words[i % Math.max(1, words.length)] ?? "token ")
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  inference(): ReadonlyArray<RecordedRequest> {
    return this.requests.filter((request) => isInference(request.url.split("?")[0] ?? ""))
  }

  asked(): number {
    return this.#asked
  }

  active(): number {
    return this.#active
  }

  setFault(fault: Fault | undefined, scope: FaultScope = "inference", times = Number.POSITIVE_INFINITY): void {
    this.#fault = fault === undefined ? undefined : { fault, scope, times }
  }

  setAsleep(asleep: boolean | undefined): void {
    this.#asleep = asleep
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
    this.machine?.reset()
    await closed
  }

  async restart(): Promise<void> {
    if (this.#server === undefined) await this.listen(this.port)
  }

  async stop(): Promise<void> {
    clearTimeout(this.#comesBack)
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
    const isWorking = isInference(record.url.split("?")[0] ?? "")
    this.#active++
    if (isWorking) {
      this.#asked++
      this.#working++
    }
    res.once("close", () => {
      this.#active--
      if (isWorking) this.#working--
      if (!res.writableFinished) record.abortedAt = performance.now()
    })
    const chunks: Array<Buffer> = []
    req.on("data", (chunk: Buffer) => chunks.push(chunk))
    req.on("error", () => {})
    req.on("end", () => {
      record.body = Buffer.concat(chunks).toString("utf8")
      const path = record.url.split("?")[0] ?? ""
      const fault = this.#faultFor(path)
      if (fault?._tag === "poison" && record.body.includes(fault.text)) {
        void this.kill()
        if (fault.back !== undefined) this.#comesBack = setTimeout(() => void this.restart(), fault.back)
        return
      }
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
    const { kind, machine } = this
    const request = machine === undefined ? undefined : readRequest(record.body)
    const most = Number(request?.["max_tokens"] ?? request?.["max_completion_tokens"] ?? Number.POSITIVE_INFINITY)
    const tokens = this.#tokens.length > most ? this.#tokens.slice(0, most) : this.#tokens
    const reply = replyTo(
      {
        kind,
        models: this.#models,
        key: this.#key,
        tokens,
        load: () => this.#load(),
        resident: () => this.#resident(),
        asleep: this.#asleep
      },
      { method: record.method, path, body: record.body, authorization: req.headers.authorization }
    )
    const { firstToken = 0, tokensPerSecond = 0 } = this.#options
    if (machine === undefined || request === undefined || !isWork(reply))
      send(kind, res, reply, { firstToken, tokensPerSecond, tokens: tokens.length }, fault)
    else this.#compute(machine, request, res, reply, tokens.length, fault)
  }

  /** The machine says when the first token is there, and when the last one. */
  #compute(
    machine: Machine,
    request: Readonly<Record<string, unknown>>,
    res: ServerResponse,
    reply: Reply,
    tokens: number,
    fault: Fault | undefined
  ): void {
    const { kind } = this
    const isStream = reply._tag === "stream"
    if (isStream && headComesFirst.has(kind)) sendHead(kind, res, fault?._tag === "contentType" ? fault.value : reply.contentType)
    const prompt = promptOf(request)
    const tokensPerSecond = this.#options.machine?.tokensPerSecond ?? 0
    const job = machine.submit({
      model: String(request["model"] ?? ""),
      promptTokens: prompt.tokens,
      blocks: prompt.blocks,
      // Of a stream every event takes the time of a token: its place is free when it has ended.
      answerTokens: isStream ? reply.events.length : tokens,
      onFirstToken: () => {
        if (isStream) send(kind, res, reply, { firstToken: 0, tokensPerSecond, tokens }, fault)
      },
      onDone: () => {
        if (!isStream) send(kind, res, reply, { firstToken: 0, tokensPerSecond: 0, tokens }, fault)
      }
    })
    res.once("close", () => machine.cancel(job))
  }

  #load(): Load {
    const { machine } = this
    if (machine === undefined)
      return { running: this.#working, waiting: 0, cacheUsed: 0, slots: 4, promptTokens: 0, cachedTokens: 0, answerTokens: 0 }
    const { promptTokens, cachedTokens, answerTokens } = machine.totals
    return {
      running: machine.running.size,
      waiting: machine.waiting.length,
      cacheUsed: machine.cacheUsed,
      slots: Number.isFinite(machine.slots) ? machine.slots : 4,
      promptTokens,
      cachedTokens,
      answerTokens
    }
  }

  /** Models that it says it has in memory. */
  #resident(): ReadonlyArray<string> {
    if (this.#options.machine?.maxResident !== undefined) return this.machine?.memory.listed ?? []
    return this.kind === "ollama" ? this.#models.slice(0, 1) : this.#models
  }
}

const readRequest = (body: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    return JSON.parse(body) as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}

const isWork = (reply: Reply): boolean => reply._tag === "stream" || reply.work
