/**
 * A model whose turns are written down, behind a server that says the same turn in four dialects: OpenAI's chat and Responses,
 * Anthropic's messages and Ollama's API, whole and streamed. What a client sees of them must not differ.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { freePort } from "./freePort.ts"
import { ollamaMessage, ollamaStream, response, responseStream, type Turn } from "./scriptedDialects.ts"

export type { Turn }

export interface Asked {
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  // biome-ignore lint/suspicious/noExplicitAny: requests of both dialects are looked into by field
  readonly body: any
  readonly raw: string
  aborted: boolean
}

type Answer = (req: IncomingMessage, res: ServerResponse, asked: Asked) => void

const usageOf = (turn: Turn) => turn.usage ?? { prompt: 40, completion: 7, cached: 30 }

const reasons: Readonly<Record<Turn["stop"], string>> = {
  end_turn: "stop",
  tool_use: "tool_calls",
  max_tokens: "length",
  stop_sequence: "stop",
  refusal: "content_filter"
}

const chatUsage = (turn: Turn) => {
  const { prompt, completion, cached } = usageOf(turn)
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached }
  }
}

const messagesUsage = (turn: Turn) => {
  const { prompt, completion, cached } = usageOf(turn)
  return {
    input_tokens: prompt - cached,
    output_tokens: completion,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached
  }
}

const finish = (turn: Turn) => ({
  finish_reason: reasons[turn.stop],
  ...(turn.stopSequence === undefined ? {} : { stop_reason: turn.stopSequence })
})

export const chatCompletion = (turn: Turn, model: string): unknown => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1,
  model,
  choices: [
    {
      index: 0,
      message: {
        role: "assistant",
        content: turn.text === undefined ? null : turn.text.join(""),
        ...(turn.thinking === undefined ? {} : { reasoning_content: turn.thinking.join("") }),
        ...(turn.tools === undefined
          ? {}
          : {
              tool_calls: turn.tools.map(({ id, name, input }) => ({
                id,
                type: "function",
                function: { name, arguments: input.join("") }
              }))
            })
      },
      ...finish(turn)
    }
  ],
  usage: chatUsage(turn)
})

/** Parallel calls come interleaved, fragment by fragment, as some servers send them. */
export const chatStream = (turn: Turn, model: string, wantsUsage: boolean): string => {
  const chunk = (delta: unknown, more: object = { finish_reason: null }) =>
    `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model, choices: [{ index: 0, delta, ...more }] })}\n\n`
  let out = chunk({ role: "assistant", content: "" })
  for (const text of turn.thinking ?? []) out += chunk({ reasoning_content: text })
  for (const text of turn.text ?? []) out += chunk({ content: text })
  const tools = turn.tools ?? []
  for (const [index, { id, name }] of tools.entries())
    out += chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] })
  for (let at = 0; tools.some(({ input }) => at < input.length); at++)
    for (const [index, { input }] of tools.entries())
      if (at < input.length) out += chunk({ tool_calls: [{ index, function: { arguments: input[at] } }] })
  out += chunk({}, finish(turn))
  if (wantsUsage)
    out += `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model, choices: [], usage: chatUsage(turn) })}\n\n`
  return `${out}data: [DONE]\n\n`
}

export const message = (turn: Turn, model: string): unknown => ({
  id: "msg_native",
  type: "message",
  role: "assistant",
  model,
  content: [
    ...(turn.thinking === undefined ? [] : [{ type: "thinking", thinking: turn.thinking.join(""), signature: "" }]),
    ...(turn.text === undefined ? [] : [{ type: "text", text: turn.text.join("") }]),
    ...(turn.tools ?? []).map(({ id, name, input }) => ({ type: "tool_use", id, name, input: JSON.parse(input.join("")) as unknown }))
  ],
  stop_reason: turn.stop,
  stop_sequence: turn.stopSequence ?? null,
  usage: messagesUsage(turn)
})

export const messageStream = (turn: Turn, model: string): string => {
  const event = (type: string, fields: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  let index = 0
  const block = (start: object, deltas: ReadonlyArray<object>) => {
    const all = [
      event("content_block_start", { index, content_block: start }),
      ...deltas.map((delta) => event("content_block_delta", { index, delta })),
      event("content_block_stop", { index })
    ]
    index++
    return all.join("")
  }
  const { output_tokens: _, ...input } = messagesUsage(turn)
  let out = event("message_start", {
    message: {
      id: "msg_native",
      type: "message",
      role: "assistant",
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...input, output_tokens: 0 }
    }
  })
  if (turn.thinking !== undefined)
    out += block(
      { type: "thinking", thinking: "", signature: "" },
      turn.thinking.map((thinking) => ({ type: "thinking_delta", thinking }))
    )
  if (turn.text !== undefined)
    out += block(
      { type: "text", text: "" },
      turn.text.map((text) => ({ type: "text_delta", text }))
    )
  for (const { id, name, input: parts } of turn.tools ?? [])
    out += block(
      { type: "tool_use", id, name, input: {} },
      parts.map((partial_json) => ({ type: "input_json_delta", partial_json }))
    )
  return (
    out +
    event("message_delta", { delta: { stop_reason: turn.stop, stop_sequence: turn.stopSequence ?? null }, usage: messagesUsage(turn) }) +
    event("message_stop")
  )
}

const formOf = (path: string) =>
  path.includes("/messages") ? "messages" : path.includes("/responses") ? "responses" : path.startsWith("/api/") ? "ollama" : "chat"

const wholes = { chat: chatCompletion, messages: message, responses: response, ollama: ollamaMessage }
const streams = { chat: chatStream, messages: messageStream, responses: responseStream, ollama: ollamaStream }

/** How many turns the assistant has had: a run of its items is one. */
// biome-ignore lint/suspicious/noExplicitAny: requests of four dialects
const pastOf = ({ messages, input }: any): number => {
  const items: ReadonlyArray<{ readonly role?: string; readonly type?: string }> = Array.isArray(messages)
    ? messages
    : Array.isArray(input)
      ? input
      : []
  const isOurs = ({ role, type = "" }: (typeof items)[number]) => role === "assistant" || type === "reasoning" || type === "function_call"
  return items.filter((item, at) => isOurs(item) && (at === 0 || !isOurs(items[at - 1] ?? {}))).length
}

/** Says `turns[n]` to a conversation that has n assistant messages. */
export class ScriptedModel {
  turns: ReadonlyArray<Turn> = []
  readonly asked: Array<Asked> = []
  /** Instead of the script. */
  answer: Answer | undefined
  /** Streams leave in pieces of this many bytes. */
  piece = 1_000_000
  /** Answers break off behind this part of their bytes. */
  cutAt: number | undefined
  readonly #models: ReadonlyArray<string>
  #server: Server | undefined

  constructor(models: ReadonlyArray<string>) {
    this.#models = models
  }

  get url(): string {
    const address = this.#server?.address() as AddressInfo | null | undefined
    return `http://127.0.0.1:${address?.port ?? 0}`
  }

  async start(given?: number): Promise<void> {
    const port = given ?? (await freePort())
    const server = createServer({ noDelay: true }, (req, res) => this.#take(req, res))
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve))
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  reset(): void {
    this.turns = []
    this.asked.length = 0
    this.answer = undefined
    this.piece = 1_000_000
    this.cutAt = undefined
  }

  #take(req: IncomingMessage, res: ServerResponse): void {
    res.on("error", () => {})
    if (req.method === "GET" && !(req.url ?? "").startsWith("/v1/responses/")) {
      json(res, 200, { object: "list", data: this.#models.map((id) => ({ id, object: "model" })) })
      return
    }
    const chunks: Array<Buffer> = []
    req.on("data", (chunk: Buffer) => chunks.push(chunk))
    req.on("end", () => {
      const raw = Buffer.concat(chunks).toString("utf8")
      const asked: Asked = { path: req.url ?? "", headers: req.headers, body: raw === "" ? {} : JSON.parse(raw), raw, aborted: false }
      this.asked.push(asked)
      res.once("close", () => {
        asked.aborted = !res.writableFinished
      })
      if (this.answer !== undefined) this.answer(req, res, asked)
      else this.say(res, asked)
    })
  }

  say(res: ServerResponse, { path, body }: Asked): void {
    if (path.includes("count_tokens")) {
      json(res, 200, { input_tokens: 1234 })
      return
    }
    const turn = this.turns[pastOf(body)]
    if (turn === undefined) {
      json(res, 400, { error: { message: `no turn ${pastOf(body)} in the script`, type: "invalid_request_error", code: 400 } })
      return
    }
    const form = formOf(path)
    if (form === "ollama" ? body.stream === false : body.stream !== true) {
      const whole = wholes[form](turn, body.model)
      if (this.cutAt === undefined) json(res, 200, whole)
      else {
        const bytes = Buffer.from(JSON.stringify(whole))
        res.writeHead(200, { "content-type": "application/json", "content-length": bytes.length })
        cut(res, bytes, this.cutAt)
      }
      return
    }
    const text = streams[form](turn, body.model, body.stream_options?.include_usage === true)
    this.stream(res, text, form === "ollama" ? "application/x-ndjson" : "text/event-stream")
  }

  /** In pieces. */
  stream(res: ServerResponse, text: string, type: string): void {
    res.writeHead(200, { "content-type": type })
    const bytes = Buffer.from(text)
    if (this.cutAt !== undefined) {
      cut(res, bytes, this.cutAt)
      return
    }
    const next = (at: number) => {
      if (res.destroyed) return
      if (at >= bytes.length) res.end()
      else res.write(bytes.subarray(at, at + this.piece), () => next(at + this.piece))
    }
    next(0)
  }
}

export const json = (res: ServerResponse, status: number, document: unknown, headers: Readonly<Record<string, string>> = {}): void => {
  res.writeHead(status, { "content-type": "application/json", ...headers })
  res.end(JSON.stringify(document))
}

const cut = (res: ServerResponse, bytes: Buffer, at: number): void => {
  res.write(bytes.subarray(0, Math.floor(bytes.length * at)), () => res.destroy())
}
