/** Model listings of each kind in its own shape; as recorded from real servers where there is a recording. */
import type { BackendKind } from "./Kind.ts"

export const created = 1_795_453_397

const owners: Readonly<Partial<Record<BackendKind, string>>> = {
  vllm: "vllm",
  "vllm-mlx": "vllm-mlx",
  sglang: "sglang",
  lmdeploy: "lmdeploy",
  llamacpp: "llamacpp",
  lemonade: "lemonade",
  "docker-model-runner": "docker",
  omlx: "omlx",
  litellm: "openai",
  ollama: "library"
}

const digest = (name: string): string => Buffer.from(name).toString("hex").padEnd(64, "0").slice(0, 64)

const size = 4_920_753_328
const isVision = (id: string): boolean => /vl\b|vl-|llava|vision/i.test(id)
const isEmbedding = (id: string): boolean => /embed/i.test(id)

export const ollamaTags = (models: ReadonlyArray<string>) => ({
  models: models.map((name) => ({
    name,
    model: name,
    modified_at: "2026-11-23T16:17:24.812345678Z",
    size,
    digest: digest(name),
    details: {
      parent_model: "",
      format: "gguf",
      family: "llama",
      families: ["llama"],
      parameter_size: "8.0B",
      quantization_level: "Q4_K_M",
      context_length: 131_072,
      embedding_length: 4096
    },
    capabilities: isEmbedding(name) ? ["embedding"] : ["completion"]
  }))
})

/** What `/api/show` says of one, but for its licence and template. */
export const ollamaModel = (name: string) => {
  const [listed] = ollamaTags([name]).models
  return {
    details: listed?.details,
    model_info: { "general.architecture": "llama", "llama.context_length": 131_072, "llama.embedding_length": 4096 },
    capabilities: listed?.capabilities,
    modified_at: listed?.modified_at
  }
}

/** Models in memory. */
export const ollamaRunning = (models: ReadonlyArray<string>) => ({
  models: ollamaTags(models).models.map(({ name, model, size, digest, details }) => {
    const { context_length: _, embedding_length: __, ...shown } = details
    return {
      name,
      model,
      size,
      digest,
      details: shown,
      expires_at: "2026-11-23T17:08:14.199059638Z",
      size_vram: size,
      context_length: 4096
    }
  })
})

const permission = (id: string) => ({
  id: `modelperm-${digest(id).slice(0, 16)}`,
  object: "model_permission",
  created,
  allow_create_engine: false,
  allow_sampling: true,
  allow_logprobs: true,
  allow_search_indices: false,
  allow_view: true,
  allow_fine_tuning: false,
  organization: "*",
  group: null,
  is_blocking: false
})

const openAiEntry = (kind: BackendKind, id: string) => {
  const base = { id, object: "model", created, owned_by: owners[kind] ?? "organization-owner" }
  switch (kind) {
    case "vllm":
      return { ...base, root: id, parent: null, max_model_len: 32_768, permission: [permission(id)] }
    case "sglang":
      return { ...base, root: id, parent: null, max_model_len: 32_768 }
    case "lmdeploy":
      return { ...base, root: id, parent: null, permission: [permission(id)] }
    case "llamacpp":
      return {
        ...base,
        aliases: [id],
        tags: [],
        architecture: { input_modalities: ["text"], output_modalities: ["text"] },
        meta: {
          vocab_type: 1,
          n_vocab: 32_000,
          n_ctx: 4096,
          n_ctx_train: 131_072,
          n_embd: 64,
          n_params: 8_030_261_312,
          size,
          ftype: "Q4_K - Medium"
        }
      }
    case "lemonade":
      return { ...base, checkpoint: `amd/${id}`, recipe: /-(?:npu|hybrid)$/i.test(id) ? "oga-npu" : "llamacpp", downloaded: true }
    case "omlx":
      return { ...base, max_model_len: 32_768 }
    default:
      return base
  }
}

export const openAiModels = (kind: BackendKind, models: ReadonlyArray<string>) => {
  const data = models.map((id) => openAiEntry(kind, id))
  if (kind !== "llamacpp") return { object: "list", data }
  // llama-server answers in two forms at once.
  const details = { parent_model: "", format: "gguf", family: "", families: [""], parameter_size: "", quantization_level: "" }
  return {
    models: models.map((name) => ({
      name,
      model: name,
      modified_at: "",
      size: "",
      digest: "",
      type: "model",
      description: "",
      tags: [""],
      capabilities: ["completion"],
      parameters: "",
      details
    })),
    object: "list",
    data
  }
}

export const lmStudioModels = (models: ReadonlyArray<string>, isLoaded: (model: string) => boolean) => ({
  object: "list",
  data: models.map((id) => ({
    id,
    object: "model",
    type: isEmbedding(id) ? "embeddings" : isVision(id) ? "vlm" : "llm",
    publisher: "lmstudio-community",
    arch: "llama",
    compatibility_type: "gguf",
    quantization: "Q4_K_M",
    state: isLoaded(id) ? "loaded" : "not-loaded",
    max_context_length: 131_072
  }))
})
