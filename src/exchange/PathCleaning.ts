/**
 * Paths as whoever gets them may read them. A backend decodes a path once, or a proxy before it does so again, and some take an
 * encoded slash for a slash: what a path may mean to the most lenient of them is what it is judged by.
 */

const percent = 0x25

const hexOf = (code: number): number => {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const low = code | 0x20
  return low >= 0x61 && low <= 0x66 ? low - 0x57 : -1
}

/** Percent-escapes undone until none is left, in one pass; where an escape is none it stands for itself. UTF-8 is read as such. */
export const decodeFully = (text: string): string => {
  if (!text.includes("%")) return text
  const out: Array<number> = []
  for (const byte of Buffer.from(text, "latin1")) {
    let next = byte
    // What was decoded may complete another escape.
    for (;;) {
      const low = hexOf(next)
      const high = low < 0 ? -1 : hexOf(out.at(-1) ?? 0)
      if (high < 0 || out.at(-2) !== percent) break
      out.length -= 2
      next = high * 16 + low
    }
    out.push(next)
  }
  return Buffer.from(out).toString("utf8")
}

const isDots = (part: string): boolean => part === "." || part === ".."

/** One segment, or its parts at encoded slashes where one of them is dots. Every part keeps its spelling. */
const partsOf = (segment: string): ReadonlyArray<string> => {
  if (!segment.includes("%")) return [segment]
  const parts = segment.split(/%(?:25)*2f/i)
  return parts.length > 1 && decodeFully(segment).split("/").some(isDots) ? parts : [segment]
}

/** True: a segment is dots in some spelling, or an escape is none. */
export const hasDots = (path: string): boolean => {
  if (!path.includes("/.") && !path.includes("%")) return false
  if (/%(?![0-9a-f]{2})/i.test(path)) return true
  return path.split("/").some((segment) => isDots(segment) || (segment.includes("%") && decodeFully(segment).split("/").some(isDots)))
}

/** Against the root: repeated slashes collapse, dots in any spelling resolve, a trailing slash goes. The rest keeps its spelling. */
export const cleanPath = (path: string): string => {
  const out: Array<string> = []
  for (const segment of path.split("/"))
    for (const part of partsOf(segment)) {
      const plain = decodeFully(part)
      if (plain === "" || plain === ".") continue
      if (plain === "..") out.pop()
      else out.push(part)
    }
  return `/${out.join("/")}`
}
