/** Anthropic's Messages API as a translator: its routes, and where each of its rules is. */
import type { Learnt } from "../Conversing.ts"
import { Lessons } from "../Lessons.ts"
import { NativeMemory } from "../NativeMemory.ts"
import type { Translator } from "../Translator.ts"
import { converseInMessages } from "./AnthropicDialect.ts"
import { countTokensDialect } from "./CountTokens.ts"
import { errorBody } from "./ErrorEnvelope.ts"
import { checkMessagesRequest } from "./MessagesRequest.ts"
import type { NativeRefusal } from "./NativeSupport.ts"
import { relayedAnswer } from "./RelayedAnswer.ts"
import { estimateTokens } from "./TokenEstimate.ts"

export const makeAnthropicTranslator = (learnt: Learnt): Translator => {
  const native = new NativeMemory<NativeRefusal>(new Lessons(() => performance.now()))
  return {
    name: "anthropic",
    title: "Anthropic",
    dialect: "messages",
    isAllThatIsSpokenBy: () => false,
    streams: (request) => request["stream"] === true,
    warnsOfTools: true,
    bases: ["/olla/anthropic", "", "/olla"],
    routes: [
      { kind: "root", path: "", methods: ["GET", "HEAD"] },
      { kind: "create", path: "/v1/messages", methods: ["POST"] },
      { kind: "count", path: "/v1/messages/count_tokens", methods: ["POST"] },
      { kind: "models", path: "/v1/models", methods: ["GET", "HEAD"] },
      { kind: "model", path: "/v1/models/", methods: ["GET", "HEAD"] },
      { kind: "absent", path: /^\/v1\/(?:messages\/batches|files|complete)(?:\/|$)/ }
    ],
    errorBody,
    check: checkMessagesRequest,
    converse: (exchange) => converseInMessages(native, learnt, exchange),
    estimate: estimateTokens,
    countDocument: (tokens) => ({ input_tokens: tokens }),
    countDialect: countTokensDialect,
    canCount: ({ profile }) => profile?.anthropic?.enabled === true && profile.anthropic.tokenCount,
    relayedAnswer
  }
}
