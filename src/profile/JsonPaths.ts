/**
 * The values at a few paths of a JSON text, found in its bytes without making objects, or even a string, of the rest: a backend's answer
 * is long, and what it says of itself is short. One pass finds all paths. What is passed over is not judged, but a text that ends too
 * early or goes on after its end has no values.
 */
import type { Value } from "./MetricsExpression.ts"

/** Steps of `$.a.b[0]['k']`. */
export const stepsOf = (path: string): ReadonlyArray<string> => path.replace(/^\$\.?/, "").match(/[^.[\]'"]+/g) ?? []

/** Paths that begin alike share their beginning. */
export interface PathTree {
  /** Where the value that stands here goes; below 0: nobody asks for it. */
  place: number
  readonly keys: Array<Uint8Array>
  readonly below: Array<PathTree>
  /** The same by their index in a list. */
  readonly elements: Array<PathTree | undefined>
}

export const pathTree = (): PathTree => ({ place: -1, keys: [], below: [], elements: [] })

const index = /^(?:0|[1-9]\d{0,3})$/

const step = (tree: PathTree, name: string): PathTree => {
  const key = Buffer.from(name)
  const at = tree.keys.findIndex((known) => key.equals(known))
  if (at >= 0) return tree.below[at] as PathTree
  const made = pathTree()
  tree.keys.push(key)
  tree.below.push(made)
  if (index.test(name)) tree.elements[Number(name)] = made
  return made
}

/** The value at `steps` goes to `place`, or to the one that an equal path has. Says which. */
export const addPath = (tree: PathTree, steps: ReadonlyArray<string>, place: number): number => {
  const end = steps.reduce(step, tree)
  if (end.place < 0) end.place = place
  return end.place
}

const quote = 0x22
const comma = 0x2c
const zero = 0x30
const colon = 0x3a
const openBracket = 0x5b
const backslash = 0x5c
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Nested deeper than this is nothing that a backend says. */
const deepest = 64
const broken = -1

const { indexOf } = Uint8Array.prototype

/** The next byte that is neither blank nor anything else that JSON has no use for; the end where there is none. */
const blank = (bytes: Buffer, from: number): number => {
  let at = from
  while ((bytes[at] as number) <= 0x20) at++
  return at
}

/** Most keys and words end before a search for their end has begun. */
const soon = 32

/** Behind the string that begins at `from`. */
const stringEnd = (bytes: Buffer, from: number): number => {
  for (let at = from + 1; at <= from + soon; at++) {
    const code = bytes[at]
    if (code === quote) return at + 1
    if (code === backslash) break
  }
  let at = indexOf.call(bytes, quote, from + 1)
  while (at > 0 && bytes[at - 1] === backslash) {
    let slashes = 1
    while (bytes[at - 1 - slashes] === backslash) slashes++
    if (slashes % 2 === 0) break
    at = indexOf.call(bytes, quote, at + 1)
  }
  return at < 0 ? broken : at + 1
}

/** Behind the object or list that begins at `from`. */
const groupEnd = (bytes: Buffer, from: number): number => {
  let depth = 0
  for (let at = from; at < bytes.length; at++) {
    const code = bytes[at]
    if (code === quote) {
      at = stringEnd(bytes, at) - 1
      if (at < 0) return broken
    } else if (code === openBrace || code === openBracket) depth++
    else if ((code === closeBrace || code === closeBracket) && --depth === 0) return at + 1
  }
  return broken
}

/** Behind a number or a word. */
const wordEnd = (bytes: Buffer, from: number): number => {
  let at = from
  for (; at < bytes.length; at++) {
    const code = bytes[at] as number
    if (code === comma || code === closeBrace || code === closeBracket || code <= 0x20) break
  }
  return at === from ? broken : at
}

const skip = (bytes: Buffer, at: number): number => {
  const code = bytes[at]
  return code === quote ? stringEnd(bytes, at) : code === openBrace || code === openBracket ? groupEnd(bytes, at) : wordEnd(bytes, at)
}

const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** `undefined`: `null`, or nothing that JSON knows. */
const scalarOf = (bytes: Buffer, from: number, to: number): Value | undefined => {
  if (bytes[from] === quote) {
    for (let at = from + 1; at < to - 1; at++)
      if (bytes[at] === backslash) {
        const text = parsed(bytes.toString("utf8", from, to))
        return typeof text === "string" ? text : undefined
      }
    return bytes.toString("utf8", from + 1, to - 1)
  }
  let whole = 0
  for (let at = from; at < to; at++) {
    const digit = (bytes[at] as number) - zero
    if (digit < 0 || digit > 9 || to - from > 15) {
      const value = parsed(bytes.toString("utf8", from, to))
      return typeof value === "number" || typeof value === "boolean" ? value : undefined
    }
    whole = whole * 10 + digit
  }
  return whole
}

/** Of the key that begins at `from` and ends before `to`, quotation marks included. */
const belowKey = ({ keys, below }: PathTree, bytes: Buffer, from: number, to: number): PathTree | undefined => {
  const length = to - from - 2
  const first = bytes[from + 1]
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as Uint8Array
    if (key.length !== length || key[0] !== first) continue
    let same = 1
    while (same < length && key[same] === bytes[from + 1 + same]) same++
    if (same >= length) return below[i]
  }
  return undefined
}

type Found = Array<Value | undefined>

/** Behind the value that begins at `at`. */
const pass = (bytes: Buffer, tree: PathTree | undefined, at: number, found: Found, depth: number): number => {
  if (tree === undefined) return skip(bytes, at)
  const code = bytes[at]
  if (code === openBrace || code === openBracket) {
    if (tree.keys.length === 0 || depth > deepest) return groupEnd(bytes, at)
    return code === openBrace ? passObject(bytes, tree, at, found, depth) : passList(bytes, tree, at, found, depth)
  }
  const end = skip(bytes, at)
  if (end !== broken && tree.place >= 0) found[tree.place] = scalarOf(bytes, at, end)
  return end
}

const passObject = (bytes: Buffer, tree: PathTree, from: number, found: Found, depth: number): number => {
  let at = blank(bytes, from + 1)
  if (bytes[at] === closeBrace) return at + 1
  for (;;) {
    if (bytes[at] !== quote) return broken
    const end = stringEnd(bytes, at)
    if (end === broken) return broken
    const below = belowKey(tree, bytes, at, end)
    at = blank(bytes, end)
    if (bytes[at] !== colon) return broken
    at = pass(bytes, below, blank(bytes, at + 1), found, depth + 1)
    if (at === broken) return broken
    at = blank(bytes, at)
    const code = bytes[at]
    if (code === closeBrace) return at + 1
    if (code !== comma) return broken
    at = blank(bytes, at + 1)
  }
}

const passList = (bytes: Buffer, { elements }: PathTree, from: number, found: Found, depth: number): number => {
  let at = blank(bytes, from + 1)
  if (bytes[at] === closeBracket) return at + 1
  for (let i = 0; ; i++) {
    at = pass(bytes, i < elements.length ? elements[i] : undefined, at, found, depth + 1)
    if (at === broken) return broken
    at = blank(bytes, at)
    const code = bytes[at]
    if (code === closeBracket) return at + 1
    if (code !== comma) return broken
    at = blank(bytes, at + 1)
  }
}

/**
 * Puts what stands at the tree's paths into `found`, by place. False: the bytes are not one JSON object or list, and what was put there
 * means nothing. Keys are compared as they are written, without their escapes.
 */
export const findPaths = (bytes: Buffer, tree: PathTree, found: Array<Value | undefined>): boolean => {
  const from = blank(bytes, 0)
  const code = bytes[from]
  if (code !== openBrace && code !== openBracket) return false
  const end = pass(bytes, tree, from, found, 0)
  return end !== broken && blank(bytes, end) >= bytes.length
}
