/**
 * OpenAI's chat completions as the dialect of clients. Nearly every server speaks it, and what is asked of such a one is relayed as it
 * came, without being parsed; only for the others it is read.
 */
import type { Profile } from "../../profile/Profile.ts"
import { spokenBy } from "../BackendDialects.ts"
import { Complaint } from "../Complaint.ts"
import type { Learnt } from "../Conversing.ts"
import { recordOf } from "../JsonValue.ts"
import { readStops, readTokenLimit } from "../SamplingReading.ts"
import { Speaking } from "../Speaking.ts"
import type { Conversation, TranslatedExchange } from "../Translator.ts"
import { estimateTurn } from "../TurnEstimate.ts"
import { readChat } from "./ChatRequestReading.ts"
import { chatCompletions } from "./ChatWriter.ts"

/** Is it asked as the client asked? `passthrough` false: only where nothing else is spoken. */
export const relaysChat = (profile: Profile | undefined, passthrough: boolean): boolean =>
  (profile?.chat ?? true) && (passthrough || spokenBy(profile, "chat").length === 0)

export const converseInChat = ({ lessons }: Learnt, exchange: TranslatedExchange): Conversation => {
  const { request } = exchange
  const speaking: Speaking = new Speaking({
    exchange,
    opened: { sent: false },
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
