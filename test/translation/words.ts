/** The words of chat requests for kinds of servers, as their profiles have them. */
import type { ChatTurn } from "../../src/translation/ChatTurn.ts"
import { type ReasoningKept, writeChat } from "../../src/translation/openai/ChatRequestWriting.ts"
import type { Lesson, Wording } from "../../src/translation/openai/Wording.ts"

const plain: Wording = {
  reasoningFields: [],
  thinkingSwitch: "none",
  extraSampling: [],
  known: false,
  cacheKey: false,
  lessons: new Set()
}

export const wordsFor = {
  "openai-compatible": plain,
  vllm: {
    ...plain,
    known: true,
    reasoningFields: ["reasoning", "reasoning_content"],
    thinkingSwitch: "chat_template",
    extraSampling: ["top_k", "min_p", "repetition_penalty"]
  },
  llamacpp: {
    ...plain,
    known: true,
    reasoningFields: ["reasoning_content"],
    thinkingSwitch: "chat_template",
    extraSampling: ["top_k", "min_p", "repeat_penalty"]
  },
  ollama: { ...plain, known: true, reasoningFields: ["reasoning"], thinkingSwitch: "effort", extraSampling: ["top_k"] },
  litellm: { ...plain, known: true, thinkingSwitch: "effort", extraSampling: ["top_k"], cacheKey: true },
  lemonade: { ...plain, known: true, reasoningFields: ["reasoning_content"], extraSampling: ["top_k"] }
} satisfies Record<string, Wording>

export const writtenFor = (
  turn: ChatTurn,
  kind: keyof typeof wordsFor = "openai-compatible",
  lessons: ReadonlyArray<Lesson> = [],
  kept: ReasoningKept = "all"
) => {
  const { fields, dropped } = writeChat(turn, { ...wordsFor[kind], lessons: new Set(lessons) }, kept)
  return { fields, dropped: [...turn.dropped, ...dropped] }
}
