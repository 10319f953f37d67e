/** Messages requests as a chat server gets them. */
import { readMessages } from "../../src/translation/anthropic/MessagesReading.ts"
import { Complaint } from "../../src/translation/Complaint.ts"
import { type wordsFor, writtenFor } from "./words.ts"

export const asked = (request: Record<string, unknown>) =>
  readMessages({ model: "m", max_tokens: 9, messages: [{ role: "user", content: "hi" }], ...request })
/** As a server of unknown make gets it, or one of the kind that is named. */
export const convert = (request: Record<string, unknown>, kind: keyof typeof wordsFor = "openai-compatible") => {
  const made = asked(request)
  if (made instanceof Complaint) throw new Error(made.message)
  return writtenFor(made, kind)
}
export const messagesOf = (...messages: ReadonlyArray<unknown>) => convert({ messages }).fields.messages
export const complaint = (request: Record<string, unknown>) => {
  const made = asked(request)
  return made instanceof Complaint ? made.message : "accepted"
}
