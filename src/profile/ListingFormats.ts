/** The forms that model lists come in and are written in. */
export const listingFormats = [
  "ollama",
  "lmstudio",
  "openai",
  "vllm",
  "vllm-mlx",
  "sglang",
  "lmdeploy",
  "llamacpp",
  "lemonade",
  "docker-model-runner"
] as const

/** Parser and writer of a kind's model listing: `request.response_format` of its profile. */
export type ListingFormat = (typeof listingFormats)[number]

/** Also Olla's own, which tells of a model what is known of it on every endpoint. */
export type WrittenFormat = ListingFormat | "unified"
