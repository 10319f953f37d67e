/** Anthropic's Messages as the dialect of a client's answers: the table of its writers. */
import type { AnswerWriter } from "../AnswerWriter.ts"
import { errorBody } from "./ErrorEnvelope.ts"
import { EventWriter } from "./EventWriter.ts"
import { MessageWriter } from "./MessageWriter.ts"

export const anthropicAnswers: AnswerWriter = {
  streamType: "text/event-stream",
  stream: (options) => new EventWriter(options),
  whole: (options) => new MessageWriter(options),
  errorBody
}
