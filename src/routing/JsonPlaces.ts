/** Where values lie in JSON text that is not parsed: by brackets and quotes alone. A text that is cut off or wrong ends the search. */

export const openBracket = 91
export const closeBracket = 93

/** End of the JSON value that begins at `at`; -1 when it does not end. */
export const valueEnd = (b: Buffer, at: number): number => {
  let depth = 0
  for (let i = at; i < b.length; i++) {
    const c = b[i]
    if (c === 34) {
      i = stringEnd(b, i)
      if (i < 0) return -1
      if (depth === 0) return i + 1
    } else if (c === 123 || c === 91) depth++
    else if (c === 125 || c === 93) {
      if (depth === 0) return i
      if (--depth === 0) return i + 1
    } else if (depth === 0 && (c === 44 || c === 32 || c === 10 || c === 13 || c === 9)) return i
  }
  return -1
}

/** Index of the closing quote. Prompts are long and quotes are rare: the search for the next one is native. */
export const stringEnd = (b: Buffer, open: number): number => {
  for (let quote = b.indexOf(34, open + 1); quote >= 0; quote = b.indexOf(34, quote + 1)) {
    let back = quote
    while (b[back - 1] === 92) back--
    if ((quote - back) % 2 === 0) return quote
  }
  return -1
}

export const skipSpace = (b: Buffer, at: number): number => {
  let i = at
  while (b[i] === 32 || b[i] === 10 || b[i] === 13 || b[i] === 9) i++
  return i
}

/** Byte ranges of the values of an object's own keys; the last duplicate wins. */
export const membersAt = (b: Buffer, from: number): ReadonlyMap<string, readonly [number, number]> => {
  const out = new Map<string, readonly [number, number]>()
  let i = skipSpace(b, from)
  if (b[i] !== 123) return out
  i = skipSpace(b, i + 1)
  while (b[i] === 34) {
    const close = stringEnd(b, i)
    if (close < 0) return out
    const key = b.toString("latin1", i + 1, close)
    i = skipSpace(b, close + 1)
    if (b[i] !== 58) return out
    const start = skipSpace(b, i + 1)
    const end = valueEnd(b, start)
    if (end < 0) return out
    out.set(key, [start, end])
    i = skipSpace(b, end)
    if (b[i] !== 44) return out
    i = skipSpace(b, i + 1)
  }
  return out
}
