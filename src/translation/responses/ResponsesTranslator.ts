/** OpenAI's Responses API as a translator: its routes, and where each of its rules is. */
import type { AnswerHead, Dialect } from "../../proxy/Dialect.ts"
import { Complaint } from "../Complaint.ts"
import { type JsonRecord, numberOf, parseJson } from "../JsonValue.ts"
import { Lessons } from "../Lessons.ts"
import type { Lesson } from "../openai/Wording.ts"
import { Speaking } from "../Speaking.ts"
import type { Conversation, TranslatedExchange, Translator } from "../Translator.ts"
import { estimateTurn } from "../TurnEstimate.ts"
import { errorBody } from "./ResponsesErrors.ts"
import { checkResponses, readResponses } from "./ResponsesReading.ts"
import { responsesAnswers } from "./ResponsesWriter.ts"

export const makeResponsesTranslator = (): Translator => {
  const lessons = new Lessons<Lesson>(() => performance.now())
  return {
    name: "responses",
    title: "Responses",
    bases: ["", "/olla"],
    routes: [
      { kind: "create", path: "/v1/responses", methods: ["POST"] },
      { kind: "count", path: "/v1/responses/input_tokens", methods: ["POST"] }
    ],
    errorBody,
    check: checkResponses,
    converse: (exchange) => converseInResponses(lessons, exchange),
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

const converseInResponses = (lessons: Lessons<Lesson>, exchange: TranslatedExchange): Conversation => {
  const { request } = exchange
  let made: ReturnType<typeof readResponses> | undefined
  const read = () => {
    made ??= readResponses(request)
    return made
  }
  const turn = () => {
    const got = read()
    return got instanceof Complaint ? got : got.turn
  }
  const speaking = new Speaking({
    exchange,
    dialect: "responses",
    read: turn,
    writer: () => {
      const got = read()
      return responsesAnswers({ request, declared: got instanceof Complaint ? new Map() : got.declared })
    },
    answer: () => {
      const got = turn()
      return {
        model: exchange.inspection.spelling,
        estimate: got instanceof Complaint ? 1 : estimateTurn(got),
        maxTokens: numberOf(request["max_output_tokens"]),
        stops: []
      }
    },
    lessons,
    reasoning: "all"
  })
  return {
    dialect: { speak: (endpoint, nativeName) => speaking.translated(endpoint, nativeName) },
    isNative: () => false,
    complaint: () => {
      const got = turn()
      return got instanceof Complaint ? got : undefined
    },
    // The header names them.
    droppedTools: () => []
  }
}
