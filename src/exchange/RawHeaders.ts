/**
 * Looking headers up in flat name/value pairs, as node has them. An object with every name lower-cased would cost more than the
 * one or two look-ups that a request needs; lengths are compared first. Names are asked for in lower case.
 */

const same = (written: string, lower: string): boolean =>
  written.length === lower.length && (written === lower || written.toLowerCase() === lower)

/** First value; `undefined` when absent. */
export const headerOf = (pairs: ReadonlyArray<string>, lower: string): string | undefined => {
  for (let i = 0; i + 1 < pairs.length; i += 2) if (same(pairs[i] as string, lower)) return pairs[i + 1]
  return undefined
}

/** First value; empty when absent. */
export const headerValue = (pairs: ReadonlyArray<string>, lower: string): string => headerOf(pairs, lower) ?? ""

/** All values, in order. */
export const headersOf = (pairs: ReadonlyArray<string>, lower: string): ReadonlyArray<string> => {
  const values: Array<string> = []
  for (let i = 0; i + 1 < pairs.length; i += 2) if (same(pairs[i] as string, lower)) values.push(pairs[i + 1] as string)
  return values
}
