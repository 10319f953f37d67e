/** Anthropic Messages as the dialect of a client. */
import { converse, type Learnt } from "../Conversing.ts"
import { listOf, numberOf } from "../JsonValue.ts"
import type { NativeMemory } from "../NativeMemory.ts"
import type { Conversation, TranslatedExchange } from "../Translator.ts"
import { anthropicAnswers } from "./AnthropicAnswers.ts"
import { messagesForm } from "./MessagesForm.ts"
import { readMessages } from "./MessagesReading.ts"
import { featuresOf, speaksNatively } from "./MessagesRequest.ts"
import { hasWhatIsRefused, type NativeRefusal, refusalOf } from "./NativeSupport.ts"
import { estimateTokens } from "./TokenEstimate.ts"

export const converseInMessages = (memory: NativeMemory<NativeRefusal>, learnt: Learnt, exchange: TranslatedExchange): Conversation => {
  const { request, inspection } = exchange
  const features = featuresOf(request)
  return converse(exchange, learnt, {
    name: "messages",
    title: "Messages",
    native: {
      memory,
      form: messagesForm,
      canDo: ({ profile }) => profile?.anthropic?.enabled === true && speaksNatively(profile.anthropic, features),
      target: ({ profile }) => profile?.anthropic?.messagesPath || "/v1/messages",
      has: (refusal) => hasWhatIsRefused(features, refusal),
      refuses: (status, sentence) => refusalOf(status, sentence, features),
      saysRequestId: true
    },
    read: () => readMessages(request),
    writer: () => anthropicAnswers,
    answer: () => ({
      model: inspection.spelling,
      estimate: estimateTokens(request),
      maxTokens: numberOf(request["max_tokens"]),
      stops: (listOf(request["stop_sequences"]) ?? []).filter((stop) => typeof stop === "string")
    })
  })
}
