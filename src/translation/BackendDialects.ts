/** The APIs that servers speak: where each has its turns, how a turn is written in it, and how its answers are read. */
import type { Profile } from "../profile/Profile.ts"
import type { AnswerReader } from "./AnswerReader.ts"
import { messagesAnswers } from "./anthropic/MessagesReader.ts"
import { writeMessages } from "./anthropic/MessagesWriting.ts"
import type { ChatTurn } from "./ChatTurn.ts"
import { Complaint } from "./Complaint.ts"
import type { JsonRecord } from "./JsonValue.ts"
import { ollamaLines } from "./ollama/OllamaReader.ts"
import { writeOllama } from "./ollama/OllamaWriting.ts"
import { chatAnswers, chatAnswersAsTheyCome } from "./openai/ChatReader.ts"
import { type ReasoningKept, writeChat } from "./openai/ChatRequestWriting.ts"
import { completionAnswers, writeCompletion } from "./openai/Completions.ts"
import { type Lesson, wordingKey, wordingOf } from "./openai/Wording.ts"
import { responsesEvents } from "./responses/ResponsesReader.ts"
import { writeResponses } from "./responses/ResponsesRequestWriting.ts"

export type DialectName = "chat" | "messages" | "responses" | "ollama" | "completions"

export interface Writing {
  /** Everything but `model`, which has another name on each endpoint. */
  readonly fields: JsonRecord
  /** What this server does not get, as paths in the client's dialect. */
  readonly dropped: ReadonlyArray<string>
}

/** How one server wants its requests; equal keys: equal words for equal turns. */
export interface Words {
  readonly key: string
  readonly write: (turn: ChatTurn) => Writing | Complaint
}

export interface BackendDialect {
  readonly name: DialectName
  readonly isSpokenBy: (profile: Profile | undefined) => boolean
  readonly target: (profile: Profile | undefined) => string
  readonly wordsFor: (profile: Profile | undefined, lessons: ReadonlySet<Lesson>, kept: ReasoningKept) => Words
  /** `readsTags`: what stands in `<think>` at the beginning of an answer is reasoning. */
  readonly reader: (readsTags: boolean) => AnswerReader
  /** What a stream of it is called, for `Accept`. */
  readonly streamType: string
  /** Name/value pairs that its requests carry. */
  readonly headers: ReadonlyArray<string>
}

/** In the order in which they are chosen: the more servers a form has been tried with, the earlier. */
export const backendDialects: ReadonlyArray<BackendDialect> = [
  {
    name: "chat",
    // One of unknown kind is asked as nearly all can be.
    isSpokenBy: (profile) => profile?.chat ?? true,
    target: (profile) => profile?.chatPath ?? "/v1/chat/completions",
    wordsFor: (profile, lessons, kept) => {
      const wording = wordingOf(profile, lessons)
      return { key: wordingKey(wording), write: (turn) => writeChat(turn, wording, kept) }
    },
    reader: (readsTags) => (readsTags ? chatAnswers : chatAnswersAsTheyCome),
    streamType: "text/event-stream",
    headers: []
  },
  {
    name: "messages",
    isSpokenBy: (profile) => profile?.anthropic?.enabled === true,
    target: (profile) => profile?.anthropic?.messagesPath ?? "/v1/messages",
    wordsFor: () => ({ key: "", write: writeMessages }),
    reader: () => messagesAnswers,
    streamType: "text/event-stream",
    headers: ["anthropic-version", "2023-06-01"]
  },
  {
    name: "responses",
    isSpokenBy: (profile) => profile?.responses?.enabled === true,
    target: (profile) => profile?.responses?.responsesPath ?? "/v1/responses",
    wordsFor: () => ({ key: "", write: writeResponses }),
    reader: () => responsesEvents,
    streamType: "text/event-stream",
    headers: []
  },
  {
    name: "ollama",
    isSpokenBy: (profile) => profile?.ollama === true,
    target: () => "/api/chat",
    wordsFor: () => ({ key: "", write: writeOllama }),
    reader: () => ollamaLines,
    streamType: "application/x-ndjson",
    headers: []
  }
]

const completionsPath = (profile: Profile | undefined): string | undefined =>
  profile === undefined ? "/v1/completions" : profile.paths.find((path) => path.endsWith("/v1/completions"))

/** For raw prompts, which all others have no place for. */
const completions: BackendDialect = {
  name: "completions",
  isSpokenBy: (profile) => completionsPath(profile) !== undefined,
  target: (profile) => completionsPath(profile) ?? "/v1/completions",
  wordsFor: (profile, lessons) => {
    const wording = wordingOf(profile, lessons)
    const write: Words["write"] = (turn) =>
      turn.raw === undefined ? new Complaint("there is no prompt to go on with") : writeCompletion(turn, turn.raw, wording)
    return { key: wordingKey(wording), write }
  },
  reader: () => completionAnswers,
  streamType: "text/event-stream",
  headers: []
}

/** For a raw prompt. */
export const completedBy = (profile: Profile | undefined): ReadonlyArray<BackendDialect> =>
  completions.isSpokenBy(profile) ? [completions] : []

/** The dialects of a kind of server but for one, in the order in which they are chosen. */
export const spokenBy = (profile: Profile | undefined, except?: DialectName): ReadonlyArray<BackendDialect> =>
  backendDialects.filter((dialect) => dialect.name !== except && dialect.isSpokenBy(profile))
