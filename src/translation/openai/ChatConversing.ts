/**
 * OpenAI's chat completions as the dialect of clients. Nearly every server speaks it, and what is asked of such a one is relayed as it
 * came, without being parsed; only for the others it is read.
 */
import type { Profile } from "../../profile/Profile.ts"
import type { AnswerTranslator } from "../../proxy/Dialect.ts"
import { spokenBy } from "../BackendDialects.ts"
import { Complaint } from "../Complaint.ts"
import type { Learnt } from "../Conversing.ts"
import { recordOf } from "../JsonValue.ts"
import type { KeepAlive, Opened } from "../KeepAlive.ts"
import { NativeAnswer, type NativeForm } from "../NativeAnswer.ts"
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
  isOwnError: () => false,
  broken: (status, message) => `data: ${JSON.stringify({ error: errorOf(status, message) })}\n\n`
}

/** Who keeps the client of a relayed stream waiting before it begins, and tells what comes after that. */
export const keepsWaiting = (model: string, keepAlive: KeepAlive, opened: Opened): AnswerTranslator =>
  new NativeAnswer<never>({
    form: relayedForm,
    model,
    requestId: "",
    streaming: true,
    keepAlive,
    opened,
    translated: () => undefined,
    refuses: () => undefined,
    onRefusal: () => {},
    onBytes: undefined
  })

/** `opened`: shared with those of its attempts that are relayed. */
export const converseInChat = ({ lessons }: Learnt, exchange: TranslatedExchange, opened: Opened): Conversation => {
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
  const isNative: Conversation["isNative"] = ({ profile }) => relaysChat(profile, exchange.passthrough)
  return {
    dialect: {
      speak: (endpoint, nativeName) => (isNative(endpoint) && !speaking.isOpened ? undefined : speaking.translated(endpoint, nativeName)),
      target: (endpoint) => (isNative(endpoint) && !speaking.isOpened ? undefined : speaking.target(endpoint))
    },
    isNative,
    complaintFor: ({ endpoint, nativeName }) => speaking.complaintFor(endpoint, nativeName),
    complaint: () => (speaking.turn instanceof Complaint ? speaking.turn : undefined),
    droppedTools: () => []
  }
}
