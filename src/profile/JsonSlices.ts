/**
 * `JSON.parse` for long documents of the shape `{"key": [ ... ], ...}`, in steps: between two elements of a top-level list
 * whoever drives the steps may give the event loop back. The result, and what is an error, is the same as of `JSON.parse`,
 * but for the bounds.
 */

export interface JsonBounds {
  /** Elements of one top-level list. */
  readonly elements: number
  /** Characters of one element, or of one top-level member that is no list. */
  readonly part: number
}

export type JsonReading =
  | { readonly _tag: "value"; readonly value: unknown }
  | { readonly _tag: "malformed"; readonly message: string }
  | { readonly _tag: "beyond"; readonly bound: keyof JsonBounds }

/** Characters up to which a document is parsed at once: a fraction of a millisecond. */
export const atOnce = 64 * 1024
/** Characters between two steps. */
const perStep = 16 * 1024

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

class Malformed extends Error {}
class Beyond extends Error {
  readonly bound: keyof JsonBounds
  constructor(bound: keyof JsonBounds) {
    super(bound)
    this.bound = bound
  }
}

export function* parseInSteps(text: string, bounds: JsonBounds): Generator<void, JsonReading> {
  try {
    if (text.length <= atOnce) return { _tag: "value", value: JSON.parse(text) as unknown }
    return { _tag: "value", value: yield* topLevel(text, bounds) }
  } catch (cause) {
    if (cause instanceof Beyond) return { _tag: "beyond", bound: cause.bound }
    if (cause instanceof Malformed || cause instanceof SyntaxError) return { _tag: "malformed", message: cause.message }
    throw cause
  }
}

function* topLevel(text: string, bounds: JsonBounds): Generator<void, unknown> {
  let at = blank(text, 0)
  if (text.charCodeAt(at) !== openBrace) {
    // No object, so no listing; only whether it is JSON at all is of interest.
    if (text.length > bounds.part) throw new Beyond("part")
    return JSON.parse(text) as unknown
  }
  const members: Array<readonly [string, unknown]> = []
  at = blank(text, at + 1)
  if (text.charCodeAt(at) !== closeBrace)
    for (;;) {
      if (text.charCodeAt(at) !== quote) throw unexpected(text, at)
      const keyEnd = partEnd(text, at, bounds.part)
      const key = JSON.parse(text.slice(at, keyEnd)) as string
      at = blank(text, keyEnd)
      if (text.charCodeAt(at) !== colon) throw unexpected(text, at)
      at = blank(text, at + 1)
      if (text.charCodeAt(at) === openBracket) {
        const list: Array<unknown> = []
        at = yield* elements(text, at, bounds, list)
        members.push([key, list])
      } else {
        const end = partEnd(text, at, bounds.part)
        members.push([key, JSON.parse(text.slice(at, end))])
        at = end
        yield
      }
      at = blank(text, at)
      const next = text.charCodeAt(at)
      if (next === closeBrace) break
      if (next !== comma) throw unexpected(text, at)
      at = blank(text, at + 1)
    }
  // At the closing brace.
  at = blank(text, at + 1)
  if (at < text.length) throw unexpected(text, at)
  return Object.fromEntries(members)
}

/** Reads the list that opens at `open` into `list`; returns the place behind it. */
function* elements(text: string, open: number, bounds: JsonBounds, list: Array<unknown>): Generator<void, number> {
  let at = blank(text, open + 1)
  if (text.charCodeAt(at) === closeBracket) return at + 1
  let stepped = at
  for (;;) {
    const end = partEnd(text, at, bounds.part)
    if (list.length === bounds.elements) throw new Beyond("elements")
    list.push(JSON.parse(text.slice(at, end)))
    at = blank(text, end)
    const next = text.charCodeAt(at)
    if (next === closeBracket) return at + 1
    if (next !== comma) throw unexpected(text, at)
    at = blank(text, at + 1)
    if (at - stepped >= perStep) {
      stepped = at
      yield
    }
  }
}

/** The end of the value at `at`; what stands between is for `JSON.parse` to judge. */
const partEnd = (text: string, at: number, longest: number): number => {
  const last = Math.min(text.length, at + longest)
  let depth = 0
  let i = at
  while (i < last) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      i = stringEnd(text, i, last)
      if (depth === 0) return i
      continue
    }
    if (code === openBrace || code === openBracket) depth++
    else if (code === closeBrace || code === closeBracket) {
      if (depth === 0) break
      depth--
      if (depth === 0) return i + 1
    } else if (depth === 0 && (code === comma || code <= 0x20)) break
    i++
  }
  if (i >= last) {
    if (last < text.length) throw new Beyond("part")
    throw new Malformed("Unexpected end of JSON input")
  }
  if (i === at) throw unexpected(text, at)
  return i
}

const stringEnd = (text: string, open: number, last: number): number => {
  for (let end = text.indexOf('"', open + 1); end !== -1 && end < last; end = text.indexOf('"', end + 1)) {
    let before = end - 1
    while (text.charCodeAt(before) === backslash) before--
    if ((end - before) % 2 === 1) return end + 1
  }
  if (last < text.length) throw new Beyond("part")
  throw new Malformed("Unterminated string in JSON")
}

const blank = (text: string, from: number): number => {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at++
  }
}

const unexpected = (text: string, at: number): Malformed =>
  new Malformed(
    at >= text.length
      ? "Unexpected end of JSON input"
      : `Unexpected token ${JSON.stringify(text.slice(at, at + 1))} in JSON at position ${at}`
  )
