/** Errors of the YAML parser in plain words: placed where the mistake is rather than where parsing failed, each reported once. */
import { type Document, type ErrorCode, visit, type YAMLParseError } from "yaml"

export interface YamlComplaint {
  readonly offset: number
  readonly message: string
}

const noPair = 'no "key: value": a key needs a colon and a space after it, on the same line'

/** Our message for an error code of the parser; its own message for all other codes. */
const explained: Readonly<Partial<Record<ErrorCode, string>>> = {
  TAB_AS_INDENT: "a tab is used for indentation: indent with spaces",
  BLOCK_AS_IMPLICIT_KEY: 'two "key: value" on one line: put each on its own line, or a text that contains ": " in quotes',
  MULTILINE_IMPLICIT_KEY: noPair,
  BAD_INDENT: "the indentation does not fit the lines before it: keys of one section begin in the same column",
  RESOURCE_EXHAUSTION: "the document is nested too deeply",
  BAD_SCALAR_START: "a text cannot begin with this character: put it in quotes",
  BAD_DQ_ESCAPE: "in double quotes a backslash begins an escape, and this is none: use single quotes"
}

/** Codes that are reported at every place. Of all others only the first is reported: the rest are consequences of it. */
const independent: ReadonlySet<string> = new Set(["BLOCK_AS_IMPLICIT_KEY", "MULTILINE_IMPLICIT_KEY", "BAD_SCALAR_START", "BAD_DQ_ESCAPE"])

const explain = ({ code, message }: YAMLParseError): string => {
  if (message.startsWith("Maximum call stack")) return "the document is nested too deeply"
  if (message.startsWith("Implicit map keys")) return noPair
  if (message === "Unexpected scalar at node end")
    return "something follows the closing quote: a quote within a text is written twice, or the text put into the other kind of quotes"
  const closing = /^Unexpected flow-(?:seq|map)-end token/.test(message) ? /"([\]}])"/.exec(message)?.[1] : undefined
  return closing === undefined ? (explained[code] ?? message.split("\n")[0] ?? message) : `this ${closing} closes nothing`
}

/** Larger files are refused without parsing. */
const mostTold = 50

interface Unclosed {
  readonly start: number
  readonly end: number
  readonly isText: boolean
}

/** Unclosed quotes and brackets, by the offset at which the parser gave up. */
const unclosedIn = (document: Document.Parsed, text: string): ReadonlyArray<Unclosed> => {
  const found: Array<Unclosed> = []
  const openTexts = new Set(document.errors.filter(({ message }) => message.startsWith("Missing closing")).map(({ pos }) => pos[0]))
  visit(document, {
    Scalar: (_key, node) => {
      const [start = 0, end = 0] = node.range ?? []
      if ((node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE") && openTexts.has(end)) found.push({ start, end, isText: true })
    },
    Collection: (_key, node) => {
      const [start = 0, end = 0] = node.range ?? []
      if (node.flow === true && text[end - 1] !== (text[start] === "[" ? "]" : "}")) found.push({ start, end, isText: false })
    }
  })
  return found
}

/** `text`: the source that `document` was parsed from. In the order of the file. */
export const complaintsOf = (document: Document.Parsed, text: string): ReadonlyArray<YamlComplaint> => {
  if (document.errors.length === 0) return []
  const conflict = /^<{7} .*$/m.exec(text)
  if (conflict !== null) return [{ offset: conflict.index, message: "a merge conflict is not resolved here: keep one of the two versions" }]
  const unclosed = unclosedIn(document, text)
  // Everything after an open quote is part of it.
  const open = unclosed.find((one) => one.isText)
  const complaints: Array<YamlComplaint> = []
  if (open !== undefined) complaints.push({ offset: open.start, message: "the quote that begins here is not closed" })
  const byEnd = new Map(unclosed.filter((one) => !one.isText).map((one) => [one.end, one]))
  // Sorted by their ends, so that an enclosing one follows the one inside it.
  let told: Unclosed | undefined
  const codes = new Set<string>()
  for (const error of document.errors) {
    const offset = error.pos[0]
    if (open !== undefined && offset >= open.start) continue
    if (error.message.startsWith("Flow ")) {
      const slip = byEnd.get(offset)
      const start = slip?.start ?? offset
      // Enclosing and enclosed ones are unclosed for the same reason: one report is enough.
      if (slip !== undefined && told !== undefined && told.start <= slip.end && slip.start <= told.end) continue
      told = slip ?? told
      complaints.push({
        offset: start,
        message: `the ${text[start] ?? "["} that begins here is not closed, or its contents are not indented`
      })
      continue
    }
    if (told !== undefined && error.message.startsWith("Unexpected flow-")) continue
    const message = explain(error)
    if (!independent.has(error.code) && codes.has(message)) continue
    codes.add(message)
    complaints.push({ offset, message })
  }
  complaints.sort((a, b) => a.offset - b.offset)
  const next = complaints[mostTold]
  if (next === undefined) return complaints
  return [...complaints.slice(0, mostTold), { offset: next.offset, message: `and ${complaints.length - mostTold} more from here on` }]
}
