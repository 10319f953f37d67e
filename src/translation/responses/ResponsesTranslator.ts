/** OpenAI's Responses API as a translator: its routes, and where each of its rules is. */
import type { AnswerHead, Dialect } from "../../proxy/Dialect.ts"
import { Complaint } from "../Complaint.ts"
import { converse, type Learnt } from "../Conversing.ts"
import { type JsonRecord, numberOf, parseJson } from "../JsonValue.ts"
import { Lessons } from "../Lessons.ts"
import { NativeMemory } from "../NativeMemory.ts"
import { errorBody } from "../openai/OpenAiErrors.ts"
import type { Conversation, TranslatedExchange, Translator } from "../Translator.ts"
import { estimateTurn } from "../TurnEstimate.ts"
import {
  hasRefused,
  type ResponsesRefusal,
  responsesFeatures,
  responsesForm,
  responsesRefusalOf,
  speaksResponses
} from "./NativeResponses.ts"
import { checkResponses, readResponses } from "./ResponsesReading.ts"
import { responsesAnswers } from "./ResponsesWriter.ts"

export const makeResponsesTranslator = (learnt: Learnt): Translator => {
  const native = new NativeMemory<ResponsesRefusal>("responses", learnt.routes, new Lessons(() => performance.now()))
  return {
    name: "responses",
    title: "Responses",
    dialect: "responses",
    isAllThatIsSpokenBy: () => false,
    streams: (request) => request["stream"] === true,
    warnsOfTools: false,
    bases: ["", "/olla"],
    routes: [
      { kind: "create", path: "/v1/responses", methods: ["POST"] },
      { kind: "count", path: "/v1/responses/input_tokens", methods: ["POST"] },
      // Answers are kept by the servers that made them, and nobody makes long inputs short: clients then do it themselves.
      { kind: "absent", path: /^\/v1\/responses\/[^/]+(?:\/(?:cancel|input_items))?$/ }
    ],
    errorBody,
    check: checkResponses,
    converse: (exchange) => converseInResponses(native, learnt, exchange),
    estimate,
    countDocument: (tokens) => ({ object: "response.input_tokens", input_tokens: tokens }),
    countDialect: () => nobodyCounts,
    canCount: () => false,
    relayedAnswer: (_head: AnswerHead, bytes: Buffer) => parseJson(bytes.toString("utf8")) ?? bytes.toString("utf8")
  }
}

const nobodyCounts: Dialect = {
  speak: () => {
    throw new Error("no endpoint counts tokens of this dialect")
  }
}

const estimate = (request: JsonRecord): number => {
  const read = readResponses(request)
  return read instanceof Complaint ? Math.max(1, Math.floor(Buffer.byteLength(JSON.stringify(request)) / 4)) : estimateTurn(read.turn)
}

const converseInResponses = (memory: NativeMemory<ResponsesRefusal>, learnt: Learnt, exchange: TranslatedExchange): Conversation => {
  const { request, inspection } = exchange
  const features = responsesFeatures(request)
  let made: ReturnType<typeof readResponses> | undefined
  const read = () => {
    made ??= readResponses(request)
    return made
  }
  const turn = () => {
    const got = read()
    return got instanceof Complaint ? got : got.turn
  }
  return converse(exchange, learnt, {
    name: "responses",
    title: "Responses",
    native: {
      memory,
      form: responsesForm,
      canDo: ({ profile }) => speaksResponses(profile?.responses, features),
      target: ({ profile }) => profile?.responses?.responsesPath ?? "/v1/responses",
      has: (refusal) => hasRefused(features, refusal),
      refuses: (status, sentence) => responsesRefusalOf(status, sentence, features),
      saysRequestId: false
    },
    read: turn,
    writer: () => {
      const got = read()
      return responsesAnswers({ request, declared: got instanceof Complaint ? new Map() : got.declared })
    },
    answer: () => {
      const got = turn()
      return {
        model: inspection.spelling,
        estimate: got instanceof Complaint ? 1 : estimateTurn(got),
        maxTokens: numberOf(request["max_output_tokens"]),
        stops: []
      }
    }
  })
}
