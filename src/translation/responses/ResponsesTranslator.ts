/** OpenAI's Responses API as a translator: its routes, and where each of its rules is. */
import { accepts } from "../../endpoint/Endpoint.ts"
import type { AnswerHead, Dialect } from "../../proxy/Dialect.ts"
import { Complaint } from "../Complaint.ts"
import { converse, type Learnt } from "../Conversing.ts"
import { type JsonRecord, numberOf, parseJson, textOf } from "../JsonValue.ts"
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
import type { ResponseOwners } from "./ResponseOwners.ts"
import { checkResponses, readResponses } from "./ResponsesReading.ts"
import { responsesAnswers } from "./ResponsesWriter.ts"

export const makeResponsesTranslator = (learnt: Learnt, owners: ResponseOwners): Translator => {
  const native = new NativeMemory<ResponsesRefusal>(new Lessons(() => performance.now()))
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
      { kind: "count", path: "/v1/responses/input_tokens", methods: ["POST"] }
    ],
    errorBody,
    check: checkResponses,
    converse: (exchange) => converseInResponses({ native, learnt, owners }, exchange),
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
  },
  target: () => undefined
}

const estimate = (request: JsonRecord): number => {
  const read = readResponses(request)
  return read instanceof Complaint ? Math.max(1, Math.floor(Buffer.byteLength(JSON.stringify(request)) / 4)) : estimateTurn(read.turn)
}

/** What all exchanges share. */
interface Shared {
  readonly native: NativeMemory<ResponsesRefusal>
  readonly learnt: Learnt
  readonly owners: ResponseOwners
}

/** Nobody else knows the conversation. */
const awayOf = (name: string): Complaint =>
  new Complaint(
    `previous_response_id: the endpoint ${name}, which keeps that response, cannot be reached now; try again later or send the whole input`,
    { param: "previous_response_id" },
    503
  )

const converseInResponses = ({ native: memory, learnt, owners }: Shared, exchange: TranslatedExchange): Conversation => {
  const { request, inspection } = exchange
  const features = responsesFeatures(request)
  const previous = textOf(request["previous_response_id"])
  const owner = previous === undefined ? undefined : owners.of(previous)
  let made: ReturnType<typeof readResponses> | undefined
  const read = () => {
    made ??= readResponses(request)
    return made
  }
  const turn = () => {
    if (owner !== undefined && !accepts(owner)) return awayOf(owner.name)
    const got = read()
    return got instanceof Complaint ? got : got.turn
  }
  return converse(exchange, learnt, {
    name: "responses",
    title: "Responses",
    native: {
      memory,
      form: responsesForm,
      canDo: (endpoint) =>
        owner === undefined
          ? speaksResponses(endpoint.profile?.responses, features)
          : endpoint === owner && speaksResponses(owner.profile?.responses, { ...features, continues: false }),
      watch: (endpoint) => owners.watch(endpoint),
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
