/** What a *kind* of backend is. The shipped kinds are data in `config/profiles/*.yaml`; another takes one more file and no code. */
import type { ListingFormat } from "./ListingFormats.ts"
import type { SignalSource } from "./SignalSource.ts"

/**
 * How a chat request tells this kind whether to think: not at all, by variables of its chat template, or by
 * `reasoning_effort`, whose word `none` is off.
 */
export type ThinkingSwitch = "none" | "chat_template" | "effort"

export interface Profile {
  /** Canonical name: what an endpoint's `type` resolves to. */
  readonly name: string
  readonly version: string
  readonly displayName: string
  readonly description: string
  /** What an operator of this kind should know; for the documentation. */
  readonly notes: ReadonlyArray<string>
  /** As written; for the documentation. */
  readonly defaultPorts: ReadonlyArray<string>
  /** What proves that a server of `type: auto` is of this kind. */
  readonly proofs: ReadonlyArray<DetectionProof>
  /** URL prefixes that answer under `/olla/<prefix>/`, as written; reserved and malformed ones are already left out. */
  readonly prefixes: ReadonlyArray<string>
  readonly openaiCompatible: boolean
  /**
   * Servers of unknown make: its routes take every OpenAI-compatible kind, its requests have only fields that OpenAI's API
   * knows, and where nothing is known of an answer's kind, it is read as this one's.
   */
  readonly generic: boolean
  /** Paths that only the generic kind declares are this kind's too. */
  readonly genericPaths: boolean
  /** Paths that Olla refuses under the kind's prefixes, and why. One that ends in `*` stands for all that begin so. */
  readonly refusedPaths: ReadonlyArray<readonly [path: string, why: string]>
  /** The same whatever the prefix, unless its kind declares the path as its own. */
  readonly refusedEverywhere: ReadonlyArray<readonly [path: string, why: string]>
  /** Paths that this kind of server understands, after prefix stripping. A preference, not an allow-list. */
  readonly paths: ReadonlyArray<string>
  /** Provider-scoped requests outside `paths` get 404. */
  readonly enforcePaths: boolean
  /** Empty: `/`. */
  readonly healthCheckPath: string
  /** Empty: `/v1/models`, and no native listing route. */
  readonly modelDiscoveryPath: string
  readonly listingFormat: ListingFormat
  /** Paths under the kind's prefixes that Olla answers itself, with the list of the kind's models in this form. */
  readonly listings: ReadonlyMap<string, ListingFormat>
  /** A model without a tag has this one (Ollama: `latest`); empty: names stand for themselves. */
  readonly impliedTag: string
  /** How `/version` lists it, and where; those without a place come last. */
  readonly listedAs: { readonly name: string; readonly place: number }
  /** Absent: no native Anthropic API. */
  readonly anthropic: AnthropicSupport | undefined
  /** Absent: no native Responses API. */
  readonly responses: ResponsesSupport | undefined
  readonly metrics: MetricsExtraction
  /** Fields of an assistant message that this kind reads its reasoning of former turns from. */
  readonly reasoningFields: ReadonlyArray<string>
  readonly thinkingSwitch: ThinkingSwitch
  /** Sampling fields beyond OpenAI's that its chat takes. */
  readonly extraSampling: ReadonlyArray<string>
  /** Takes `prompt_cache_key`: it hands requests on to servers that keep caches by key. */
  readonly promptCacheKey: boolean
  /** Answers chat completions. */
  readonly chat: boolean
  /** Answers Ollama's own `/api/chat` and `/api/generate`. */
  readonly ollama: boolean
  /** In whose form it makes embeddings. */
  readonly embeddings: ReadonlyArray<EmbeddingsForm>
  /** Where a server tells of its load and of what it has in memory. */
  readonly signals: ReadonlyArray<SignalSource>
  /** A server has its models in memory for as long as it runs, unless it says otherwise. */
  readonly fixedModel: boolean
  /** Tokens of prompts that a server keeps, where it does not say; `undefined`: nothing is known. */
  readonly promptCacheTokens: number | undefined
  /** Where chat completions live on this kind (`/v1/chat/completions`, `/api/v1/chat/completions`, ...). */
  readonly chatPath: string
}

/** `/v1/embeddings`, or `/api/embed`. */
export type EmbeddingsForm = "openai" | "ollama"

export interface ResponsesSupport {
  readonly enabled: boolean
  readonly responsesPath: string
  /** `functions_only`: of tools it takes functions, and ignores or refuses the others. */
  readonly limitations: ReadonlyArray<string>
  /** It keeps conversations: a request may go on from an earlier answer. */
  readonly stateful: boolean
}

export interface AnthropicSupport {
  readonly enabled: boolean
  readonly messagesPath: string
  readonly limitations: ReadonlyArray<string>
  readonly tokenCount: boolean
  /** It holds conversations: a request may name the message that it goes on from instead of saying everything again. */
  readonly threads: boolean
  /** First backend version that has it; empty: not known. Nothing acts on it. */
  readonly minVersion: string
}

/** How usage figures are read from an answer; docs/backends.md has the keys. */
export interface MetricsExtraction {
  readonly enabled: boolean
  readonly source: string
  /** Field to JSON path. */
  readonly paths: Readonly<Record<string, string>>
  /** Metric to expression. */
  readonly calculations: Readonly<Record<string, string>>
  /** Field to response header. */
  readonly headers: Readonly<Record<string, string>>
}

/** What proves a kind: all marks that are given must be there. */
export interface DetectionProof {
  /** Empty: it is asked for nowhere, but holds for a list that is read from another place. */
  readonly path: string
  /** Lower ones are looked at first. */
  readonly place: number
  /** Lists that the answer has, and one that it has not got. */
  readonly lists: ReadonlyArray<string>
  readonly lacks: string
  /** Some entry of `data` has one of these fields. */
  readonly entryFields: ReadonlyArray<string>
  /** Some entry of `data` is owned by one of these. */
  readonly owners: ReadonlyArray<string>
  /** The answer is exactly this text. */
  readonly text: string
  /** The answer has this header, with this beginning where one is given: `server: llama.cpp`. */
  readonly header: string
  /** It holds for any list, wherever it was read. */
  readonly anywhere: boolean
  /** The answer is the kind's list of models; else that is read from the kind's own path. */
  readonly isListing: boolean
}
