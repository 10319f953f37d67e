/**
 * What a *kind* of backend is. The twelve shipped kinds are data in `config/profiles/*.yaml`; a thirteenth takes one
 * more file and no code.
 */

/** Parser and writer of a kind's model listing (backend-profiles.md 2.2). */
export type ListingFormat =
  | "ollama"
  | "lmstudio"
  | "openai"
  | "vllm"
  | "vllm-mlx"
  | "sglang"
  | "lmdeploy"
  | "llamacpp"
  | "lemonade"
  | "docker-model-runner"

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
  /** URL prefixes that answer under `/olla/<prefix>/`, as written; reserved and malformed ones are already left out. */
  readonly prefixes: ReadonlyArray<string>
  readonly openaiCompatible: boolean
  /** Paths that this kind of server understands, after prefix stripping. A preference, not an allow-list. */
  readonly paths: ReadonlyArray<string>
  /** Provider-scoped requests outside `paths` get 404. */
  readonly enforcePaths: boolean
  /** Empty: `/`. */
  readonly healthCheckPath: string
  /** Empty: `/v1/models`, and no native listing route. */
  readonly modelDiscoveryPath: string
  readonly listingFormat: ListingFormat
  /** Absent: no native Anthropic API. */
  readonly anthropic: AnthropicSupport | undefined
  readonly metrics: MetricsExtraction
  /** Where chat completions live on this kind (`/v1/chat/completions`, `/api/v1/chat/completions`, ...). */
  readonly chatPath: string
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

/** backend-profiles.md 7.8. */
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
