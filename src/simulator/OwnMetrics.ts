/** What servers tell of their own load, in the words of each kind. */
import type { BackendKind } from "./Kind.ts"

export interface Load {
  readonly running: number
  readonly waiting: number
  /** Of the memory for prompts, from 0 to 1. */
  readonly cacheUsed: number
  readonly slots: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly answerTokens: number
}

type Kind = "gauge" | "counter"
type Sample = readonly [name: string, kind: Kind, help: string, value: number]

/** Where a kind tells it; its own labels. `undefined`: it does not. */
export const metricsOf = (kind: BackendKind, model: string, load: Load): string | undefined => {
  switch (kind) {
    case "vllm":
    case "vllm-mlx":
      return written(vllm(load), `{engine="0",model_name="${model}"}`)
    case "sglang":
      return written(sglang(load), `{engine_type="unified",model_name="${model}",pp_rank="0",tp_rank="0"}`)
    case "llamacpp":
      return written(llamacpp(load), "")
    default:
      return undefined
  }
}

const written = (samples: ReadonlyArray<Sample>, labels: string): string =>
  samples.map(([name, kind, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${name}${labels} ${value}\n`).join("")

const vllm = (load: Load): ReadonlyArray<Sample> => [
  ["vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", load.running],
  ["vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", load.waiting],
  ["vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", load.cacheUsed],
  ["vllm:prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.", load.promptTokens],
  ["vllm:prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.", load.cachedTokens],
  ["vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.", load.promptTokens],
  ["vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", load.answerTokens]
]

const sglang = (load: Load): ReadonlyArray<Sample> => [
  ["sglang:num_running_reqs", "gauge", "The number of running requests.", load.running],
  ["sglang:num_queue_reqs", "gauge", "The number of requests in the waiting queue.", load.waiting],
  ["sglang:token_usage", "gauge", "The token usage.", load.cacheUsed],
  ["sglang:cache_hit_rate", "gauge", "The prefix cache hit rate.", load.promptTokens === 0 ? 0 : load.cachedTokens / load.promptTokens],
  ["sglang:prompt_tokens_total", "counter", "Number of prefill tokens processed.", load.promptTokens],
  ["sglang:generation_tokens_total", "counter", "Number of generation tokens processed.", load.answerTokens]
]

const llamacpp = (load: Load): ReadonlyArray<Sample> => [
  [
    "llamacpp:prompt_tokens_total",
    "counter",
    "Number of prompt tokens processed, excluding cached tokens",
    load.promptTokens - load.cachedTokens
  ],
  ["llamacpp:prompt_tokens_cached_total", "counter", "Number of prompt tokens reused from the cache", load.cachedTokens],
  ["llamacpp:tokens_predicted_total", "counter", "Number of generation tokens processed", load.answerTokens],
  ["llamacpp:requests_processing", "gauge", "Number of requests processing", load.running],
  ["llamacpp:requests_deferred", "gauge", "Number of requests deferred", load.waiting]
]

/** `/props` of llama-server, as far as clients read it. */
export const llamacppProps = (model: string, slots: number) => ({
  default_generation_settings: { params: { temperature: 0.8, max_tokens: -1, stream: false }, n_ctx: 4096 },
  total_slots: slots,
  model_alias: model,
  model_ftype: "Q4_K - Medium",
  model_path: `${model}.gguf`,
  modalities: { vision: false, video: false, audio: false },
  endpoint_slots: true,
  endpoint_props: false,
  endpoint_metrics: true,
  is_sleeping: false
})
