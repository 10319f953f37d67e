/** Anthropic's Messages API as a translator: its routes, and where each of its rules is (anthropic.md 2). */
import type { Translator } from "../Translator.ts"
import { converseInMessages } from "./AnthropicDialect.ts"
import { countTokensDialect } from "./CountTokens.ts"
import { errorBody } from "./ErrorEnvelope.ts"
import { checkMessagesRequest } from "./MessagesRequest.ts"
import { relayedAnswer } from "./RelayedAnswer.ts"
import { estimateTokens } from "./TokenEstimate.ts"

export const makeAnthropicTranslator = (): Translator => {
  return {
    name: "anthropic",
    base: "/olla/anthropic",
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
    converse: converseInMessages,
    estimate: estimateTokens,
    countDocument: (tokens) => ({ input_tokens: tokens }),
    countDialect: countTokensDialect,
    canCount: ({ profile }) => profile?.anthropic?.enabled === true && profile.anthropic.tokenCount,
    relayedAnswer
  }
}
