/** What a simulated server answers to a request, as data: nothing is sent here. */
import {
  anthropicMessage,
  badJson,
  chatCompletion,
  embeddings,
  ollamaChat,
  ollamaGenerate,
  type Refusal,
  rerank,
  response,
  textCompletion,
  unauthorised,
  unknownModel,
  unknownPath
} from "./Answers.ts"
import { type Asked, chatEvents, completionEvents, messageEvents, ollamaChatLines, ollamaGenerateLines, responseEvents } from "./Events.ts"
import { type BackendKind, isChat, isInference, isOpenAiListing, pathsOf } from "./Kind.ts"
import { lmStudioModels, ollamaModel, ollamaRunning, ollamaTags, openAiModels } from "./Listings.ts"
import { type Load, llamacppProps, metricsOf } from "./OwnMetrics.ts"

export type Reply =
  /** `work`: it took the model's time, so it comes with the pace of tokens. A text is sent as it is. */
  | { readonly _tag: "whole"; readonly status: number; readonly document: unknown; readonly work: boolean }
  | { readonly _tag: "stream"; readonly contentType: string; readonly events: ReadonlyArray<string> }

export interface Question {
  readonly method: string
  readonly path: string
  readonly body: string
  readonly authorization: string | undefined
}

export interface Serving {
  readonly kind: BackendKind
  readonly models: ReadonlyArray<string>
  /** Requests without this bearer token get 401. */
  readonly key: string | undefined
  /** The answer, token by token. */
  readonly tokens: ReadonlyArray<string>
  readonly load: () => Load
  /** Models in memory. */
  readonly resident: () => ReadonlyArray<string>
  /** vLLM's sleep mode, where it is served; `undefined`: it is not. */
  readonly asleep: boolean | undefined
}

const found = (document: unknown): Reply => ({ _tag: "whole", status: 200, document, work: false })
const worked = (document: unknown): Reply => ({ _tag: "whole", status: 200, document, work: true })
const refused = ({ status, document }: Refusal): Reply => ({ _tag: "whole", status, document, work: false })

export const replyTo = (serving: Serving, question: Question): Reply => {
  const { kind, models, key } = serving
  const { method, path } = question
  // LMDeploy and vLLM leave their health path open; LiteLLM its liveness.
  const open = path === pathsOf[kind].health && (kind === "lmdeploy" || kind === "vllm" || kind === "litellm")
  if (key !== undefined && !open && question.authorization !== `Bearer ${key}`) return refused(unauthorised())
  if (method === "GET" || method === "HEAD") return lookUp(serving, path) ?? refused(unknownPath(kind, method, path))
  let request: Record<string, unknown> | null
  try {
    request = JSON.parse(question.body === "" ? "{}" : question.body) as Record<string, unknown> | null
  } catch {
    return refused(badJson(kind))
  }
  if (request === null) return refused(badJson(kind))
  const model = String(request["model"] ?? "")
  if (isInference(path) && !models.includes(model)) return refused(unknownModel(kind, path, model))
  if (kind === "ollama" && path === "/api/show") return ollamaShow(models, model)
  return infer(serving, path, model, request) ?? refused(unknownPath(kind, method, path))
}

const ollamaShow = (models: ReadonlyArray<string>, name: string): Reply => {
  const model = [name, `${name}:latest`].find((each) => models.includes(each))
  if (model === undefined) return refused({ status: 404, document: { error: `model '${name}' not found` } })
  return found(ollamaModel(model))
}

const lookUp = (serving: Serving, path: string): Reply | undefined => {
  const { kind, models } = serving
  if (kind === "ollama") {
    if (path === "/") return found("Ollama is running")
    if (path === "/api/tags") return found(ollamaTags(models))
    if (path === "/api/version") return found({ version: "0.14.2" })
    if (path === "/api/ps") return found(ollamaRunning(serving.resident()))
  }
  if (kind === "lm-studio" && path === "/api/v0/models") return found(lmStudioModels(models, (model) => serving.resident().includes(model)))
  if (isOpenAiListing(kind, path)) return found(openAiModels(kind, models))
  if (kind === "omlx" && path === "/v1/models/status") return found({ models: models.map((id) => ({ id, loaded: true })) })
  if (path === "/metrics") {
    const text = metricsOf(kind, models[0] ?? "", serving.load())
    if (text !== undefined) return found(text)
  }
  if (kind === "llamacpp" && path === "/props") return found(llamacppProps(models[0] ?? "", serving.load().slots))
  if (kind === "vllm" && path === "/is_sleeping" && serving.asleep !== undefined) return found({ is_sleeping: serving.asleep })
  if (kind === "lmdeploy" && path === "/is_sleeping") return found({ is_sleeping: false })
  if (kind === "litellm" && path === "/health/readiness") return found({ status: "healthy", db: "Not connected" })
  if ((kind === "vllm" || kind === "sglang") && path === "/version") return found({ version: "0.14.0" })
  if (path === pathsOf[kind].health) return found(healthOf(kind, models))
  return undefined
}

const healthOf = (kind: BackendKind, models: ReadonlyArray<string>): unknown => {
  switch (kind) {
    case "vllm":
    case "sglang":
    case "lmdeploy":
      return ""
    case "litellm":
      return "I'm alive!"
    case "lemonade":
      return { status: "ok", model_loaded: models[0] ?? null }
    case "vllm-mlx":
    case "omlx":
      return { status: "healthy" }
    default:
      return { status: "ok" }
  }
}

const infer = (serving: Serving, path: string, model: string, request: Record<string, unknown>): Reply | undefined => {
  const { kind, tokens } = serving
  const { messages, countsTokens, responses } = pathsOf[kind]
  const options = request["stream_options"] as Record<string, unknown> | undefined
  const asked: Asked = { kind, model, tool: firstTool(request["tools"]), wantsUsage: options?.["include_usage"] === true }
  // Ollama's own routes stream unless told not to.
  const stream = request["stream"] === true || (request["stream"] === undefined && kind === "ollama" && path.startsWith("/api/"))
  const whole = tokens.join("")
  const streamed = (events: ReadonlyArray<string>, contentType = "text/event-stream"): Reply => ({ _tag: "stream", contentType, events })

  if (isChat(kind, path))
    return stream ? streamed(chatEvents(asked, tokens)) : worked(chatCompletion(kind, model, whole, tokens.length, asked.tool))
  if (path === messages)
    return stream ? streamed(messageEvents(asked, tokens)) : worked(anthropicMessage(model, whole, tokens.length, asked.tool))
  if (countsTokens === true && path === `${messages}/count_tokens`) return worked({ input_tokens: 42 })
  if (path === responses) return stream ? streamed(responseEvents(asked, tokens)) : worked(response(model, whole, tokens.length))
  if (kind === "ollama" && path === "/api/chat")
    return stream ? streamed(ollamaChatLines(asked, tokens), "application/x-ndjson") : worked(ollamaChat(model, whole, true, tokens.length))
  if (kind === "ollama" && path === "/api/generate")
    return stream
      ? streamed(ollamaGenerateLines(asked, tokens), "application/x-ndjson")
      : worked(ollamaGenerate(model, whole, true, tokens.length))
  if (kind === "ollama" && path === "/api/embed") return worked({ model, embeddings: [[0.1, 0.2, 0.3]] })
  if (kind === "lmdeploy" && path.endsWith("/embeddings"))
    return refused({ status: 400, document: { object: "error", message: "Unsupported by turbomind.", code: 400 } })
  if (path.endsWith("/embeddings")) return worked(embeddings(model, countOf(request["input"])))
  if (path.endsWith("/completions"))
    return stream ? streamed(completionEvents(asked, tokens)) : worked(textCompletion(model, whole, tokens.length))
  if ((kind === "vllm" || kind === "omlx") && path.endsWith("/rerank")) return worked(rerank(model, countOf(request["documents"])))
  return undefined
}

const countOf = (list: unknown): number => (Array.isArray(list) ? list.length : 1)

const firstTool = (tools: unknown): string | undefined => {
  const tool = Array.isArray(tools) ? (tools[0] as Record<string, unknown> | undefined) : undefined
  return tool === undefined ? undefined : String((tool["function"] as Record<string, unknown> | undefined)?.["name"] ?? tool["name"])
}
