/** The prompt of a request as a server with a prefix cache sees it: its length, and a name for each of its blocks. */
import { blockTokens } from "./PrefixCache.ts"

/** Bytes of a token, near enough. */
const tokenBytes = 4

export interface Prompt {
  readonly tokens: number
  readonly blocks: ReadonlyArray<number>
}

/** In the order in which chat templates write them. */
const fields = ["tools", "system", "messages", "prompt", "input"]

export const promptOf = (request: Readonly<Record<string, unknown>>): Prompt => {
  let text = ""
  for (const field of fields) {
    const value = request[field]
    if (value === undefined) continue
    // Without its end a list of messages is the beginning of a longer one.
    text += typeof value === "string" ? value : JSON.stringify(value).slice(0, -1)
  }
  return { tokens: Math.max(1, Math.ceil(text.length / tokenBytes)), blocks: blocksOf(text, String(request["model"] ?? "")) }
}

const blocksOf = (text: string, model: string): ReadonlyArray<number> => {
  const size = blockTokens * tokenBytes
  const blocks: Array<number> = []
  let low = 0x811c9dc5
  let high = 0x1000193
  const mix = (code: number) => {
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high + code, 0x85ebca6b) ^ (low >>> 13)
  }
  for (let i = 0; i < model.length; i++) mix(model.charCodeAt(i))
  for (let at = 0; at + size <= text.length; at += size) {
    for (let i = at; i < at + size; i++) mix(text.charCodeAt(i))
    // 53 bits are what a number holds exactly.
    blocks.push((low >>> 0) + (high & 0x1fffff) * 0x1_0000_0000)
  }
  return blocks
}
