/** Ids in the form that Anthropic's SDKs know: a prefix and 16 random bytes in Base58. */
import { randomBytes } from "node:crypto"

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

export const randomId = (prefix: string): string => {
  let rest = BigInt(`0x${randomBytes(16).toString("hex")}`)
  let text = ""
  while (rest > 0n) {
    text = alphabet.charAt(Number(rest % 58n)) + text
    rest /= 58n
  }
  // Leading zero bytes would shorten the text; SDK checks want 20 characters and more.
  return prefix + text.padStart(16, "1")
}
