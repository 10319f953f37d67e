/**
 * Anthropic Messages towards any endpoint: as it came where the endpoint speaks it, else translated. One instance serves one
 * exchange; what is the same for all attempts is made once and on first need.
 */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Dialect, Spoken } from "../../proxy/Dialect.ts"
import { rewriteModel } from "../../routing/ModelRewrite.ts"
import { Complaint } from "../Complaint.ts"
import { listOf, numberOf } from "../JsonValue.ts"
import type { Lessons } from "../Lessons.ts"
import { NativeAnswer } from "../NativeAnswer.ts"
import type { NativeMemory } from "../NativeMemory.ts"
import type { Lesson } from "../openai/Wording.ts"
import { Speaking } from "../Speaking.ts"
import type { Conversation, TranslatedExchange } from "../Translator.ts"
import { anthropicAnswers } from "./AnthropicAnswers.ts"
import { messagesForm } from "./MessagesForm.ts"
import { readMessages } from "./MessagesReading.ts"
import { featuresOf } from "./MessagesRequest.ts"
import { answersNatively, type NativeRefusal, refusalOf } from "./NativeSupport.ts"
import { estimateTokens } from "./TokenEstimate.ts"

export const converseInMessages = (
  native: NativeMemory<NativeRefusal>,
  lessons: Lessons<Lesson>,
  exchange: TranslatedExchange
): Conversation => {
  const { request, inspection } = exchange
  const features = featuresOf(request)
  const speaking = new Speaking({
    exchange,
    dialect: "messages",
    read: () => readMessages(request),
    writer: () => anthropicAnswers,
    answer: () => ({
      model: inspection.spelling,
      estimate: estimateTokens(request),
      maxTokens: numberOf(request["max_tokens"]),
      stops: (listOf(request["stop_sequences"]) ?? []).filter((stop) => typeof stop === "string")
    }),
    lessons,
    reasoning: "all"
  })
  const complaint = () => (speaking.turn instanceof Complaint ? speaking.turn : undefined)

  const spokenNatively = (endpoint: Endpoint, nativeName: string): Spoken => {
    exchange.onMode("passthrough")
    const rename = nativeName !== "" && nativeName !== inspection.spelling
    return {
      mode: "passthrough",
      target: (endpoint.profile?.anthropic?.messagesPath || "/v1/messages") + exchange.query,
      body: rename ? rewriteModel(exchange.body, inspection, nativeName) : exchange.body,
      headers: [],
      answer: () =>
        new NativeAnswer<NativeRefusal>({
          form: messagesForm,
          model: inspection.spelling,
          requestId: exchange.requestId,
          translated: () => (complaint() === undefined ? speaking.translated(endpoint, nativeName) : undefined),
          refuses: (status, sentence) => refusalOf(status, sentence, features),
          onRefusal: (refusal) => {
            native.refused(endpoint, inspection.spelling, refusal)
            exchange.onOddities([{ what: `the backend refuses Messages natively, asked again in translation (${refusal})`, count: 1 }])
          },
          onBytes: exchange.inspector?.relayed
        })
    }
  }

  const isNative = (endpoint: Endpoint): boolean => exchange.passthrough && answersNatively(native, endpoint, inspection.spelling, features)
  const dialect: Dialect = {
    speak: (endpoint, nativeName) => (isNative(endpoint) ? spokenNatively(endpoint, nativeName) : speaking.translated(endpoint, nativeName))
  }
  return {
    dialect,
    isNative,
    complaint,
    droppedTools: () =>
      speaking.turn instanceof Complaint ? [] : speaking.turn.dropped.flatMap((path) => (path.startsWith("tools.") ? [path.slice(6)] : []))
  }
}
