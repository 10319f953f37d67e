/** Ollama's own API as the dialect of clients: `/api/chat` and `/api/generate`. */
import type { AnswerHead, Dialect } from "../../proxy/Dialect.ts"
import { Complaint } from "../Complaint.ts"
import { converse, type Learnt } from "../Conversing.ts"
import { isRecord, type JsonRecord, kindOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
import { Lessons } from "../Lessons.ts"
import type { NativeForm } from "../NativeAnswer.ts"
import { NativeMemory } from "../NativeMemory.ts"
import type { Translator } from "../Translator.ts"
import { estimateTurn } from "../TurnEstimate.ts"
import { loadingOf, readOllamaChat, readOllamaGenerate, readOllamaLimit } from "./OllamaReading.ts"
import { type OllamaRoute, ollamaAnswers } from "./OllamaWriter.ts"

const readers = { chat: readOllamaChat, generate: readOllamaGenerate }

const errorBody = (_status: number, message: string): string => JSON.stringify({ error: message })

/** One for each of the two routes: they differ in where a request has its text, and an answer too. */
export const makeOllamaTranslators = (learnt: Learnt): ReadonlyArray<Translator> => {
  const memory = new NativeMemory<never>(new Lessons(() => performance.now()))
  return (["chat", "generate"] as const).map((route) => translatorOf(route, learnt, memory))
}

const translatorOf = (route: OllamaRoute, learnt: Learnt, memory: NativeMemory<never>): Translator => {
  const form = formOf(route)
  return {
    name: "ollama",
    title: "Ollama",
    dialect: "ollama",
    isAllThatIsSpokenBy: ({ ollama }) => ollama,
    streams: (request) => request["stream"] !== false,
    warnsOfTools: false,
    bases: ["", "/olla"],
    routes: [{ kind: "create", path: `/api/${route}`, methods: ["POST"] }],
    errorBody,
    check: (request) => checked(request, route),
    answerHere: (request) => loaded(request, route),
    converse: (exchange) => {
      const { request, inspection } = exchange
      const read = () => readers[route](request)
      return converse(exchange, learnt, {
        name: "ollama",
        title: "Ollama's API",
        native: {
          memory,
          form,
          canDo: ({ profile }) => profile?.ollama === true,
          target: () => `/api/${route}`,
          has: () => false,
          refuses: () => undefined,
          saysRequestId: false
        },
        read,
        writer: () => ollamaAnswers(route),
        answer: () => ({
          model: inspection.spelling,
          estimate: estimate(read()),
          maxTokens: readOllamaLimit(recordOf(request["options"])),
          stops: []
        })
      })
    },
    estimate: (request) => estimate(readers[route](request)),
    countDocument: (tokens) => ({ prompt_eval_count: tokens }),
    countDialect: () => nobodyCounts,
    canCount: () => false,
    relayedAnswer: (_head: AnswerHead, bytes: Buffer) => parseJson(bytes.toString("utf8")) ?? bytes.toString("utf8")
  }
}

const nobodyCounts: Dialect = { speak: () => undefined, target: () => undefined }

const estimate = (turn: ReturnType<typeof readOllamaChat>): number => (turn instanceof Complaint ? 1 : estimateTurn(turn))

const checked = (request: JsonRecord, route: OllamaRoute): Complaint | undefined => {
  if (textOf(request["model"]) === undefined) return new Complaint("model is required")
  const { messages, options } = request
  if (route === "chat" && messages !== undefined && messages !== null && !Array.isArray(messages))
    return new Complaint(`messages must be an array, got ${kindOf(messages)}`)
  if (options !== undefined && options !== null && !isRecord(options))
    return new Complaint(`options must be an object, got ${kindOf(options)}`)
  return undefined
}

/** Servers of other kinds have their models loaded: there is nothing to wait for. */
const loaded = (request: JsonRecord, route: OllamaRoute): unknown => {
  const reason = loadingOf(request, route)
  if (reason === undefined) return undefined
  const said = route === "chat" ? { message: { role: "assistant", content: "" } } : { response: "" }
  return { model: request["model"], created_at: new Date().toISOString(), ...said, done: true, done_reason: reason }
}

const formOf = (route: OllamaRoute): NativeForm => ({
  marks: ["message", "response", "done"],
  isOwnError: () => false,
  streamType: "application/x-ndjson",
  eventEnd: "\n",
  ping: (model) =>
    `${JSON.stringify({
      model,
      created_at: new Date().toISOString(),
      ...(route === "chat" ? { message: { role: "assistant", content: "" } } : { response: "" }),
      done: false
    })}\n`,
  broken: (_status, message) => `${errorBody(0, message)}\n`
})
