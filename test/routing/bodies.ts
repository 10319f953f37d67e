/** Request bodies for properties: JSON texts with every spelling that JSON allows, and ways to cut them. */
import * as fc from "fast-check"
import { setsOffKeyDefect } from "../keyDefect.ts"

const escapes: Readonly<Record<string, string>> = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "/": "\\/" }

/** A JSON string literal of this text, some characters written as escapes. */
export const literal = (text: string, escaped: ReadonlyArray<boolean>): string => {
  const unit = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
  let out = '"'
  for (const [i, c] of [...text].entries()) {
    const must = c === '"' || c === "\\" || c < " " || !c.isWellFormed()
    if (!must && escaped[i % Math.max(1, escaped.length)] !== true) out += c
    else out += (escaped[0] === true ? undefined : escapes[c]) ?? c.split("").map(unit).join("")
  }
  return `${out}"`
}

const flags = fc.array(fc.boolean(), { maxLength: 5 })
const space = fc.constantFrom("", "", " ", "\n", "\t\r\n ")
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.constantFrom("qwen3:8b", " Llama3 ", "", "\\", '"', 'a\\"b', "\\\\", '{"model":"x"}', "x".repeat(120), '\\"'.repeat(40), "é😀")
)
export const string = fc.tuple(text, flags).map(([value, escaped]) => literal(value, escaped))
const scalar = fc.oneof(string, fc.constantFrom("true", "false", "null", "0", "-1.5e+3", "12345678901234567890"))
const key = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("model", "Model", "MODEL", "stream", "messages", "m", "models", "mode", "x") },
  { weight: 1, arbitrary: fc.constantFrom("tools", "system", "instructions", "prompt", "input", "max_tokens", "max_output_tokens") },
  { weight: 1, arbitrary: fc.string({ maxLength: 6 }) }
)

const { value } = fc.letrec<{ value: string; object: string; list: string }>((tie) => ({
  object: fc
    .array(fc.tuple(space, fc.tuple(key, flags), space, tie("value"), space), { maxLength: 5 })
    .map((members) => `{${members.map(([a, [name, escaped], b, held, c]) => `${a}${literal(name, escaped)}${b}:${held}${c}`).join(",")}}`),
  list: fc
    .array(fc.tuple(space, tie("value"), space), { maxLength: 4 })
    .map((items) => `[${items.map((item) => item.join("")).join(",")}]`),
  value: fc.oneof(
    { maxDepth: 3 },
    { weight: 3, arbitrary: scalar },
    { weight: 1, arbitrary: tie("object") },
    { weight: 1, arbitrary: tie("list") }
  )
}))

export interface Member {
  readonly key: string
  /** JSON text. */
  readonly value: string
}

/** An object's members in order, and its text. */
export const object: fc.Arbitrary<{ readonly members: ReadonlyArray<Member>; readonly text: string }> = fc
  .tuple(space, fc.array(fc.tuple(space, key, flags, space, space, value, space), { maxLength: 7 }), space, space)
  .map(([before, members, inside, after]) => ({
    members: members.map(([, name, , , , held]) => ({ key: name, value: held })),
    text: `${before}{${members.map(([a, name, escaped, b, c, held, d]) => `${a}${literal(name, escaped)}${b}:${c}${held}${d}`).join(",")}${members.length === 0 ? inside : ""}}${after}`
  }))
  .filter(({ text }) => !setsOffKeyDefect(text))

export const anyJson = value.filter((text) => !setsOffKeyDefect(text))

/** The same bytes in pieces, cut anywhere, also inside of a character. */
export const cut = (bytes: Buffer, at: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const points = [...new Set(at.map((n) => (bytes.length === 0 ? 0 : n % bytes.length)))].sort((a, b) => a - b)
  const out: Array<Buffer> = []
  let from = 0
  for (const point of [...points, bytes.length]) {
    if (point > from) out.push(bytes.subarray(from, point))
    from = point
  }
  return out
}

export const cuts = fc.array(fc.nat(100_000), { maxLength: 12 })
