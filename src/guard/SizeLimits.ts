/** How much a request may bring. Pure: sizes in bytes, header strings are latin1, so length is bytes. */
import { roomForLarge } from "./BodyBudget.ts"

const defaultHeaderSize = 1024 * 1024
const smallestHeaderSize = 4096

/** `max_header_size` as it takes effect. */
export const effectiveHeaderLimit = (configured: number): number =>
  configured <= 0 ? defaultHeaderSize : Math.max(configured, smallestHeaderSize)

export const bodySizeKey = "server.request_limits.max_body_size"
export const headerSizeKey = "server.request_limits.max_header_size"
export const budgetKey = "server.request_limits.max_buffered"

/** A limit of bodies as who is refused hears of it. */
export interface BodyLimit {
  /** `Infinity`: it is off. */
  readonly bytes: number
  /** The configuration key that raises it. */
  readonly key: string
}

/** `lines`: of header lines, which no key raises. */
export type HeadLimit = { readonly bytes: number } | { readonly lines: number }

/** `max_body_size` as it takes effect. */
export const effectiveBodyLimit = (configured: number): number => (configured <= 0 ? Number.POSITIVE_INFINITY : configured)

/** For one body of which so many copies are kept within the budget of all. */
export const bodyLimitOf = (configured: number, budget: number, copies: number): BodyLimit => {
  const size = effectiveBodyLimit(configured)
  const room = Math.floor(roomForLarge(budget) / copies)
  return room < size ? { bytes: room, key: budgetKey } : { bytes: size, key: bodySizeKey }
}

/** A request's head as its reader has measured it. */
export interface MeasuredHead {
  /** Flat name/value pairs as received. */
  readonly rawHeaders: ReadonlyArray<string>
  /** Of the body; -1: the client declared none. */
  readonly declaredLength: number
  /** Names, values and 4 for each pair, those of `Host` left out. */
  readonly headerBytes: number
}

/** Header lines of a request. Thousands of tiny ones fit into any size and cost far more than their bytes. */
export const mostHeaders = 10_000

const requestLine = "HTTP/1.1".length + 4

/**
 * Each distinct name once, each value and 4 for it, the request line; `Host` is not counted. The measure counts repeated names
 * each time: only when that upper bound is over the limit are the names told apart.
 */
export const headerSize = (method: string, path: string, { rawHeaders, headerBytes }: MeasuredHead, limit: number): number => {
  let total = method.length + path.length + requestLine + headerBytes
  if (total <= limit) return total
  const seen = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase()
    if (name === "host") continue
    if (seen.has(name)) total -= name.length
    seen.add(name)
  }
  return total
}
