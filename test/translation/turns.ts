/** Turns to begin tests from. */
import type { ChatTurn } from "../../src/translation/ChatTurn.ts"

export const emptyTurn: ChatTurn = {
  model: "m",
  system: [],
  turns: [],
  tools: [],
  choice: undefined,
  parallel: undefined,
  sampling: {},
  stops: [],
  output: { kind: "text" },
  thinking: "unset",
  stream: false,
  user: undefined,
  cacheKey: undefined,
  dropped: [],
  names: {
    topK: "top_k",
    minP: "min_p",
    seed: "seed",
    stops: "stop",
    frequencyPenalty: "frequency_penalty",
    presencePenalty: "presence_penalty",
    repeatPenalty: "repeat_penalty",
    logprobs: "logprobs",
    thinking: "thinking",
    strict: "tools.strict",
    parallel: "parallel",
    choice: "choice",
    output: "output",
    reasoning: "reasoning"
  }
}
