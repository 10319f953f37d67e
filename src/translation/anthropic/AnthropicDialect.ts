/**
 * Anthropic Messages towards any endpoint: as it came where the endpoint speaks it, else translated to a chat completion.
 * One instance serves one exchange; what is the same for all attempts is made once and on first need.
 */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Dialect, Spoken } from "../../proxy/Dialect.ts"
import { rewriteModel } from "../../routing/ModelRewrite.ts"
import { listOf } from "../JsonValue.ts"
import { chatAnswers } from "../openai/ChatReader.ts"
import { TranslatedAnswer } from "../TranslatedAnswer.ts"
import { Complaint, type Conversation, type TranslatedExchange } from "../Translator.ts"
import { anthropicAnswers } from "./AnthropicAnswers.ts"
import { featuresOf } from "./MessagesRequest.ts"
import { NativeAnswer } from "./NativeAnswer.ts"
import { answersNatively, refusedNatively } from "./NativeSupport.ts"
import { type ChatConversion, toChatRequest } from "./ToChatRequest.ts"
import { estimateTokens } from "./TokenEstimate.ts"

/** Mean nothing to a server of another dialect (B12). */
const anthropicOnly = (name: string): boolean => name.startsWith("anthropic-") || name.startsWith("x-stainless-")

const whole = ["content-type", "application/json", "accept", "application/json", "accept-encoding", "identity"]
const streamed = ["content-type", "application/json", "accept", "text/event-stream", "accept-encoding", "identity"]

/** How an endpoint wants its request: extensions, and usage figures in streams. */
interface Wording {
  readonly extended: boolean
  readonly streamOptions: boolean
}

export const converseInMessages = (exchange: TranslatedExchange): Conversation => {
  const { request, inspection } = exchange
  const features = featuresOf(request)
  let made: ChatConversion | Complaint | undefined
  const conversion = (): ChatConversion | Complaint => {
    made ??= toChatRequest(request)
    return made
  }
  let turn: { readonly model: string; readonly estimate: number; readonly stops: ReadonlyArray<string> } | undefined
  const turnOptions = () => {
    turn ??= {
      model: inspection.spelling,
      estimate: estimateTokens(request),
      stops: (listOf(request["stop_sequences"]) ?? []).filter((stop) => typeof stop === "string")
    }
    return turn
  }
  // One serialisation for all attempts in the same words: equal conversations give equal bytes, and a backend's prompt
  // cache stays warm.
  const texts = new Map<string, string>()
  const textOf = ({ fields, extensions }: ChatConversion, { extended, streamOptions }: Wording): string => {
    const key = `${extended}${streamOptions}`
    let text = texts.get(key)
    if (text === undefined) {
      const { stream_options: _, ...without } = fields
      text = JSON.stringify({ ...(streamOptions ? fields : without), ...(extended ? extensions : {}) }).slice(1)
      texts.set(key, text)
    }
    return text
  }

  const translated = (endpoint: Endpoint, nativeName: string, streamOptions: boolean): Spoken => {
    const converted = conversion()
    // Only asked for where `complaint` had nothing to say.
    if (converted instanceof Complaint) throw new Error(converted.message)
    exchange.onMode("translation")
    // Servers of unknown make may refuse fields that OpenAI does not know.
    const extended = endpoint.profile?.generic === false
    const model = nativeName === "" ? inspection.spelling : nativeName
    const { streaming } = converted
    return {
      mode: "translation",
      target: (endpoint.profile?.chatPath ?? "/v1/chat/completions") + exchange.query,
      body: [Buffer.from(`{"model":${JSON.stringify(model)},${textOf(converted, { extended, streamOptions })}`)],
      headers: streaming ? streamed : whole,
      without: anthropicOnly,
      answer: () =>
        new TranslatedAnswer({
          reader: chatAnswers,
          writer: anthropicAnswers,
          turn: turnOptions(),
          streaming,
          requestId: exchange.requestId,
          // Some servers refuse the field that asks for usage figures (B14).
          reworded:
            streaming && streamOptions
              ? (status, body) => (status === 400 && body.includes("stream_options") ? translated(endpoint, nativeName, false) : undefined)
              : undefined,
          onAnswer: exchange.inspector?.answered,
          onOddities: exchange.onOddities,
          onBackendError: exchange.onBackendError
        })
    }
  }

  const spokenNatively = (endpoint: Endpoint, nativeName: string): Spoken => {
    exchange.onMode("passthrough")
    const rename = nativeName !== "" && nativeName !== inspection.spelling
    return {
      mode: "passthrough",
      target: (endpoint.profile?.anthropic?.messagesPath || "/v1/messages") + exchange.query,
      body: rename ? rewriteModel(exchange.body, inspection, nativeName) : exchange.body,
      headers: [],
      answer: () =>
        new NativeAnswer({
          model: inspection.spelling,
          requestId: exchange.requestId,
          translated: () => (conversion() instanceof Complaint ? undefined : translated(endpoint, nativeName, true)),
          onUnsupported: () => refusedNatively(endpoint),
          onBytes: exchange.inspector?.relayed
        })
    }
  }

  const isNative = (endpoint: Endpoint): boolean => exchange.passthrough && answersNatively(endpoint, features)
  const dialect: Dialect = {
    speak: (endpoint, nativeName) => (isNative(endpoint) ? spokenNatively(endpoint, nativeName) : translated(endpoint, nativeName, true))
  }
  return {
    dialect,
    isNative,
    complaint: () => {
      const converted = conversion()
      return converted instanceof Complaint ? converted : undefined
    },
    droppedTools: () => {
      const converted = conversion()
      return converted instanceof Complaint ? [] : converted.droppedTools
    }
  }
}
