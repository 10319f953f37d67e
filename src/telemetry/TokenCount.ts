/**
 * How many tokens a request took: as its answer says, and where that says nothing by the size of what went in and out. Read once, after
 * the end, for requests whose client is known.
 */
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import type { ReadUsage } from "./Usage.ts"

export interface TokenCount {
  /** Of the prompt, cached ones among them. */
  readonly in: number
  readonly cached: number
  readonly out: number
  /** Of both, those that nobody counted. */
  readonly estimated: number
}

const nothing: TokenCount = { in: 0, cached: 0, out: 0, estimated: 0 }

const bytesPerToken = 4

const bytesOf = (part: Uint8Array): Buffer => Buffer.from(part.buffer, part.byteOffset, part.length)

/** The last number behind a name in what is kept of the body; `undefined`: it has none. */
const lastNumber = ({ kept }: Exchange, name: string): number | undefined => {
  const mark = `"${name}":`
  const parts = kept.head === undefined || kept.head === kept.tail[0] ? kept.tail : [kept.head, ...kept.tail]
  for (let i = parts.length - 1; i >= 0; i--) {
    const bytes = bytesOf(parts[i] as Uint8Array)
    const at = bytes.lastIndexOf(mark)
    if (at < 0) continue
    const [digits] = /^\s*\d{1,10}/.exec(bytes.toString("latin1", at + mark.length, at + mark.length + 16)) ?? []
    if (digits !== undefined) return Number(digits)
  }
  return undefined
}

const isStream = ({ kept }: Exchange): boolean => /event-stream|ndjson/i.test(kept.contentType)

const isEmbedding = ({ path }: Exchange): boolean => /\/(?:embeddings?|embed)$/.test(path)

/** Streams: one token an event, as large as those at the end; else by bytes. */
const estimatedCompletion = (exchange: Exchange, { bytes }: Attempt): number => {
  if (isEmbedding(exchange) || bytes === 0) return 0
  if (!isStream(exchange)) return Math.ceil(bytes / bytesPerToken)
  const end = /event-stream/i.test(exchange.kept.contentType) ? "\n\n" : "\n"
  let [events, size] = [0, 0]
  for (const part of exchange.kept.tail) {
    const text = bytesOf(part).toString("latin1")
    size += text.length
    events += text.split(end).length - 1
  }
  return events === 0 ? Math.ceil(bytes / bytesPerToken) : Math.ceil((bytes * events) / size)
}

export const promptOf = ({ reserved, requestBytes }: Exchange): number =>
  reserved > 0 ? reserved : Math.ceil(requestBytes / bytesPerToken)

const isPaid = (exchange: Exchange, attempt: Attempt): boolean => {
  const { outcome } = exchange
  if (outcome === undefined || outcome._tag === "rejected" || attempt.status >= 400) return false
  // A failure before the first byte gave its client nothing; who leaves has had his prompt read all the same.
  return outcome._tag !== "failed" || outcome.committed
}

/** What is told of cached tokens: OpenAI's are a part of the prompt, Anthropic's stand beside it. */
const cachedOf = (exchange: Exchange): { readonly within: number; readonly beside: number } => ({
  within: lastNumber(exchange, "cached_tokens") ?? 0,
  beside: lastNumber(exchange, "cache_read_input_tokens") ?? 0
})

export const tokensOf = (exchange: Exchange, usage: ReadUsage): TokenCount => {
  const attempt = exchange.lastAttempt
  if (attempt === undefined || !isPaid(exchange, attempt)) return nothing
  const isWhole = exchange.outcome?._tag === "completed"
  const figures = isWhole ? usage(exchange, attempt) : undefined
  const told = {
    in: figures?.inputTokens ?? (isWhole ? (lastNumber(exchange, "input_tokens") ?? lastNumber(exchange, "prompt_tokens")) : undefined),
    out:
      figures?.outputTokens ?? (isWhole ? (lastNumber(exchange, "output_tokens") ?? lastNumber(exchange, "completion_tokens")) : undefined)
  }
  if (told.in === undefined && told.out === undefined) {
    const [prompt, completion] = [promptOf(exchange), estimatedCompletion(exchange, attempt)]
    return { in: prompt, cached: 0, out: completion, estimated: prompt + completion }
  }
  const { within, beside } = cachedOf(exchange)
  const prompt = told.in ?? promptOf(exchange)
  // A figure that is larger than the prompt is none of its parts.
  const cached = within <= prompt ? within : 0
  return {
    in: prompt + beside,
    cached: cached + beside,
    out: told.out ?? 0,
    estimated: told.in === undefined ? prompt : 0
  }
}
