/**
 * OpenAI's older completions, for prompts that are gone on with as they stand: written as a chat completion with a prompt in the place of
 * its messages, read as one whose texts stand elsewhere.
 */
import type { AnswerReader } from "../AnswerReader.ts"
import type { ChatEvent } from "../ChatEvent.ts"
import type { ChatTurn, RawPrompt } from "../ChatTurn.ts"
import { isRecord, type JsonRecord, listOf, parseJson } from "../JsonValue.ts"
import { ChatStreamReader, chatAnswersAsTheyCome } from "./ChatReader.ts"
import { type ChatWriting, writeChat } from "./ChatRequestWriting.ts"
import type { Wording } from "./Wording.ts"

export const writeCompletion = (
  turn: ChatTurn,
  { prompt, suffix }: RawPrompt,
  wording: Wording
): Pick<ChatWriting, "dropped"> & { readonly fields: JsonRecord } => {
  const { fields, dropped } = writeChat(turn, wording, "none")
  const { messages: _, ...others } = fields
  return { fields: { ...others, prompt, ...(suffix === "" ? {} : { suffix }) }, dropped }
}

const asChat = (body: unknown, place: "delta" | "message"): unknown =>
  isRecord(body) && Array.isArray(body["choices"])
    ? {
        ...body,
        choices: body["choices"].map((choice) => (isRecord(choice) ? { ...choice, [place]: { content: choice["text"] } } : choice))
      }
    : body

class CompletionStreamReader extends ChatStreamReader {
  override push(event: string, data: string, out: Array<ChatEvent>): void {
    const chunk = asChat(parseJson(data), "delta")
    super.push(event, isRecord(chunk) ? JSON.stringify(chunk) : data, out)
  }
}

export const completionAnswers: AnswerReader = {
  ...chatAnswersAsTheyCome,
  stream: () => new CompletionStreamReader(false),
  isPiece: (body) => isRecord(body) && listOf(body["choices"]) !== undefined && !isRecord(body["usage"]),
  whole: (body) => chatAnswersAsTheyCome.whole(asChat(body, "message"))
}
