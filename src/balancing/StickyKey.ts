/** What a conversation is recognised by. Keys are internal: only their equality matters. */
import { hash } from "node:crypto"
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { StickyVerdict } from "../exchange/Exchange.ts"
import { BodyScan } from "../routing/BodyScan.ts"
import { closeBracket, membersAt, openBracket, skipSpace, valueEnd } from "../routing/JsonPlaces.ts"

/** What a session is recognised by: computed once per exchange, before the first attempt; `key` empty: no affinity. */
export interface StickyKey {
  readonly key: string
  readonly source: StickyVerdict["source"]
}

/** FNV-1a, 64 bit, as 16 lower-case hex digits. Two 32-bit halves: BigInt would cost more than the request. */
export const fnv1a64 = (bytes: Uint8Array): string => {
  let high = 0xcbf29ce4
  let low = 0x84222325
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0
    // times 2^40 + 0x1b3, modulo 2^64
    const product = low * 0x1b3
    const carry = Math.floor(product / 0x1_0000_0000)
    high = (Math.imul(high, 0x1b3) + carry + (low << 8)) >>> 0
    low = product >>> 0
  }
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0")
}

export interface StickyRequest {
  /** Value of a request header by lower-cased name; empty when absent. */
  readonly header: (name: string) => string
  readonly body: ReadonlyArray<Buffer>
  /** Absent: not known yet, the body is short or no JSON. */
  readonly conversation?: Places | undefined
  /** As extracted; may be empty. */
  readonly model: string
  /** TCP peer. */
  readonly peer: string
}

/** Bytes of a conversation's beginning that are told apart when nothing else is configured. */
const longestStart = 64 * 1024

export const stickyKeyOf = (config: OllaConfig["proxy"]["sticky_sessions"], request: StickyRequest): StickyKey => {
  for (const source of config.key_sources) {
    const key = keyOf(source, config.prefix_hash_bytes > 0 ? config.prefix_hash_bytes : longestStart, request)
    if (key !== "") return { key, source }
  }
  return { key: "", source: "none" }
}

type Source = OllaConfig["proxy"]["sticky_sessions"]["key_sources"][number]

const keyOf = (source: Source, budget: number, request: StickyRequest): string => {
  switch (source) {
    case "session_header": {
      const id = request.header("x-olla-session-id")
      return id === "" ? "" : `${fnv1a64(Buffer.from(id, "latin1"))}:${request.model}`
    }
    case "auth_header": {
      const value = request.header("authorization")
      return value === "" ? "" : `auth:${fnv1a64(Buffer.from(value, "latin1"))}:${request.model}`
    }
    case "ip":
      return `ip:${request.peer}:${request.model}`
    case "prefix_hash": {
      const text = conversationStart(request.body, budget, request.conversation)
      // Of some kilobytes a native hash is a hundred times cheaper.
      return text === undefined ? "" : `${request.model.replaceAll(":", "_")}:${hash("sha256", text, "hex").slice(0, 16)}`
    }
  }
}

/** Where the values of `messages` and `prompt` begin in the body; -1: there is no such list or text. */
export interface Places {
  readonly messagesAt: number
  readonly promptAt: number
}

/** Bodies that are no object end the scan at their first byte, long ones were scanned as they came. */
const placesIn = (body: ReadonlyArray<Buffer>): Places => {
  const scan = new BodyScan()
  for (const chunk of body) scan.push(chunk)
  return scan
}

/**
 * The raw bytes of `messages` up to the end of the first user message, else of `prompt`, `most` bytes of them: the same for
 * every later turn of a conversation. No more of the body is read than that. `undefined`: the body has neither.
 */
export const conversationStart = (body: ReadonlyArray<Buffer>, most: number, places: Places = placesIn(body)): Buffer | undefined => {
  const messages = bytesFrom(body, places.messagesAt, most)
  if (messages[0] === openBracket && messages[skipSpace(messages, 1)] !== closeBracket)
    return messages.subarray(0, firstUserMessageEnd(messages))
  const prompt = bytesFrom(body, places.promptAt, most)
  if (prompt.length === 0) return undefined
  const end = valueEnd(prompt, 0)
  return end < 0 ? prompt : prompt.subarray(0, end)
}

const bytesFrom = (body: ReadonlyArray<Buffer>, start: number, most: number): Buffer => {
  const parts: Array<Buffer> = []
  if (start < 0) return Buffer.concat(parts)
  let at = 0
  for (const chunk of body) {
    if (at >= start + most) break
    if (at + chunk.length > start) parts.push(chunk.subarray(Math.max(0, start - at), start + most - at))
    at += chunk.length
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** Of a list that begins at 0, and may be cut off. */
const firstUserMessageEnd = (b: Buffer): number => {
  let i = skipSpace(b, 1)
  while (i < b.length && b[i] !== closeBracket) {
    const close = valueEnd(b, i)
    // What is no value would not move on.
    if (close <= i) return b.length
    const role = membersAt(b, i).get("role")
    if (role !== undefined && b.toString("latin1", role[0], role[1]) === '"user"') return close
    i = skipSpace(b, close)
    if (b[i] === 44) i = skipSpace(b, i + 1)
  }
  return Math.min(i + 1, b.length)
}
