/** How much a request may bring (http-api.md 4.1). Pure: sizes in bytes, header strings are latin1, so length is bytes. */
import { headerOf } from "./RawHeaders.ts"

const defaultHeaderSize = 1024 * 1024
const smallestHeaderSize = 4096

/** `max_header_size` as it takes effect. */
export const effectiveHeaderLimit = (configured: number): number =>
  configured <= 0 ? defaultHeaderSize : Math.max(configured, smallestHeaderSize)

/** `max_body_size` as it takes effect. */
export const effectiveBodyLimit = (configured: number): number => (configured <= 0 ? Number.POSITIVE_INFINITY : configured)

/** Declared body length; `undefined` without one. The listener has refused malformed and conflicting lengths. */
export const declaredLength = (rawHeaders: ReadonlyArray<string>): number | undefined => {
  const written = headerOf(rawHeaders, "content-length")
  if (written === undefined || !/^\d+$/.test(written)) return undefined
  return Number(written)
}

/** Header lines of a request. Thousands of tiny ones fit into any size and cost far more than their bytes. */
export const mostHeaders = 10_000

const perValue = 4
const requestLine = "HTTP/1.1".length + 4

/**
 * Each distinct name once, each value and 4 for it, the request line; `Host` is not counted. A first pass counts
 * repeated names each time: only when that upper bound is over the limit are the names told apart.
 */
export const headerSize = (method: string, path: string, rawHeaders: ReadonlyArray<string>, limit: number): number => {
  let total = method.length + path.length + requestLine
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ""
    if (name.length === 4 && name.toLowerCase() === "host") continue
    total += name.length + (rawHeaders[index + 1] ?? "").length + perValue
  }
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
