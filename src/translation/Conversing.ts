/**
 * One exchange of a client with any endpoint: as it came where the endpoint speaks the client's dialect and can do what is asked,
 * else translated. The same for every dialect of clients; what each has of its own is in its `ClientDialect`.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { AnswerHead, Spoken } from "../proxy/Dialect.ts"
import { rewriteModel } from "../routing/ModelRewrite.ts"
import { chunksFor } from "../routing/PromptHygiene.ts"
import type { AnswerWriter, TurnOptions } from "./AnswerWriter.ts"
import type { DialectName } from "./BackendDialects.ts"
import type { ChatTurn } from "./ChatTurn.ts"
import { Complaint } from "./Complaint.ts"
import type { Opened } from "./KeepAlive.ts"
import type { Lessons } from "./Lessons.ts"
import { NativeAnswer, type NativeForm } from "./NativeAnswer.ts"
import type { NativeMemory } from "./NativeMemory.ts"
import type { Lesson } from "./openai/Wording.ts"
import { Speaking } from "./Speaking.ts"
import type { Conversation, TranslatedExchange } from "./Translator.ts"

/** What all exchanges of all dialects learn together. */
export interface Learnt {
  readonly lessons: Lessons<Lesson>
}

/** How a dialect is answered by endpoints that speak it themselves. */
export interface NativeSide<Refusal extends string> {
  readonly memory: NativeMemory<Refusal>
  readonly form: NativeForm
  /** Does the endpoint's kind speak it, and can it do what is asked? */
  readonly canDo: (endpoint: Endpoint) => boolean
  /** Path of its turns there. */
  readonly target: (endpoint: Endpoint) => string
  /** Does the request have what a server has refused? */
  readonly has: (refusal: Refusal) => boolean
  /** What of the request an error says that the server cannot take. */
  readonly refuses: (status: number, sentence: string) => Refusal | undefined
  /** Takes the bytes of its answers as they are relayed; absent: nobody looks at them. */
  readonly watch?: (endpoint: Endpoint) => (bytes: Buffer) => void
  /** The client wants `request-id`. */
  readonly saysRequestId: boolean
}

export interface ClientDialect<Refusal extends string> {
  readonly name: DialectName
  /** In sentences. */
  readonly title: string
  readonly native: NativeSide<Refusal>
  readonly read: () => ChatTurn | Complaint
  /** Asked for once the turn has been read. */
  readonly writer: () => AnswerWriter
  readonly answer: () => TurnOptions
}

type Taking = (bytes: Buffer, head: AnswerHead) => void

const both = (one: Taking | undefined, other: Taking | undefined): Taking | undefined =>
  one === undefined || other === undefined
    ? (one ?? other)
    : (bytes, head) => {
        one(bytes, head)
        other(bytes, head)
      }

export const converse = <Refusal extends string>(
  exchange: TranslatedExchange,
  { lessons }: Learnt,
  { name, title, native, read, writer, answer }: ClientDialect<Refusal>
): Conversation => {
  const { inspection } = exchange
  const opened: Opened = exchange.opened ?? { sent: false }
  const speaking = new Speaking({ exchange, opened, dialect: name, read, writer, answer, lessons, reasoning: exchange.reasoning })

  const spokenNatively = (endpoint: Endpoint, nativeName: string): Spoken => {
    exchange.onMode("passthrough", name, [])
    const rename = nativeName !== "" && nativeName !== inspection.spelling
    const body = chunksFor(exchange.body, endpoint)
    return {
      target: native.target(endpoint) + exchange.query,
      body: rename ? rewriteModel(body, inspection, nativeName) : body,
      headers: [],
      maySpeakOtherwise: true,
      answer: () =>
        new NativeAnswer<Refusal>({
          form: native.form,
          model: inspection.spelling,
          requestId: native.saysRequestId ? exchange.requestId : "",
          keepAlive: exchange.keepAlive,
          streaming: exchange.stream,
          opened,
          translated: () =>
            speaking.complaintFor(endpoint, nativeName) === undefined
              ? speaking.translated(endpoint, nativeName, new Set([name]))
              : undefined,
          refuses: native.refuses,
          onRefusal: (refusal, status) => {
            native.memory.refused(endpoint, inspection.spelling, native.target(endpoint), status, refusal)
            exchange.onOddities([{ what: `the backend refuses ${title} natively, asked again in translation (${refusal})`, count: 1 }])
          },
          onBytes: both(native.watch?.(endpoint), exchange.inspector?.relayed)
        })
    }
  }

  const isNative = (endpoint: Endpoint): boolean =>
    exchange.passthrough &&
    native.canDo(endpoint) &&
    native.memory.mayAnswer(endpoint, inspection.spelling, native.target(endpoint), native.has)
  return {
    dialect: {
      speak: (endpoint, nativeName) =>
        isNative(endpoint) && !speaking.isOpened ? spokenNatively(endpoint, nativeName) : speaking.translated(endpoint, nativeName),
      target: (endpoint) => (isNative(endpoint) && !speaking.isOpened ? native.target(endpoint) : speaking.target(endpoint))
    },
    isNative,
    complaintFor: ({ endpoint, nativeName }) => speaking.complaintFor(endpoint, nativeName),
    complaint: () => (speaking.turn instanceof Complaint ? speaking.turn : undefined),
    droppedTools: () =>
      speaking.turn instanceof Complaint ? [] : speaking.turn.dropped.flatMap((path) => (path.startsWith("tools.") ? [path.slice(6)] : []))
  }
}
