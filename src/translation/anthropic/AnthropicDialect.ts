/**
 * Anthropic Messages towards any endpoint: as it came where the endpoint speaks it, else translated to a chat completion.
 * One instance serves one exchange; what is the same for all attempts is made once and on first need.
 */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Dialect, Spoken } from "../../proxy/Dialect.ts"
import { rewriteModel } from "../../routing/ModelRewrite.ts"
import type { Inspection } from "../../routing/Router.ts"
import type { JsonRecord } from "../JsonValue.ts"
import { listOf } from "../JsonValue.ts"
import { Complaint } from "./ContentBlocks.ts"
import { NativeAnswer } from "./NativeAnswer.ts"
import { type ChatConversion, toChatRequest } from "./ToChatRequest.ts"
import { estimateTokens } from "./TokenEstimate.ts"
import { TranslatedAnswer } from "./TranslatedAnswer.ts"

export interface AnthropicExchange {
  readonly request: JsonRecord
  readonly body: ReadonlyArray<Buffer>
  readonly inspection: Inspection
  /** With its `?`, or empty. */
  readonly query: string
  readonly requestId: string
  /** Does this endpoint get the request as it came? */
  readonly isNative: (endpoint: Endpoint) => boolean
  readonly onUnsupported: (endpoint: Endpoint) => void
  /** Said once, when the mode of an attempt is known. */
  readonly onMode: (mode: "passthrough" | "translation") => void
  readonly inspector: AnswerInspector | undefined
}

export interface AnswerInspector {
  readonly message: (message: unknown) => void
  readonly relayed: (bytes: Buffer) => void
}

/** Mean nothing to a server of another dialect (B12). */
const anthropicOnly = (name: string): boolean => name.startsWith("anthropic-") || name.startsWith("x-stainless-")

/** The conversion, or why the request cannot be translated: checked before anything is sent. */
export const prepareTranslation = (request: JsonRecord): ChatConversion | Complaint => toChatRequest(request)

export const anthropicDialect = (exchange: AnthropicExchange, conversion: () => ChatConversion | Complaint): Dialect => {
  let prepared: { readonly plain: string; readonly extended: string; readonly streaming: boolean } | undefined
  let estimate = -1

  const converted = () => {
    if (prepared !== undefined) return prepared
    const made = conversion()
    // The route has refused untranslatable requests before it got here.
    if (made instanceof Complaint) throw new Error(made.message)
    // One serialisation for all attempts: the same conversation gives the same bytes, and the backend's prompt cache stays warm.
    prepared = {
      plain: JSON.stringify(made.fields).slice(1),
      extended: JSON.stringify({ ...made.fields, ...made.extensions }).slice(1),
      streaming: made.streaming
    }
    return prepared
  }

  const translated = (endpoint: Endpoint, nativeName: string, streamOptions: boolean): Spoken => {
    exchange.onMode("translation")
    const { plain, extended, streaming } = converted()
    const rest = endpoint.profile === undefined || endpoint.profile.name === "openai-compatible" ? plain : extended
    const model = nativeName === "" ? exchange.inspection.spelling : nativeName
    let text = `{"model":${JSON.stringify(model)},${rest}`
    if (!streamOptions) text = text.replace(',"stream_options":{"include_usage":true}', "")
    if (estimate < 0) estimate = estimateTokens(exchange.request)
    return {
      mode: "translation",
      target: (endpoint.profile?.chatPath ?? "/v1/chat/completions") + exchange.query,
      body: [Buffer.from(text)],
      headers: [
        "content-type",
        "application/json",
        "accept",
        streaming ? "text/event-stream" : "application/json",
        "accept-encoding",
        "identity"
      ],
      without: anthropicOnly,
      answer: () =>
        new TranslatedAnswer({
          model: exchange.inspection.spelling,
          streaming,
          requestId: exchange.requestId,
          estimate,
          stops: (listOf(exchange.request["stop_sequences"]) ?? []).filter((stop) => typeof stop === "string"),
          withoutStreamOptions: streaming && streamOptions ? () => translated(endpoint, nativeName, false) : undefined,
          onMessage: exchange.inspector?.message
        })
    }
  }

  const native = (endpoint: Endpoint, nativeName: string): Spoken => {
    exchange.onMode("passthrough")
    const rename = nativeName !== "" && nativeName !== exchange.inspection.spelling
    return {
      mode: "passthrough",
      target: (endpoint.profile?.anthropic?.messagesPath || "/v1/messages") + exchange.query,
      body: rename ? rewriteModel(exchange.body, exchange.inspection, nativeName) : exchange.body,
      headers: [],
      answer: () =>
        new NativeAnswer({
          model: exchange.inspection.spelling,
          requestId: exchange.requestId,
          translated: () => (conversion() instanceof Complaint ? undefined : translated(endpoint, nativeName, true)),
          onUnsupported: () => exchange.onUnsupported(endpoint),
          onBytes: exchange.inspector?.relayed
        })
    }
  }

  return {
    speak: (endpoint, nativeName) => (exchange.isNative(endpoint) ? native(endpoint, nativeName) : translated(endpoint, nativeName, true))
  }
}
