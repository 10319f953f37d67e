/** Byte sizes: all multiples are binary, `1KB` = `1KiB` = 1024. */

const powers = ["", "k", "m", "g", "t", "p"]

/** Bytes, truncated to an integer; `undefined` for anything else than a size. */
export const parseByteSize = (text: string): number | undefined => {
  const match = /^(\d+(?:\.\d+)?) ?(?:([kmgtp]?)(?:b|(?<=[kmgtp])ib)?)$/i.exec(text.trim())
  if (match === null) return undefined
  const bytes = Math.trunc(Number(match[1]) * 1024 ** powers.indexOf((match[2] ?? "").toLowerCase()))
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
