/**
 * OpenAI's chat completions as the dialect of clients. Nearly every server speaks it, and what is asked of such a one is relayed as it
 * came, without being parsed; only for the others it is read.
 */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Profile } from "../../profile/Profile.ts"
import type { Spoken } from "../../proxy/Dialect.ts"
import { missingBy } from "../../proxy/PathRefusal.ts"
import { spokenBy } from "../BackendDialects.ts"
import { Complaint } from "../Complaint.ts"
import type { Learnt } from "../Conversing.ts"
import { recordOf } from "../JsonValue.ts"
import type { Opened } from "../KeepAlive.ts"
import { NativeAnswer, type NativeForm, type NativeOptions } from "../NativeAnswer.ts"
import { readStops, readTokenLimit } from "../SamplingReading.ts"
import { Speaking } from "../Speaking.ts"
import type { Conversation, TranslatedExchange } from "../Translator.ts"
import { estimateTurn } from "../TurnEstimate.ts"
import { readChat } from "./ChatRequestReading.ts"
import { chatCompletions } from "./ChatWriter.ts"
import { errorOf } from "./OpenAiErrors.ts"

/** Is it asked as the client asked? `passthrough` false: only where nothing else is spoken. */
export const relaysChat = (profile: Profile | undefined, passthrough: boolean): boolean =>
  (profile?.chat ?? true) && (passthrough || spokenBy(profile, "chat").length === 0)

export const relayedForm: NativeForm = {
  marks: ["choices"],
  streamType: "text/event-stream",
  eventEnd: "\n\n",
  // A comment: readers of streams pass it over.
  ping: () => ": keep-alive\n\n",
  // Errors of every kind have this form, and most are about something else: only one that speaks of the route is about it.
  isOwnError: (body, status, model) => missingBy(status, body, model) === "unclear",
  broken: (status, message) => `data: ${JSON.stringify({ error: errorOf(status, message) })}\n\n`
}

/**
 * Of an answer that is relayed: keeps the client of a stream waiting before it begins and tells what comes after that, and asks a
 * server in translation that has not got the route.
 */
export const relayedAnswer = (
  options: Pick<NativeOptions<never>, "model" | "streaming" | "keepAlive" | "opened" | "translated" | "onRefusal">
): NativeAnswer<never> =>
  new NativeAnswer<never>({ ...options, form: relayedForm, requestId: "", refuses: () => undefined, onBytes: undefined })

export interface ChatConversation extends Conversation {
  /** The same request for a server that has not got the route; `undefined`: it cannot be translated for it. */
  readonly translated: (endpoint: Endpoint, nativeName: string) => Spoken | undefined
}

/** `opened`: shared with those of its attempts that are relayed; `isNative`: it is asked as the client asked. */
export const converseInChat = (
  { lessons }: Learnt,
  exchange: TranslatedExchange,
  opened: Opened,
  isNative: Conversation["isNative"]
): ChatConversation => {
  const { request } = exchange
  const speaking: Speaking = new Speaking({
    exchange,
    opened,
    dialect: "chat",
    read: () => readChat(request),
    writer: () => chatCompletions(recordOf(request["stream_options"])?.["include_usage"] === true),
    answer: () => {
      const { turn } = speaking
      return {
        model: exchange.inspection.spelling,
        estimate: turn instanceof Complaint ? 1 : estimateTurn(turn),
        maxTokens: readTokenLimit(request),
        stops: readStops(request)
      }
    },
    lessons,
    reasoning: exchange.reasoning
  })
  return {
    dialect: {
      speak: (endpoint, nativeName) => (isNative(endpoint) && !speaking.isOpened ? undefined : speaking.translated(endpoint, nativeName)),
      target: (endpoint) => (isNative(endpoint) && !speaking.isOpened ? undefined : speaking.target(endpoint))
    },
    isNative,
    complaintFor: ({ endpoint, nativeName }) => speaking.complaintFor(endpoint, nativeName),
    complaint: () => (speaking.turn instanceof Complaint ? speaking.turn : undefined),
    droppedTools: () => [],
    translated: (endpoint, nativeName) =>
      speaking.complaintFor(endpoint, nativeName) === undefined ? speaking.translated(endpoint, nativeName) : undefined
  }
}
