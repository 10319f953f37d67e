/** OpenAI's Responses API as a translator: its routes, and where each of its rules is. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { AnswerHead, Dialect, Spoken } from "../../proxy/Dialect.ts"
import { rewriteModel } from "../../routing/ModelRewrite.ts"
import { Complaint } from "../Complaint.ts"
import { type JsonRecord, numberOf, parseJson } from "../JsonValue.ts"
import { Lessons } from "../Lessons.ts"
import { NativeAnswer } from "../NativeAnswer.ts"
import { NativeMemory } from "../NativeMemory.ts"
import type { Lesson } from "../openai/Wording.ts"
import { Speaking } from "../Speaking.ts"
import type { Conversation, TranslatedExchange, Translator } from "../Translator.ts"
import { estimateTurn } from "../TurnEstimate.ts"
import { answersResponses, type ResponsesRefusal, responsesFeatures, responsesForm, responsesRefusalOf } from "./NativeResponses.ts"
import { errorBody } from "./ResponsesErrors.ts"
import { checkResponses, readResponses } from "./ResponsesReading.ts"
import { responsesAnswers } from "./ResponsesWriter.ts"

export const makeResponsesTranslator = (): Translator => {
  const now = () => performance.now()
  const lessons = new Lessons<Lesson>(now)
  const native = new NativeMemory<ResponsesRefusal>("responses", new Lessons(now))
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
    converse: (exchange) => converseInResponses(native, lessons, exchange),
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

const converseInResponses = (
  native: NativeMemory<ResponsesRefusal>,
  lessons: Lessons<Lesson>,
  exchange: TranslatedExchange
): Conversation => {
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
  const complaint = () => {
    const got = turn()
    return got instanceof Complaint ? got : undefined
  }

  const spokenNatively = (endpoint: Endpoint, nativeName: string): Spoken => {
    exchange.onMode("passthrough")
    const rename = nativeName !== "" && nativeName !== inspection.spelling
    return {
      mode: "passthrough",
      target: (endpoint.profile?.responses?.responsesPath ?? "/v1/responses") + exchange.query,
      body: rename ? rewriteModel(exchange.body, inspection, nativeName) : exchange.body,
      headers: [],
      answer: () =>
        new NativeAnswer<ResponsesRefusal>({
          form: responsesForm,
          model: inspection.spelling,
          requestId: "",
          translated: () => (complaint() === undefined ? speaking.translated(endpoint, nativeName) : undefined),
          refuses: (status, sentence) => responsesRefusalOf(status, sentence, features),
          onRefusal: (refusal) => {
            native.refused(endpoint, inspection.spelling, refusal)
            exchange.onOddities([{ what: `the backend refuses Responses natively, asked again in translation (${refusal})`, count: 1 }])
          },
          onBytes: exchange.inspector?.relayed
        })
    }
  }

  const isNative = (endpoint: Endpoint): boolean =>
    exchange.passthrough && answersResponses(native, endpoint, inspection.spelling, features)
  return {
    dialect: {
      speak: (endpoint, nativeName) =>
        isNative(endpoint) && !speaking.isOpened ? spokenNatively(endpoint, nativeName) : speaking.translated(endpoint, nativeName)
    },
    isNative,
    complaint,
    // The header names them.
    droppedTools: () => []
  }
}
