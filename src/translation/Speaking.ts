/**
 * One exchange spoken to endpoints that do not know its client's dialect: the turn is read once and on first need, written
 * once for all attempts in the same words, and each answer is read and written back.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Spoken } from "../proxy/Dialect.ts"
import type { AnswerWriter, StreamWriter, TurnOptions } from "./AnswerWriter.ts"
import type { ChatTurn } from "./ChatTurn.ts"
import { Complaint } from "./Complaint.ts"
import { droppedHeader } from "./DroppedNames.ts"
import type { Lessons } from "./Lessons.ts"
import { chatAnswers } from "./openai/ChatReader.ts"
import { type ChatWriting, type ReasoningKept, writeChat } from "./openai/ChatRequestWriting.ts"
import { type Lesson, lessonOf, type Wording, wordingKey, wordingOf } from "./openai/Wording.ts"
import { TranslatedAnswer } from "./TranslatedAnswer.ts"
import type { TranslatedExchange } from "./Translator.ts"

const whole = ["content-type", "application/json", "accept", "application/json", "accept-encoding", "identity"]
const streamed = ["content-type", "application/json", "accept", "text/event-stream", "accept-encoding", "identity"]

/** Headers of clients that mean nothing to a server of another dialect, or tell it about somebody else's account. */
const ofOtherDialects = /^(?:anthropic-|x-stainless-|openai-|x-codex-|(?:session[_-]id|originator|chatgpt-account-id)$)/
const without = (name: string): boolean => ofOtherDialects.test(name)

export interface SpeakingOptions {
  readonly exchange: TranslatedExchange
  /** The client's dialect in `X-Olla-Dialect`. */
  readonly dialect: string
  readonly read: () => ChatTurn | Complaint
  /** Asked for once the turn has been read. */
  readonly writer: () => AnswerWriter
  readonly answer: () => TurnOptions
  readonly lessons: Lessons<Lesson>
  readonly reasoning: ReasoningKept
}

interface Written {
  /** Everything behind the model's name. */
  readonly text: string
  readonly headers: ReadonlyArray<string>
}

export class Speaking {
  readonly #options: SpeakingOptions
  #turn: ChatTurn | Complaint | undefined
  #answer: TurnOptions | undefined
  #opened: StreamWriter | undefined
  #madeWriter: AnswerWriter | undefined
  readonly #written = new Map<string, Written>()

  constructor(options: SpeakingOptions) {
    this.#options = options
  }

  get turn(): ChatTurn | Complaint {
    this.#turn ??= this.#options.read()
    return this.#turn
  }

  /** The client has been kept waiting by the beginning of a translated answer: nobody can answer natively any more. */
  get isOpened(): boolean {
    return this.#opened?.started === true
  }

  /** Only asked for where `turn` is no complaint. `again`: a refusal has been answered with other words already. */
  translated(endpoint: Endpoint, nativeName: string, again = false): Spoken {
    const { exchange, lessons } = this.#options
    const turn = this.turn
    if (turn instanceof Complaint) throw new Error(turn.message)
    exchange.onMode("translation")
    const model = nativeName === "" ? exchange.inspection.spelling : nativeName
    const { text, headers } = this.#write(turn, wordingOf(endpoint.profile, lessons.of(endpoint, model)))
    return {
      mode: "translation",
      target: endpoint.profile?.chatPath ?? "/v1/chat/completions",
      body: [Buffer.from(`{"model":${JSON.stringify(model)},${text}`)],
      headers: turn.stream ? streamed : whole,
      without,
      answer: () =>
        new TranslatedAnswer({
          reader: chatAnswers,
          writer: this.#writer(),
          turn: this.#answerOptions(),
          stream: this.#stream(),
          streaming: turn.stream,
          requestId: exchange.requestId,
          headers,
          reworded: again
            ? undefined
            : (status, refusal) => {
                const lesson = lessonOf(status, refusal, text)
                if (lesson === undefined) return undefined
                lessons.learn(endpoint, model, lesson)
                exchange.onOddities([{ what: `the backend refuses the request's words, asked again without: ${lesson}`, count: 1 }])
                return this.translated(endpoint, nativeName, true)
              },
          onAnswer: exchange.inspector?.answered,
          onOddities: exchange.onOddities,
          onBackendError: exchange.onBackendError
        })
    }
  }

  /** Equal words: equal bytes, written once. */
  #write(turn: ChatTurn, wording: Wording): Written {
    const key = wordingKey(wording)
    const known = this.#written.get(key)
    if (known !== undefined) return known
    const { fields, dropped }: ChatWriting = writeChat(turn, wording, this.#options.reasoning)
    const header = droppedHeader([...turn.dropped, ...dropped])
    const headers = ["X-Olla-Dialect", `${this.#options.dialect}->chat`, ...(header === undefined ? [] : ["X-Olla-Dropped", header])]
    const written = { text: JSON.stringify(fields).slice(1), headers }
    this.#written.set(key, written)
    return written
  }

  /** One for all attempts: it may have kept the client waiting before another endpoint answered. */
  #stream(): StreamWriter {
    this.#opened ??= this.#writer().stream(this.#answerOptions())
    return this.#opened
  }

  #writer(): AnswerWriter {
    this.#madeWriter ??= this.#options.writer()
    return this.#madeWriter
  }

  #answerOptions(): TurnOptions {
    this.#answer ??= this.#options.answer()
    return this.#answer
  }
}
