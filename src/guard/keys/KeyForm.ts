/**
 * What keys look like: `olla_`, 256 random bits in 43 characters, and six that say whether it is whole. One word for a double click,
 * known by its form wherever it turns up, and a cut or mistyped one is told from one that was revoked.
 */
import { hash, randomBytes } from "node:crypto"
import { crc32 } from "node:zlib"

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
const base = BigInt(alphabet.length)

export const keyPrefix = "olla_"
const bodyLength = 43
const checkLength = 6
/** Characters in all. */
export const keyLength = keyPrefix.length + bodyLength + checkLength

/** Imported keys, and those of a configuration, in characters. */
const shortestForeign = 20
export const longestKey = 512

/** Most significant digit first. */
const base62 = (value: bigint, length: number): string => {
  let text = ""
  for (let rest = value; text.length < length; rest /= base) text = (alphabet[Number(rest % base)] as string) + text
  return text
}

const checksum = (text: string): string => {
  let out = ""
  for (let rest = crc32(text); out.length < checkLength; rest = Math.floor(rest / alphabet.length))
    out = (alphabet[rest % alphabet.length] as string) + out
  return out
}

const digits = new Map([...alphabet].map((char, digit) => [char.charCodeAt(0), digit]))
const digitOf = Uint8Array.from({ length: 128 }, (_, code) => digits.get(code) ?? 255)
/** zlib's own is a call out of the engine, which costs more than its 48 bytes. */
const crcOf = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

/** Digits all, and the last of them are the checksum of what stands before them. */
const isSound = (text: string): boolean => {
  let crc = 0xffffffff
  const end = text.length - checkLength
  for (let i = 0; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code > 127 || (i >= keyPrefix.length && digitOf[code] === 255)) return false
    crc = (crcOf[(crc ^ code) & 0xff] as number) ^ (crc >>> 8)
  }
  let check = 0
  for (let i = end; i < text.length; i++) {
    const digit = digitOf[text.charCodeAt(i)] ?? 255
    if (digit === 255) return false
    check = check * alphabet.length + digit
  }
  return check === (crc ^ 0xffffffff) >>> 0
}

export const makeKey = (): string => {
  const body = keyPrefix + base62(BigInt(`0x${randomBytes(32).toString("hex")}`), bodyLength)
  return body + checksum(body)
}

export const isWholeKey = (text: string): boolean => text.length === keyLength && text.startsWith(keyPrefix) && isSound(text)

/** Made here, or cut out of such a key. */
export const isOfOurs = (text: string): boolean => text.startsWith(keyPrefix)

/** As tables keep it. Its 256 bits need no salt and no stretching: nobody searches them. */
export const digestOf = (key: string): string => hash("sha256", key, "base64url")

/** From `sha256:<hex>`; `undefined`: it is none. */
export const digestOfHash = (text: string): string | undefined =>
  /^sha256:[0-9a-f]{64}$/i.test(text) ? Buffer.from(text.slice(7), "hex").toString("base64url") : undefined

export const hashOf = (key: string): string => `sha256:${hash("sha256", key, "hex")}`

/** What is wrong with a key that somebody chose; `undefined`: nothing. */
export const foreignKeyProblem = (key: string): string | undefined => {
  if (key.length < shortestForeign || key.length > longestKey) return `must have ${shortestForeign} to ${longestKey} characters`
  if (!/^[\x21-\x7e]+$/.test(key)) return "has blanks or characters that no header can carry"
  return isOfOurs(key) && !isWholeKey(key) ? "begins with olla_ and fails its checksum: it is cut off or mistyped" : undefined
}
