/** One model as one backend's listing reports it. */
export interface ListedModel {
  /** Native name, exactly as reported. */
  readonly name: string
  /** Other names that the backend takes for it, as it lists them. */
  readonly aliases?: ReadonlyArray<string>
  readonly type?: string
  readonly description?: string
  /** Bytes on disk. */
  readonly size?: number
  /** Epoch milliseconds of the listing's arrival. */
  readonly lastSeen: number
  /** The backend's own `created`, in Unix seconds. */
  readonly created?: number
  readonly details?: ListedModelDetails
}

export interface ListedModelDetails {
  readonly parameter_size?: string
  readonly quantization_level?: string
  readonly publisher?: string
  readonly type?: string
  readonly family?: string
  readonly families?: ReadonlyArray<string>
  readonly format?: string
  readonly parent_model?: string
  readonly state?: string
  readonly digest?: string
  /** Exact, where the backend knows it. */
  readonly parameter_count?: number
  readonly checkpoint?: string
  readonly recipe?: string
  /** SGLang's flags. */
  readonly supports_vision?: boolean
  readonly radix_cache_size?: number
  readonly speculative_decoding?: boolean
  readonly frontend_enabled?: boolean
  readonly max_context_length?: number
  /** Numbers in its inner vectors. */
  readonly embedding_length?: number
  /** With which it is in memory now. */
  readonly loaded_context_length?: number
  /** Words of LM Studio's own, such as `tool_use`. */
  readonly capabilities?: ReadonlyArray<string>
  /** Epoch milliseconds. */
  readonly modified_at?: number
}
