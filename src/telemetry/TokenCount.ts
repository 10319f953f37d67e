/**
 * How many tokens a request took: as its answer says, and where that says nothing by the size of what went in and out. Read once, after
 * the end, for requests whose client is known.
 */
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import type { ReadUsage } from "./Usage.ts"
import { keptBytes } from "./UsageReading.ts"

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
const none = Buffer.alloc(0)

/** The last number behind a name in what is kept of the body; `undefined`: it has none. */
const lastNumber = (bytes: Buffer, name: string): number | undefined => {
  const mark = `"${name}"`
  for (let at = bytes.lastIndexOf(mark); at >= 0; at = at === 0 ? -1 : bytes.lastIndexOf(mark, at - 1)) {
    const from = at + mark.length
    const [, digits] = /^\s*:\s*(\d{1,10})(?!\d)/.exec(bytes.toString("latin1", from, from + 24)) ?? []
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
  const end = /event-stream/i.test(exchange.kept.contentType) ? /\n\r?\n/g : /\n/g
  // Together: neither an event nor its end cares where a read was cut.
  const text = Buffer.concat(exchange.kept.tail).toString("latin1")
  const events = text.match(end)?.length ?? 0
  return events === 0 ? Math.ceil(bytes / bytesPerToken) : Math.ceil((bytes * events) / text.length)
}

export const promptOf = ({ reserved, requestBytes }: Exchange): number =>
  reserved > 0 ? reserved : Math.ceil(requestBytes / bytesPerToken)

const isPaid = (exchange: Exchange, attempt: Attempt): boolean => {
  const { outcome } = exchange
  if (outcome === undefined || outcome._tag === "rejected" || attempt.status >= 400) return false
  // A failure before the first byte gave its client nothing; who leaves has had his prompt read all the same.
  return outcome._tag !== "failed" || outcome.committed
}

export const tokensOf = (exchange: Exchange, usage: ReadUsage): TokenCount => {
  const attempt = exchange.lastAttempt
  if (attempt === undefined || !isPaid(exchange, attempt)) return nothing
  const isWhole = exchange.outcome?._tag === "completed"
  const figures = isWhole ? usage(exchange, attempt) : undefined
  const kept = isWhole ? keptBytes(exchange.kept) : none
  const inTold = figures?.inputTokens ?? lastNumber(kept, "input_tokens") ?? lastNumber(kept, "prompt_tokens")
  const outTold = figures?.outputTokens ?? lastNumber(kept, "output_tokens") ?? lastNumber(kept, "completion_tokens")
  if (inTold === undefined && outTold === undefined) {
    const [prompt, completion] = [promptOf(exchange), estimatedCompletion(exchange, attempt)]
    return { in: prompt, cached: 0, out: completion, estimated: prompt + completion }
  }
  // OpenAI's cached tokens are a part of the prompt; Anthropic's stand beside it, those that were written to the cache as well.
  const within = lastNumber(kept, "cached_tokens") ?? 0
  const beside = lastNumber(kept, "cache_read_input_tokens") ?? 0
  const written = lastNumber(kept, "cache_creation_input_tokens") ?? 0
  const prompt = inTold ?? promptOf(exchange)
  // A figure that is larger than the prompt is none of its parts.
  const cached = within <= prompt ? within : 0
  return {
    in: prompt + beside + written,
    cached: cached + beside,
    out: outTold ?? 0,
    estimated: inTold === undefined ? prompt : 0
  }
}
