/** Tokens of a turn without a tokenizer: UTF-8 bytes by four. */
import type { ChatTurn, Part } from "./ChatTurn.ts"

/** What an image costs, and a document at least, in bytes of this estimate. */
const mediaBytes = 1_500 * 4

const bytesOf = (text: string): number => Buffer.byteLength(text)

const partBytes = (part: Part): number => {
  switch (part.kind) {
    case "text":
      return bytesOf(part.text)
    case "image":
      return mediaBytes
    // About a sixth of a PDF's Base64 is text.
    case "file":
      return Math.max(mediaBytes, Math.floor(part.data.length / 6))
    case "audio":
      return Math.floor(part.data.length / 100)
  }
}

const sum = <A>(list: ReadonlyArray<A>, of: (item: A) => number): number => list.reduce((total, item) => total + of(item), 0)

export const estimateTurn = ({ system, turns, tools }: ChatTurn): number => {
  let bytes = sum(system, bytesOf)
  for (const turn of turns) {
    if (turn.role === "user") bytes += sum(turn.parts, partBytes)
    else if (turn.role === "tool") bytes += bytesOf(turn.text) + sum(turn.media, partBytes)
    else bytes += bytesOf(turn.reasoning) + bytesOf(turn.text) + sum(turn.calls, ({ name, input }) => bytesOf(name) + bytesOf(input))
  }
  bytes += sum(tools, ({ name, description, schema }) => bytesOf(name) + bytesOf(description) + bytesOf(JSON.stringify(schema)))
  return Math.max(1, Math.floor(bytes / 4))
}
