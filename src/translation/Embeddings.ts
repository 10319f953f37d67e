/** Embeddings in OpenAI's form and in Ollama's two, each asked of servers that have another one. */

import { failure } from "../exchange/Failure.ts"
import type { AnswerHead, AnswerTranslator, Spoken, Translated } from "../proxy/Dialect.ts"
import { unpacked } from "../proxy/Unpacking.ts"
import { answerHeaders, headerOf } from "./AnswerHeaders.ts"
import { Complaint } from "./Complaint.ts"
import { droppedHeader, fieldsBeside } from "./DroppedNames.ts"
import { countOf, type JsonRecord, listOf, numberOf, parseJson, recordOf, textOf } from "./JsonValue.ts"
import { backendMessageOf } from "./openai/BackendError.ts"
import { errorBody as openAiError } from "./openai/OpenAiErrors.ts"

/** `ollamaOne`: `/api/embeddings`, which takes one text; `ollama`: `/api/embed`. */
export type EmbeddingsClient = "openai" | "ollama" | "ollamaOne"

export interface EmbeddingsRequest {
  readonly model: string
  readonly input: string | ReadonlyArray<string>
  readonly dimensions: number | undefined
  readonly base64: boolean
  readonly dropped: ReadonlyArray<string>
}

const understood: Readonly<Record<EmbeddingsClient, ReadonlySet<string>>> = {
  openai: new Set(["model", "input", "dimensions", "encoding_format", "user"]),
  ollama: new Set(["model", "input", "dimensions", "keep_alive"]),
  ollamaOne: new Set(["model", "prompt", "keep_alive"])
}

export const readEmbeddings = (client: EmbeddingsClient, request: JsonRecord): EmbeddingsRequest | Complaint => {
  const model = textOf(request["model"])
  if (model === undefined) return new Complaint("model is required")
  const field = client === "ollamaOne" ? "prompt" : "input"
  const given = request[field]
  const texts = listOf(given)
  const input = typeof given === "string" ? given : texts?.every((text) => typeof text === "string") === true ? texts : undefined
  if (input === undefined || (client === "ollamaOne" && typeof input !== "string"))
    return new Complaint(
      texts === undefined
        ? `${field} must be a text${client === "ollamaOne" ? "" : " or a list of texts"}`
        : `${field}: only texts can be embedded by the endpoints of this model, not tokens`,
      { param: field, code: "invalid_value" }
    )
  return {
    model,
    input,
    dimensions: numberOf(request["dimensions"]),
    base64: request["encoding_format"] === "base64",
    dropped: fieldsBeside(request, understood[client])
  }
}

/** Asked of a server that has the other form. `path`: where. */
export const spokenEmbeddings = (
  client: EmbeddingsClient,
  to: "openai" | "ollama",
  path: string,
  model: string,
  request: EmbeddingsRequest
): Spoken => {
  const { input, dimensions } = request
  const body = {
    model,
    input,
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(to === "openai" ? { encoding_format: "float" } : {})
  }
  return {
    target: path,
    body: [Buffer.from(JSON.stringify(body))],
    headers: ["content-type", "application/json", "accept", "application/json", "accept-encoding", "identity"],
    answer: () => new EmbeddingsAnswer(client, to, request)
  }
}

/** Bytes of an answer that are held. */
const maxAnswer = 256 * 1024 * 1024

class EmbeddingsAnswer implements AnswerTranslator {
  readonly #client: EmbeddingsClient
  readonly #from: "openai" | "ollama"
  readonly #request: EmbeddingsRequest
  readonly #began = performance.now()
  #head: AnswerHead = { status: 200, headers: [] }
  readonly #held: Array<Buffer> = []
  #size = 0

  constructor(client: EmbeddingsClient, from: "openai" | "ollama", request: EmbeddingsRequest) {
    this.#client = client
    this.#from = from
    this.#request = request
  }

  head(head: AnswerHead): undefined {
    this.#head = head
  }

  push(bytes: Buffer): Translated | undefined {
    this.#size += bytes.length
    if (this.#size > maxAnswer) return this.#error(502, "the backend's answer is too large to translate")
    this.#held.push(bytes)
    return undefined
  }

  end(): Translated {
    const text = unpacked(Buffer.concat(this.#held), headerOf(this.#head.headers, "content-encoding"), maxAnswer)?.toString("utf8") ?? ""
    const { status } = this.#head
    if (status >= 400) return this.#answer(status, this.#errorBody(status, backendMessageOf(text)))
    const vectors = vectorsOf(this.#from, recordOf(parseJson(text)) ?? {})
    if (status !== 200 || vectors === undefined) return this.#error(502, "the backend's answer has no embeddings")
    return this.#answer(200, JSON.stringify(this.#document(vectors)))
  }

  fail(): undefined {
    return undefined
  }

  #document({ vectors, tokens }: Vectors): JsonRecord {
    const { model, base64 } = this.#request
    if (this.#client === "ollamaOne") return { embedding: vectors[0] ?? [] }
    if (this.#client === "openai")
      return {
        object: "list",
        model,
        data: vectors.map((embedding, index) => ({ object: "embedding", index, embedding: base64 ? packed(embedding) : embedding })),
        usage: { prompt_tokens: tokens, total_tokens: tokens }
      }
    const total = Math.max(1, Math.round((performance.now() - this.#began) * 1e6))
    return { model, embeddings: vectors, total_duration: total, load_duration: 1, prompt_eval_count: tokens }
  }

  #errorBody(status: number, message: string): string {
    return this.#client === "openai" ? openAiError(status, message, "") : JSON.stringify({ error: message })
  }

  #error(status: number, message: string): Translated {
    return { ...this.#answer(status, this.#errorBody(status, message)), fault: failure("untranslatable", message) }
  }

  #answer(status: number, body: string): Translated {
    const bytes = Buffer.from(body)
    const dropped = droppedHeader(this.#request.dropped)
    const headers = [
      ...answerHeaders(this.#head.headers, "application/json", "", status >= 400),
      "X-Olla-Dialect",
      `${this.#client === "openai" ? "embeddings->ollama-embed" : "ollama-embed->embeddings"}`,
      ...(dropped === undefined ? [] : ["X-Olla-Dropped", dropped]),
      "content-length",
      String(bytes.length)
    ]
    return { head: { status, headers }, bytes, done: true }
  }
}

type Vector = ReadonlyArray<number>

interface Vectors {
  readonly vectors: ReadonlyArray<Vector>
  readonly tokens: number
}

const vectorsOf = (from: "openai" | "ollama", body: JsonRecord): Vectors | undefined => {
  if (from === "ollama") {
    const vectors = listOf(body["embeddings"]) as ReadonlyArray<Vector> | undefined
    return vectors === undefined ? undefined : { vectors, tokens: countOf(body["prompt_eval_count"]) }
  }
  const data = listOf(body["data"])
  if (data === undefined) return undefined
  const vectors: Array<Vector> = []
  for (const [at, value] of data.entries()) {
    const entry = recordOf(value)
    const vector = listOf(entry?.["embedding"]) as Vector | undefined
    if (vector === undefined) return undefined
    vectors[numberOf(entry?.["index"]) ?? at] = vector
  }
  return { vectors, tokens: countOf(recordOf(body["usage"])?.["prompt_tokens"]) }
}

/** Little-endian, as OpenAI's clients unpack them. */
const packed = (vector: Vector): string => {
  const bytes = Buffer.alloc(4 * vector.length)
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(value, 4 * at)
  return bytes.toString("base64")
}
