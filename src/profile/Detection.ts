/**
 * Which kind an `auto` endpoint is, on evidence. Probes are asked in this order; the first
 * whose answer proves something decides.
 */

type Json = { readonly [key: string]: unknown }

const record = (value: unknown): Json => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {})
const entries = (body: unknown): ReadonlyArray<Json> | undefined => {
  const data = record(body)["data"]
  return Array.isArray(data) ? data.map(record) : undefined
}

const owners = new Set(["vllm", "vllm-mlx", "sglang", "lmdeploy", "omlx", "rapid-mlx", "llamacpp"])

const judgeOllama = (body: unknown) => (Array.isArray(record(body)["models"]) && entries(body) === undefined ? "ollama" : undefined)

const judgeOpenAi = (body: unknown): string | undefined => {
  const list = entries(body)
  if (list === undefined) return undefined
  const owner = list.map((entry) => entry["owned_by"]).find((name) => typeof name === "string" && owners.has(name))
  if (typeof owner === "string") return owner
  if (Array.isArray(record(body)["models"]) || list.some((entry) => typeof entry["meta"] === "object" && entry["meta"] !== null))
    return "llamacpp"
  return "openai-compatible"
}

export interface DetectionProbe {
  readonly path: string
  /** Profile name proved by a 200 answer with this JSON; `undefined`: no proof, go on. */
  readonly judge: (body: unknown) => string | undefined
  /** The answer proves the kind but is no listing: that is read from the kind's own path. */
  readonly isBare?: boolean
}

export const detectionProbes: ReadonlyArray<DetectionProbe> = [
  // Docker Model Runner answers Ollama's paths too.
  { path: "/engines/v1/models", judge: (body) => (entries(body) !== undefined ? "docker-model-runner" : undefined) },
  { path: "/api/tags", judge: judgeOllama },
  { path: "/api/v0/models", judge: (body) => (entries(body) !== undefined ? "lm-studio" : undefined) },
  {
    path: "/api/v1/models",
    judge: (body) =>
      entries(body)?.some((entry) => entry["recipe"] !== undefined || entry["checkpoint"] !== undefined) ? "lemonade" : undefined
  },
  // LiteLLM lists models like anybody; what it says of its life is its own, and wants no key.
  { path: "/health/liveliness", judge: (body) => (body === "I'm alive!" ? "litellm" : undefined), isBare: true },
  { path: "/v1/models", judge: judgeOpenAi }
]

/** An explicit `model_url`: that answer alone, judged by the same evidence. */
export const judgeListing = (body: unknown): string | undefined => {
  const list = entries(body)
  const lmStudio = list?.some((entry) => entry["compatibility_type"] !== undefined || entry["max_context_length"] !== undefined) === true
  const lemonade = list?.some((entry) => entry["recipe"] !== undefined || entry["checkpoint"] !== undefined) === true
  return judgeOllama(body) ?? (lmStudio ? "lm-studio" : lemonade ? "lemonade" : judgeOpenAi(body))
}
