/** W3C trace context: reading a client's, and making ids of our own. */
import { randomFillSync } from "node:crypto"

export interface ClientTrace {
  readonly traceId: string
  /** The span that the request was made in. */
  readonly spanId: string
  /** Two hexadecimal digits; the lowest bit: the trace is recorded. */
  readonly flags: string
}

const isHex = (text: string, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i)
    if (!((code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66))) return false
  }
  return true
}

const isZero = (text: string, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) if (text.charCodeAt(i) !== 0x30) return false
  return true
}

const dash = 0x2d
/** Of version 00; later versions may be longer. */
const length00 = 55

/** Says whether a `traceparent` is valid; a version that is not known yet is read as its first four fields. */
export const isTraceparent = (text: string): boolean => {
  if (text.length < length00 || text.charCodeAt(2) !== dash || text.charCodeAt(35) !== dash || text.charCodeAt(52) !== dash) return false
  if (!isHex(text, 0, 2) || !isHex(text, 3, 35) || !isHex(text, 36, 52) || !isHex(text, 53, 55)) return false
  if (isZero(text, 3, 35) || isZero(text, 36, 52) || text.startsWith("ff")) return false
  return text.length === length00 || (text.charCodeAt(length00) === dash && !text.startsWith("00"))
}

/** Of a valid one; empty otherwise. */
export const traceIdOf = (traceparent: string): string => (isTraceparent(traceparent) ? traceparent.slice(3, 35) : "")

export const readTraceparent = (text: string): ClientTrace | undefined =>
  isTraceparent(text) ? { traceId: text.slice(3, 35), spanId: text.slice(36, 52), flags: text.slice(53, 55) } : undefined

/** `parent`: a valid `traceparent`. Its lowest flag, without reading the rest. */
export const isFlagged = (traceparent: string): boolean => (Number.parseInt(traceparent.charAt(54), 16) & 1) === 1

/** Random bytes are asked for, and made digits, this many at a time. */
const pool = Buffer.alloc(4096)
let digits = ""
let used = 0

const randomHex = (count: number): string => {
  if (used + count > digits.length) {
    digits = randomFillSync(pool).toString("hex")
    used = 0
  }
  used += count
  return digits.slice(used - count, used)
}

export const newSpanId = (): string => {
  const id = randomHex(16)
  return id === "0000000000000000" ? newSpanId() : id
}

/** Hexadecimal digits of a trace id that decide on its sampling. */
const randomDigits = 14
const randomRange = 2 ** 56
const halfRange = 2 ** 28

const three = Array.from({ length: 4096 }, (_, n) => n.toString(16).padStart(3, "0"))
/** `n`: below 2^28. */
const seven = (n: number): string => `${three[n >>> 16]}${three[(n >>> 4) & 0xfff]}${(n & 0xf).toString(16)}`

/** `randomness`: 0 (inclusive) to 1, which becomes the low 56 bits, so that whoever sees the id decides alike. */
export const newTraceId = (randomness: number): string => {
  const scaled = randomness * halfRange
  const high = Math.floor(scaled)
  const id = randomHex(32 - randomDigits) + seven(high) + seven(Math.floor((scaled - high) * halfRange))
  return isZero(id, 0, 32) ? newTraceId(randomness) : id
}

/** What decided, or would, on the sampling of this trace: 0 to 1. */
export const randomnessOf = (traceId: string): number => Number.parseInt(traceId.slice(-randomDigits), 16) / randomRange
