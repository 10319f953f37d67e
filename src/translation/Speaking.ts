/**
 * One exchange spoken to endpoints that do not know its client's dialect: the turn is read once and on first need, written
 * once for all attempts in the same words, and each answer is read and written back.
 */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Spoken } from "../proxy/Dialect.ts"
import { missingBy } from "../proxy/PathRefusal.ts"
import type { AnswerWriter, StreamWriter, TurnOptions } from "./AnswerWriter.ts"
import { type BackendDialect, completedBy, type DialectName, spokenBy } from "./BackendDialects.ts"
import type { ChatTurn } from "./ChatTurn.ts"
import { Complaint } from "./Complaint.ts"
import { droppedHeader } from "./DroppedNames.ts"
import type { Opened } from "./KeepAlive.ts"
import type { Lessons } from "./Lessons.ts"
import type { ReasoningKept } from "./openai/ChatRequestWriting.ts"
import { type Lesson, lessonOf } from "./openai/Wording.ts"
import { TranslatedAnswer } from "./TranslatedAnswer.ts"
import type { TranslatedExchange } from "./Translator.ts"

/** Models of one endpoint that are remembered: clients may ask for names that nobody lists. */
const maxThinking = 1_000

/** Headers of clients that mean nothing to a server of another dialect, or tell it about somebody else's account. */
const ofOtherDialects = /^(?:anthropic-|x-stainless-|openai-|x-codex-|(?:session[_-]id|originator|chatgpt-account-id)$)/
const without = (name: string): boolean => ofOtherDialects.test(name)

export interface SpeakingOptions {
  readonly exchange: TranslatedExchange
  readonly opened: Opened
  /** The client's. */
  readonly dialect: DialectName
  readonly read: () => ChatTurn | Complaint
  /** Asked for once the turn has been read. */
  readonly writer: () => AnswerWriter
  readonly answer: () => TurnOptions
  readonly lessons: Lessons<Lesson>
  readonly reasoning: ReasoningKept
}

/** Those whose route the endpoint has not refused. */
const served = (dialects: ReadonlyArray<BackendDialect>, { profile, unserved }: Endpoint, model: string): ReadonlyArray<BackendDialect> =>
  unserved.isEmpty ? dialects : dialects.filter(({ target }) => !unserved.has("POST", target(profile), model))

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
  readonly #written = new Map<string, Written | Complaint>()

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

  /** Why this endpoint cannot be asked; `undefined`: it can. */
  complaintFor(endpoint: Endpoint, nativeName: string): Complaint | undefined {
    const chosen = this.#choose(endpoint, this.#modelOf(nativeName))
    return chosen instanceof Complaint ? chosen : undefined
  }

  /** Path by which this endpoint is mostly asked; nothing is written for it. */
  target(endpoint: Endpoint): string | undefined {
    const spoken = this.#spokenBy(endpoint)
    const dialect = served(spoken, endpoint, this.#modelOf(""))[0] ?? spoken[0]
    return dialect?.target(endpoint.profile)
  }

  /** Only asked for where `complaintFor` has none. `again`: a refusal has been answered with other words already. */
  translated(endpoint: Endpoint, nativeName: string, again: ReadonlySet<string> = new Set()): Spoken {
    const { exchange, lessons } = this.#options
    const { turn } = this
    const model = this.#modelOf(nativeName)
    const untried = this.#choose(endpoint, model, again)
    const chosen = untried instanceof Complaint ? this.#choose(endpoint, model) : untried
    if (turn instanceof Complaint) throw new Error(turn.message)
    if (chosen instanceof Complaint) throw new Error(chosen.message)
    const { dialect, written } = chosen
    exchange.onMode("translation", dialect.name, written.headers)
    const { text, headers } = written
    const streamType = turn.stream ? dialect.streamType : "application/json"
    return {
      target: dialect.target(endpoint.profile),
      body: [Buffer.from(`{"model":${JSON.stringify(model)},${text}`)],
      headers: ["content-type", "application/json", "accept", streamType, "accept-encoding", "identity", ...dialect.headers],
      without,
      maySpeakOtherwise: true,
      answer: () =>
        new TranslatedAnswer({
          reader: dialect.reader(exchange.thinkTags),
          writer: this.#writer(),
          turn: this.#answerOptions(),
          stream: this.#stream(),
          streaming: turn.stream,
          requestId: exchange.requestId,
          headers,
          keepAlive: exchange.keepAlive,
          opened: this.#options.opened,
          reworded: (status, refusal) => {
            if ((status === 404 || status === 405 || status === 501) && missingBy(status, refusal, model) !== "model") {
              endpoint.unserved.refused(status, "POST", dialect.target(endpoint.profile), model)
              const tried = new Set([...again, dialect.name])
              const next = this.#choose(endpoint, model, tried)
              if (next instanceof Complaint) return undefined
              exchange.onOddities([{ what: `the backend has no ${dialect.name} route, asked again in ${next.dialect.name}`, count: 1 }])
              return this.translated(endpoint, nativeName, tried)
            }
            const lesson = dialect.name === "chat" && !again.has("words") ? lessonOf(status, refusal, text) : undefined
            if (lesson === undefined) return undefined
            lessons.learn(endpoint, model, lesson)
            exchange.onOddities([{ what: `the backend refuses the request's words, asked again without: ${lesson}`, count: 1 }])
            return this.translated(endpoint, nativeName, new Set([...again, "words"]))
          },
          onAnswer: exchange.inspector?.answered,
          onThinking: () => {
            if (endpoint.thinking.size < maxThinking) endpoint.thinking.add(model)
          },
          onOddities: exchange.onOddities,
          onBackendError: exchange.onBackendError
        })
    }
  }

  #modelOf(nativeName: string): string {
    return nativeName === "" ? this.#options.exchange.inspection.spelling : nativeName
  }

  /** The first dialect of the endpoint that it has not refused, now or before, and that the turn can be said in. */
  #choose(
    endpoint: Endpoint,
    model: string,
    tried: ReadonlySet<string> = new Set()
  ): { readonly dialect: BackendDialect; readonly written: Written } | Complaint {
    const { turn } = this
    if (turn instanceof Complaint) return turn
    const { lessons } = this.#options
    const all = this.#spokenBy(endpoint)
    const spoken = tried.size === 0 ? all : all.filter(({ name }) => !tried.has(name))
    const left = served(spoken, endpoint, model)
    let complaint: Complaint | undefined
    for (const dialect of left.length > 0 ? left : spoken) {
      const written = this.#write(dialect, turn, endpoint, lessons.of(endpoint, model))
      if (!(written instanceof Complaint)) return { dialect, written }
      complaint ??= written
    }
    if (turn.raw !== undefined) return new Complaint(`${turn.raw.field} is not supported by the endpoints of this model`)
    return complaint ?? new Complaint("the endpoints of this model speak no API that this request could be said in")
  }

  /** A client of chat completions is translated for because they cannot be had there, or because its answer has begun. */
  #spokenBy({ profile }: Endpoint): ReadonlyArray<BackendDialect> {
    // Nobody else's clients have raw prompts: their requests need not be read for this.
    const turn = this.#options.dialect === "ollama" ? this.turn : undefined
    if (turn !== undefined && !(turn instanceof Complaint) && turn.raw !== undefined) return completedBy(profile)
    return spokenBy(profile, this.#options.dialect === "chat" && !this.isOpened ? "chat" : undefined)
  }

  /** Equal words: equal bytes, written once. */
  #write(dialect: BackendDialect, turn: ChatTurn, { profile }: Endpoint, lessons: ReadonlySet<Lesson>): Written | Complaint {
    const words = dialect.wordsFor(profile, lessons, this.#options.reasoning)
    const key = `${dialect.name} ${words.key}`
    const known = this.#written.get(key)
    if (known !== undefined) return known
    const writing = words.write(turn)
    const written = writing instanceof Complaint ? writing : this.#finished(dialect, turn, writing)
    this.#written.set(key, written)
    return written
  }

  #finished(
    { name }: BackendDialect,
    turn: ChatTurn,
    { fields, dropped }: { readonly fields: object; readonly dropped: ReadonlyArray<string> }
  ): Written {
    const header = droppedHeader([...turn.dropped, ...dropped])
    const headers = ["X-Olla-Dialect", `${this.#options.dialect}->${name}`, ...(header === undefined ? [] : ["X-Olla-Dropped", header])]
    return { text: JSON.stringify(fields).slice(1), headers }
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
    this.#answer ??= { ...this.#options.answer(), echoes: this.#options.exchange.echoesAlias }
    return this.#answer
  }
}
