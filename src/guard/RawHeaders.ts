/**
 * Looking things up in the flat name/value array of a Node request. `message.headers` would build an object with every
 * name lower-cased for each request; the guard needs one or two names and compares lengths first.
 */

const same = (written: string, lower: string): boolean =>
  written.length === lower.length && (written === lower || written.toLowerCase() === lower)

/** First value of the header; `lower` is its name in lower case. */
export const headerOf = (rawHeaders: ReadonlyArray<string>, lower: string): string | undefined => {
  for (let index = 0; index < rawHeaders.length; index += 2) if (same(rawHeaders[index] ?? "", lower)) return rawHeaders[index + 1]
  return undefined
}

/** All values of the header, in order. */
export const headersOf = (rawHeaders: ReadonlyArray<string>, lower: string): ReadonlyArray<string> => {
  const values: Array<string> = []
  for (let index = 0; index < rawHeaders.length; index += 2)
    if (same(rawHeaders[index] ?? "", lower)) values.push(rawHeaders[index + 1] ?? "")
  return values
}
