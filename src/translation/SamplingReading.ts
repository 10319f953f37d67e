/** Sampling as chat completions name it. Ollama's options bear the same names, and so do its log probabilities. */
import type { Sampling } from "./ChatTurn.ts"
import { type JsonRecord, listOf, numberOf } from "./JsonValue.ts"

/** All but the limit of tokens. `options`: where they stand; `request`: where log probabilities are asked for. */
export const readSampling = (options: JsonRecord, request: JsonRecord): Omit<Sampling, "maxTokens"> => {
  const topLogprobs = numberOf(request["top_logprobs"])
  const wantsLogprobs = request["logprobs"] === true || (topLogprobs ?? 0) > 0
  return {
    temperature: numberOf(options["temperature"]),
    topP: numberOf(options["top_p"]),
    topK: numberOf(options["top_k"]),
    minP: numberOf(options["min_p"]),
    seed: numberOf(options["seed"]),
    frequencyPenalty: numberOf(options["frequency_penalty"]),
    presencePenalty: numberOf(options["presence_penalty"]),
    repeatPenalty: numberOf(options["repeat_penalty"]),
    logprobs: wantsLogprobs ? true : undefined,
    topLogprobs: wantsLogprobs ? topLogprobs : undefined
  }
}

/** Where an answer ends: one text or several, under `stop`. */
export const readStops = ({ stop }: JsonRecord): ReadonlyArray<string> =>
  (typeof stop === "string" ? [stop] : (listOf(stop) ?? [])).filter((each) => typeof each === "string")

/** The limit of tokens in a chat completion, by its name of today or the former one. */
export const readTokenLimit = (request: JsonRecord): number | undefined =>
  numberOf(request["max_completion_tokens"]) ?? numberOf(request["max_tokens"])
