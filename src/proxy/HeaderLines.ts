/**
 * Headers as they stand on the wire, `Name: value` and CRLF each: what goes out is written once as text, since a list of its parts
 * would only be joined again. Names are tokens and values hold no line ends, so that the parts can be had back.
 */

/** The headers of an answer to a client. What frames it is left to whoever sends it. */
export interface ReplyHead {
  /** All but `Content-Length`. */
  readonly lines: string
  /** `Content-Length` as the backend said it; empty: it did not. */
  readonly length: string
  /** There is a `Date` among the lines. */
  readonly dated: boolean
}

/** Flat name/value pairs as lines. */
export const linesOf = (pairs: ReadonlyArray<string>): string => {
  let lines = ""
  // biome-ignore lint/style/useTemplate: a template would ask each part whether it is a string
  for (let i = 0; i + 1 < pairs.length; i += 2) lines = lines + pairs[i] + ": " + pairs[i + 1] + "\r\n"
  return lines
}

/** Lines as flat name/value pairs. */
export const pairsOf = (lines: string): Array<string> => {
  const pairs: Array<string> = []
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf("\r\n", at)
    const colon = lines.indexOf(": ", at)
    pairs.push(lines.slice(at, colon), lines.slice(colon + 2, end))
    at = end + 2
  }
  return pairs
}

/** All headers of an answer as flat pairs. */
export const pairsOfReply = ({ lines, length }: ReplyHead): Array<string> => {
  const pairs = pairsOf(lines)
  if (length !== "") pairs.push("Content-Length", length)
  return pairs
}
