/**
 * A backend that behaves like a real one: listings, health, chat whole and streamed, embeddings, Ollama's own API and
 * Anthropic's where the kind has it; with realistic timing and with faults that can be switched while it runs. Plain
 * `node:http`, cheap enough for hundreds of streams and for a thousand of them in one process.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import {
  anthropicMessage,
  chatChunk,
  chatCompletion,
  embeddings,
  lmStudioModels,
  ollamaChat,
  ollamaGenerate,
  ollamaTags,
  openAiModels,
  pathsOf,
  toolCall,
  unknownModel,
  usage
} from "./Answers.ts"

export type BackendKind =
  | "ollama"
  | "lm-studio"
  | "vllm"
  | "vllm-mlx"
  | "sglang"
  | "lmdeploy"
  | "llamacpp"
  | "lemonade"
  | "litellm"
  | "docker-model-runner"
  | "omlx"
  | "openai-compatible"

export type Fault =
  /** Accepts and never answers. */
  | { readonly _tag: "hang" }
  /** Drops the connection instead of answering. */
  | { readonly _tag: "reset" }
  | { readonly _tag: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Milliseconds before the response headers. */
  | { readonly _tag: "slowHeaders"; readonly delay: number }
  /** Milliseconds between headers and the first token. */
  | { readonly _tag: "slowFirstToken"; readonly delay: number }
  /** Drops the connection after this many chunks of a stream, or in the middle of a whole answer. */
  | { readonly _tag: "cut"; readonly after: number }
  /** Falls silent after this many chunks. */
  | { readonly _tag: "stall"; readonly after: number }
  | { readonly _tag: "endless" }
  | { readonly _tag: "contentType"; readonly value: string }
  /** These bytes instead of HTTP. */
  | { readonly _tag: "garbage"; readonly bytes: string }

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
  /** Faults meet inference requests; `everything` meets probes and listings too. */
  readonly setFault: (fault: Fault | undefined, everything?: boolean) => void
  readonly setModels: (models: ReadonlyArray<string>) => void
  /** Drops every connection and refuses new ones, at once. */
  readonly kill: () => Promise<void>
  /** Listens again on the same port. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

const isInference = (path: string): boolean =>
  /\/(?:chat\/completions|completions?|embeddings?|embed|messages|responses|rerank|generate|chat|count_tokens)$/.test(path)

export const startBackend = async (options: BackendOptions): Promise<SimulatedBackend> => {
  const backend = new Backend(options)
  await backend.listen(options.port ?? 0)
  return backend
}

class Backend implements SimulatedBackend {
  readonly kind: BackendKind
  readonly requests: Array<RecordedRequest> = []
  readonly #options: BackendOptions
  #models: ReadonlyArray<string>
  #fault: Fault | undefined
  #faultEverywhere = false
  #server: Server | undefined
  #sockets = new Set<Socket>()
  #active = 0
  port = 0

  constructor(options: BackendOptions) {
    this.#options = options
    this.kind = options.kind
    this.#models = options.models
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

  setFault(fault: Fault | undefined, everything = false): void {
    this.#fault = fault
    this.#faultEverywhere = everything
  }

  setModels(models: ReadonlyArray<string>): void {
    this.#models = models
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
      const body = Buffer.concat(chunks).toString("utf8")
      record.body = body
      const path = record.url.split("?")[0] ?? ""
      const fault = this.#fault !== undefined && (this.#faultEverywhere || isInference(path)) ? this.#fault : undefined
      if (fault !== undefined && this.#misbehave(fault, req, res)) return
      const delay = fault?._tag === "slowHeaders" ? fault.delay : 0
      if (delay > 0) setTimeout(() => this.#route(path, body, req, res, fault), delay)
      else this.#route(path, body, req, res, fault)
    })
  }

  /** True: that was the whole answer. */
  #misbehave(fault: Fault, req: IncomingMessage, res: ServerResponse): boolean {
    switch (fault._tag) {
      case "hang":
        return true
      case "reset":
        req.socket.resetAndDestroy()
        return true
      case "garbage":
        req.socket.end(fault.bytes)
        return true
      case "status":
        res.writeHead(fault.status, { "content-type": "application/json", ...fault.headers })
        res.end(JSON.stringify({ error: { message: `simulated ${fault.status}`, type: "simulated", code: fault.status } }))
        return true
      default:
        return false
    }
  }

  #route(path: string, body: string, req: IncomingMessage, res: ServerResponse, fault: Fault | undefined): void {
    if (res.destroyed) return
    const { kind } = this
    const key = this.#options.key
    if (key !== undefined && req.headers.authorization !== `Bearer ${key}`) {
      json(res, 401, { error: { message: "Unauthorized", type: "authentication_error", code: 401 } })
      return
    }
    const paths = pathsOf[kind]
    if (req.method === "GET" || req.method === "HEAD") {
      if (kind === "ollama" && path === "/") text(res, "Ollama is running")
      else if (kind === "ollama" && path === "/api/tags") json(res, 200, ollamaTags(this.#models))
      else if (kind === "ollama" && path === "/api/version") json(res, 200, { version: "0.14.2" })
      else if (kind === "ollama" && path === "/api/ps") json(res, 200, ollamaTags(this.#models.slice(0, 1)))
      else if (kind === "lm-studio" && path === "/api/v0/models") json(res, 200, lmStudioModels(this.#models))
      else if (path === paths.listing || path === "/v1/models") json(res, 200, openAiModels(kind, this.#models))
      else if (path === paths.health) json(res, 200, { status: "ok" })
      else notFound(res, kind)
      return
    }
    let request: Record<string, unknown>
    try {
      request = JSON.parse(body === "" ? "{}" : body) as Record<string, unknown>
    } catch {
      json(res, 400, { error: { message: "invalid JSON in request body", type: "invalid_request_error", code: 400 } })
      return
    }
    const model = String(request["model"] ?? "")
    if (!this.#models.includes(model) && isInference(path)) {
      json(res, 404, unknownModel(kind, model))
      return
    }
    const stream = request["stream"] === true || (request["stream"] === undefined && path.startsWith("/api/"))
    const tools = request["tools"]
    const firstTool = Array.isArray(tools) ? (tools[0] as Record<string, unknown> | undefined) : undefined
    const tool =
      firstTool === undefined
        ? undefined
        : String((firstTool["function"] as Record<string, unknown> | undefined)?.["name"] ?? firstTool["name"])
    const tokens = this.#tokens()
    const whole = tokens.join("")
    if (path === paths.chat) {
      if (stream) this.#stream(res, sse(chatEvents(model, tokens, tool, request)), "text/event-stream", fault)
      else this.#whole(res, chatCompletion(model, whole, tokens.length, tool), fault)
    } else if (paths.messages !== undefined && path === paths.messages) {
      if (stream) this.#stream(res, messageEvents(model, tokens, tool), "text/event-stream", fault)
      else this.#whole(res, anthropicMessage(model, whole, tokens.length, tool), fault)
    } else if (paths.messages !== undefined && path === `${paths.messages}/count_tokens` && kind !== "ollama" && kind !== "vllm")
      json(res, 200, { input_tokens: 42 })
    else if (path.endsWith("/embeddings")) {
      const input = request["input"]
      this.#whole(res, embeddings(model, Array.isArray(input) ? input.length : 1), fault)
    } else if (path.endsWith("/completions"))
      this.#whole(
        res,
        {
          id: "cmpl-simulated",
          object: "text_completion",
          model,
          choices: [{ index: 0, text: whole, finish_reason: "stop" }],
          usage: usage(tokens.length)
        },
        fault
      )
    else if (kind === "ollama" && path === "/api/chat") {
      const lines = [...tokens.map((token) => ollamaChat(model, token, false, 0)), ollamaChat(model, "", true, tokens.length)]
      if (stream) this.#stream(res, lines.map(line), "application/x-ndjson", fault)
      else this.#whole(res, ollamaChat(model, whole, true, tokens.length), fault)
    } else if (kind === "ollama" && path === "/api/generate") {
      const lines = [...tokens.map((token) => ollamaGenerate(model, token, false, 0)), ollamaGenerate(model, "", true, tokens.length)]
      if (stream) this.#stream(res, lines.map(line), "application/x-ndjson", fault)
      else this.#whole(res, ollamaGenerate(model, whole, true, tokens.length), fault)
    } else if (kind === "ollama" && path === "/api/embed") this.#whole(res, { model, embeddings: [[0.1, 0.2, 0.3]] }, fault)
    else notFound(res, kind)
  }

  #tokens(): ReadonlyArray<string> {
    const words = (this.#options.text ?? "Hello from a simulated backend, one token after the other.").match(/\S+\s*/g) ?? []
    const count = this.#options.tokens ?? words.length
    return Array.from({ length: count }, (_, i) => words[i % Math.max(1, words.length)] ?? "token ")
  }

  #whole(res: ServerResponse, document: unknown, fault: Fault | undefined): void {
    const body = JSON.stringify(document)
    const type = fault?._tag === "contentType" ? fault.value : "application/json"
    const send = () => {
      if (res.destroyed) return
      res.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(body) })
      if (fault?._tag === "cut") {
        res.write(body.slice(0, body.length >> 1))
        setImmediate(() => res.socket?.destroy())
      } else if (fault?._tag === "stall") res.write(body.slice(0, body.length >> 1))
      else res.end(body)
    }
    const rate = this.#options.tokensPerSecond ?? 0
    const delay =
      (this.#options.firstToken ?? 0) +
      (rate > 0 ? (this.#tokens().length * 1000) / rate : 0) +
      (fault?._tag === "slowFirstToken" ? fault.delay : 0)
    if (delay > 0) setTimeout(send, delay)
    else send()
  }

  #stream(res: ServerResponse, events: ReadonlyArray<string>, contentType: string, fault: Fault | undefined): void {
    res.writeHead(200, { "content-type": fault?._tag === "contentType" ? fault.value : contentType, "cache-control": "no-cache" })
    res.flushHeaders()
    const rate = this.#options.tokensPerSecond ?? 0
    let at = 0
    const step = (): boolean => {
      if (res.destroyed) return false
      if (fault?._tag === "cut" && at >= fault.after) {
        res.socket?.destroy()
        return false
      }
      if (fault?._tag === "stall" && at >= fault.after) return false
      const event = fault?._tag === "endless" ? events[at % Math.max(1, events.length - 2)] : events[at]
      at++
      if (event === undefined) {
        res.end()
        return false
      }
      res.write(event)
      return true
    }
    const run = () => {
      if (rate === 0 && fault?._tag !== "cut" && fault?._tag !== "endless" && fault?._tag !== "stall") {
        res.end(events.join(""))
        return
      }
      const every = rate > 0 ? 1000 / rate : 2
      const timer = setInterval(() => {
        if (!step()) clearInterval(timer)
      }, every)
      res.once("close", () => clearInterval(timer))
      if (!step()) clearInterval(timer)
    }
    const delay = (this.#options.firstToken ?? 0) + (fault?._tag === "slowFirstToken" ? fault.delay : 0)
    if (delay > 0) setTimeout(run, delay)
    else run()
  }
}

const json = (res: ServerResponse, status: number, document: unknown): void => {
  const body = JSON.stringify(document)
  res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
  res.end(body)
}

const text = (res: ServerResponse, body: string): void => {
  res.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": body.length })
  res.end(body)
}

const notFound = (res: ServerResponse, kind: BackendKind): void => {
  if (kind === "ollama") {
    res.writeHead(404, { "content-type": "text/plain" })
    res.end("404 page not found")
  } else json(res, 404, { error: { code: 404, message: "File Not Found", type: "not_found_error" } })
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`

const sse = (events: ReadonlyArray<unknown>): ReadonlyArray<string> => [
  ...events.map((event) => `data: ${JSON.stringify(event)}\n\n`),
  "data: [DONE]\n\n"
]

const chatEvents = (
  model: string,
  tokens: ReadonlyArray<string>,
  tool: string | undefined,
  request: Record<string, unknown>
): ReadonlyArray<unknown> => {
  const wantsUsage = (request["stream_options"] as Record<string, unknown> | undefined)?.["include_usage"] === true
  const { function: fn, ...call } = toolCall(tool ?? "")
  const content =
    tool === undefined
      ? tokens.map((token) => chatChunk(model, { content: token }, null))
      : [
          chatChunk(model, { tool_calls: [{ index: 0, ...call, function: { name: fn.name, arguments: "" } }] }, null),
          chatChunk(model, { tool_calls: [{ index: 0, function: { arguments: fn.arguments.slice(0, 6) } }] }, null),
          chatChunk(model, { tool_calls: [{ index: 0, function: { arguments: fn.arguments.slice(6) } }] }, null)
        ]
  return [
    chatChunk(model, { role: "assistant", content: "" }, null),
    ...content,
    chatChunk(model, {}, tool === undefined ? "stop" : "tool_calls"),
    ...(wantsUsage ? [{ ...chatChunk(model, {}, null), choices: [], usage: usage(tokens.length) }] : [])
  ]
}

const messageEvents = (model: string, tokens: ReadonlyArray<string>, tool: string | undefined): ReadonlyArray<string> => {
  const event = (type: string, fields: Record<string, unknown>) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  const message = { ...anthropicMessage(model, "", 0, undefined), content: [], stop_reason: null }
  const block = tool === undefined ? { type: "text", text: "" } : { type: "tool_use", id: "toolu_simulated", name: tool, input: {} }
  const deltas =
    tool === undefined
      ? tokens.map((token) => ({ type: "text_delta", text: token }))
      : [{ type: "input_json_delta", partial_json: '{"city":"Perth"}' }]
  return [
    event("message_start", { message }),
    event("content_block_start", { index: 0, content_block: block }),
    ...deltas.map((delta) => event("content_block_delta", { index: 0, delta })),
    event("content_block_stop", { index: 0 }),
    event("message_delta", {
      delta: { stop_reason: tool === undefined ? "end_turn" : "tool_use", stop_sequence: null },
      usage: { output_tokens: tokens.length }
    }),
    event("message_stop", {})
  ]
}
