/** Lists of models in each backend's own form, and Anthropic's. */
import * as Schema from "effect/Schema"
import type { WrittenFormat } from "../../profile/ListingFormats.ts"
import type { DocumentSchema } from "./Encoding.ts"
import { Count, Timestamp } from "./Values.ts"

const UnixSeconds = Schema.Int.annotate({ description: "Unix seconds; the same on every call" })

const list = <S extends Schema.Codec<unknown, unknown>>(identifier: string, entry: S) =>
  Schema.Struct({ object: Schema.Literal("list"), data: Schema.Array(entry).annotate({ description: "Ascending by id" }) }).annotate({
    identifier
  })

const entryFields = {
  id: Schema.String,
  object: Schema.Literal("model"),
  owned_by: Schema.String,
  created: UnixSeconds,
  max_model_len: Schema.optionalKey(Count.annotate({ description: "Tokens; of several servers the smallest" })),
  context_length: Schema.optionalKey(Count.annotate({ description: "The same" }))
}

const Permission = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("model_permission"),
  created: UnixSeconds,
  organization: Schema.Literal("*"),
  group: Schema.Null,
  allow_create_engine: Schema.Boolean,
  allow_sampling: Schema.Boolean,
  allow_logprobs: Schema.Boolean,
  allow_search_indices: Schema.Boolean,
  allow_view: Schema.Boolean,
  allow_fine_tuning: Schema.Boolean,
  is_blocking: Schema.Boolean
}).annotate({ identifier: "ModelPermission" })

const PlainEntry = Schema.Struct(entryFields).annotate({ identifier: "ListedModel" })

/** One entry of a list in OpenAI's form. */
export const listedEntry = PlainEntry

const LlamaCppEntry = Schema.Struct({
  ...entryFields,
  aliases: Schema.optionalKey(Schema.Array(Schema.String).annotate({ description: "Other names that a server takes for it" })),
  status: Schema.optionalKey(
    Schema.Struct({ value: Schema.String.annotate({ examples: ["loaded", "loading", "unloaded", "failed"] }) }).annotate({
      description: "Where servers load models on demand: the readiest"
    })
  )
}).annotate({ identifier: "LlamaCppModel" })

export const listingDocuments = {
  unified: list(
    "UnifiedModels",
    Schema.Struct({
      ...entryFields,
      olla: Schema.Struct({
        family: Schema.String,
        variant: Schema.String,
        parameter_size: Schema.String,
        quantization: Schema.String,
        max_context_length: Schema.optionalKey(Count),
        prompt_template_id: Schema.optionalKey(Schema.String),
        aliases: Schema.Array(Schema.String),
        availability: Schema.Array(
          Schema.Struct({
            endpoint: Schema.String.annotate({ description: "Name" }),
            state: Schema.String.annotate({ description: "As the backend tells; `offline` while the endpoint is not routable" })
          })
        ),
        capabilities: Schema.Array(Schema.String)
      })
    })
  ),
  openai: list("OpenAiModels", PlainEntry),
  ollama: Schema.Struct({
    models: Schema.Array(
      Schema.Struct({
        name: Schema.String,
        model: Schema.String,
        modified_at: Timestamp,
        size: Count,
        digest: Schema.String,
        details: Schema.Struct({
          format: Schema.optionalKey(Schema.String),
          family: Schema.String,
          families: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String))),
          parent_model: Schema.optionalKey(Schema.String),
          parameter_size: Schema.String,
          quantization_level: Schema.String
        })
      })
    ).annotate({ description: "Ascending by name" })
  }).annotate({ identifier: "OllamaModels" }),
  lmstudio: list(
    "LmStudioModels",
    Schema.Struct({
      id: Schema.String,
      object: Schema.Literal("model"),
      type: Schema.String.annotate({ examples: ["llm", "vlm", "embeddings"] }),
      publisher: Schema.String.annotate({ description: "`unknown` where nothing says it" }),
      arch: Schema.String,
      compatibility_type: Schema.String.annotate({ examples: ["gguf", "mlx"] }),
      quantization: Schema.String,
      state: Schema.String.annotate({ examples: ["loaded", "loading", "not-loaded"] }),
      max_context_length: Schema.optionalKey(Count.annotate({ description: "Where nothing says it, `translation.assumed_context`" })),
      loaded_context_length: Schema.optionalKey(Count),
      capabilities: Schema.optionalKey(Schema.Array(Schema.String))
    })
  ),
  vllm: list(
    "VllmModels",
    Schema.Struct({
      ...entryFields,
      root: Schema.String,
      parent: Schema.optionalKey(Schema.NullOr(Schema.String)),
      max_model_len: Schema.optionalKey(Count),
      permission: Schema.Array(Permission)
    })
  ),
  lmdeploy: list("LmDeployModels", Schema.Struct({ ...entryFields, permission: Schema.Array(Permission) })),
  sglang: list(
    "SglangModels",
    Schema.Struct({
      ...entryFields,
      root: Schema.String,
      parent: Schema.optionalKey(Schema.String),
      max_model_len: Schema.optionalKey(Count),
      supports_vision: Schema.optionalKey(Schema.Boolean),
      radix_cache_size: Schema.optionalKey(Count),
      spec_decoding: Schema.optionalKey(Schema.Boolean),
      frontend_enabled: Schema.optionalKey(Schema.Boolean)
    })
  ),
  lemonade: list(
    "LemonadeModels",
    Schema.Struct({ ...entryFields, checkpoint: Schema.String, recipe: Schema.String, downloaded: Schema.Boolean })
  ),
  llamacpp: Schema.Struct({
    object: Schema.Literal("list"),
    data: Schema.Array(LlamaCppEntry),
    models: Schema.Array(LlamaCppEntry).annotate({ description: "The same again" })
  }).annotate({ identifier: "LlamaCppModels" }),
  "docker-model-runner": list("DockerModels", PlainEntry),
  "vllm-mlx": list("VllmMlxModels", PlainEntry)
} as const satisfies Readonly<Record<WrittenFormat, DocumentSchema>>

export const AnthropicModel = Schema.Struct({
  type: Schema.Literal("model"),
  id: Schema.String,
  display_name: Schema.String,
  created_at: Timestamp
}).annotate({ identifier: "AnthropicModel" })

export const AnthropicModels = Schema.Struct({
  data: Schema.Array(AnthropicModel),
  has_more: Schema.Boolean,
  first_id: Schema.NullOr(Schema.String),
  last_id: Schema.NullOr(Schema.String)
}).annotate({ identifier: "AnthropicModels" })

export const TokenCount = Schema.Struct({ input_tokens: Count }).annotate({ identifier: "TokenCount" })
