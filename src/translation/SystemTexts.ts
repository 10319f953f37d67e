/**
 * System texts among the turns. Most chat templates take one system message, as the first one; a later one is refused or
 * silently lost. So what stands before every turn joins the first, and what comes later is told inside a user message. Where
 * it goes depends only on what stands before and beside it: a conversation that grows keeps its beginning, and with it a
 * backend's prompt cache.
 */
import type { Part, Turn, UserTurn } from "./ChatTurn.ts"

export interface SystemText {
  readonly role: "system"
  readonly text: string
}

export interface Placed {
  readonly system: ReadonlyArray<string>
  readonly turns: ReadonlyArray<Turn>
}

const wrapped = (text: string): string => `<system>\n${text}\n</system>`

/** `texts` are system texts that the request has outside of its messages. */
export const placeSystem = (texts: ReadonlyArray<string>, messages: ReadonlyArray<Turn | SystemText>): Placed => {
  const system = [...texts]
  const turns: Array<Turn> = []
  /** Waits for the user message that may come directly behind. */
  let waiting: Array<string> = []
  const settle = (): void => {
    if (waiting.length > 0) turns.push({ role: "user", parts: [{ kind: "text", text: waiting.join("\n\n") }] })
    waiting = []
  }
  for (const message of messages) {
    if (message.role === "system") {
      const last = turns.at(-1)
      if (message.text === "") continue
      if (last === undefined && waiting.length === 0) system.push(message.text)
      else if (last?.role === "user" && waiting.length === 0) turns[turns.length - 1] = appended(last, wrapped(message.text))
      else waiting.push(wrapped(message.text))
    } else if (message.role === "user" && waiting.length > 0) {
      turns.push(prepended(waiting.join("\n\n"), message))
      waiting = []
    } else {
      settle()
      turns.push(message)
    }
  }
  settle()
  return { system, turns }
}

const appended = ({ parts }: UserTurn, text: string): UserTurn => {
  const last = parts.at(-1)
  return {
    role: "user",
    parts:
      last?.kind === "text"
        ? [...parts.slice(0, -1), { kind: "text", text: `${last.text}\n\n${text}` }]
        : [...parts, { kind: "text", text } satisfies Part]
  }
}

const prepended = (text: string, { parts }: UserTurn): UserTurn => {
  const [first, ...rest] = parts
  return {
    role: "user",
    parts: first?.kind === "text" ? [{ kind: "text", text: `${text}\n\n${first.text}` }, ...rest] : [{ kind: "text", text }, ...parts]
  }
}
