/**
 * An API that Olla offers to clients in front of backends that may not speak it. A translator says which
 * routes it has and how its requests, answers, errors and lists are made; the routes themselves, limits, routing,
 * statistics and logs are the same for all. A further API adds one file that exports a `Translator`, and its name to
 * the list in `daemon.ts`.
 */
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Profile } from "../profile/Profile.ts"
import type { AnswerHead, Dialect } from "../proxy/Dialect.ts"
import type { HygienicBody } from "../routing/PromptHygiene.ts"
import type { Candidate, Inspection } from "../routing/Router.ts"
import type { Oddity } from "./AnswerReader.ts"
import type { DialectName } from "./BackendDialects.ts"
import type { Complaint } from "./Complaint.ts"
import type { JsonRecord } from "./JsonValue.ts"
import type { KeepAlive, Opened } from "./KeepAlive.ts"
import type { ReasoningKept } from "./openai/ChatRequestWriting.ts"

/**
 * - `create`: one turn of a conversation; counted, inspected, passed through or translated
 * - `count`: tokens of a request
 * - `models`, `model`: the list, and one entry by the rest of the path
 * - `root`: probed by clients; answered without any backend
 * - `absent`: known parts of the API that a fleet cannot offer: 404 in the dialect's own form
 */
export type TranslatorRoute =
  | { readonly kind: "create" | "count" | "models" | "model" | "root"; readonly path: string; readonly methods: ReadonlyArray<string> }
  | { readonly kind: "absent"; readonly path: RegExp }

/** What the inspector is told of one exchange. */
export interface AnswerInspector {
  /** What the client was told: a message or an error. */
  readonly answered: (answer: unknown) => void
  /** Bytes of an answer that is relayed as it comes. */
  readonly relayed: (bytes: Buffer, head: AnswerHead) => void
}

/** One exchange as its dialect needs it. */
export interface TranslatedExchange {
  readonly request: JsonRecord
  readonly body: HygienicBody
  readonly inspection: Inspection
  /** With its `?`, or empty. */
  readonly query: string
  readonly requestId: string
  readonly passthrough: boolean
  /** The client wants a stream. */
  readonly stream: boolean
  readonly keepAlive: KeepAlive
  /** Shared with whoever may send the head of its stream; absent: only its own attempts do. */
  readonly opened?: Opened | undefined
  /** What of former turns' reasoning servers get back. */
  readonly reasoning: ReasoningKept
  readonly thinkTags: boolean
  /** The client asked by an alias, and is to read it again. */
  readonly echoesAlias: boolean
  /** Said for each attempt; `told`: the headers that its answer will carry beside others. */
  readonly onMode: (mode: "passthrough" | "translation", backend: DialectName, told: ReadonlyArray<string>) => void
  readonly inspector: AnswerInspector | undefined
  readonly onOddities: (oddities: ReadonlyArray<Oddity>) => void
  readonly onBackendError: (status: number, body: string, message: string) => void
}

/** How one exchange is spoken; made once, used for all of its attempts. */
export interface Conversation {
  readonly dialect: Dialect
  /** Does this endpoint get the request as it came? */
  readonly isNative: (endpoint: Endpoint) => boolean
  /** Why this endpoint cannot be asked in translation; `undefined`: it can. */
  readonly complaintFor: (candidate: Candidate) => Complaint | undefined
  /** Why the request cannot be translated for anybody; the conversion is made on first need. */
  readonly complaint: () => Complaint | undefined
  /** Tools that no backend can run, left out of the translation. */
  readonly droppedTools: () => ReadonlyArray<string>
}

export interface Translator {
  /** In statistics and logs; also its section under `translators`. */
  readonly name: keyof OllaConfig["translators"]
  /** What its API is called in the log. */
  readonly title: string
  /** What its clients speak. */
  readonly dialect: DialectName
  /** Every server of this kind answers all of it natively: below its own prefix nothing is ever translated. */
  readonly isAllThatIsSpokenBy: (profile: Profile) => boolean
  /** Does a request want its answer as a stream? */
  readonly streams: (request: JsonRecord) => boolean
  /** Tools that no backend can run are told in the log, beside the answer's header. */
  readonly warnsOfTools: boolean
  /** What is answered without a backend, once it is known that the model can be served; absent or `undefined`: nothing. */
  readonly answerHere?: (request: JsonRecord) => unknown
  /** Where its routes begin; empty: at the root, unless `server.root_routes` is off. */
  readonly bases: ReadonlyArray<string>
  readonly routes: ReadonlyArray<TranslatorRoute>
  readonly errorBody: (status: number, message: string, requestId: string, details?: JsonRecord) => string
  /** What is wrong with a request, whoever will answer it. */
  readonly check: (request: JsonRecord) => string | Complaint | undefined
  readonly converse: (exchange: TranslatedExchange) => Conversation
  /** Token count of a request without a tokenizer. */
  readonly estimate: (request: JsonRecord) => number
  readonly countDocument: (tokens: number) => unknown
  /** A count by a backend of its own; `undefined`: this endpoint cannot. */
  readonly countDialect: (body: HygienicBody, inspection: Inspection, estimate: number) => Dialect
  readonly canCount: (endpoint: Endpoint) => boolean
  /** What a relayed answer said, for the inspector. */
  readonly relayedAnswer: (head: AnswerHead, bytes: Buffer) => unknown
}
