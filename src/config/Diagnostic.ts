/**
 * What start-up, `validate` and reload have to say about the configuration. Every room that can find fault with it
 * exports a `check…(config)` function returning these.
 */
export interface Diagnostic {
  /** `error` ends the start; `warning` is logged. */
  readonly severity: "error" | "warning" | "info"
  /** One or more lines. Never holds a secret. A warning's is the same for all of its kind, so that logs can be filtered by it. */
  readonly message: string
  /** What the log has in its fields: belongs to the message wherever that stands alone. */
  readonly detail?: string
  /** Full path from the root, list items by index: `discovery.static.endpoints[0].url`. */
  readonly path?: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
  readonly column?: number
  /** Full path of the nearest known key. */
  readonly suggestion?: string
  /** How it would be right, as it stands in a file: `read_timeout: 30s`. */
  readonly example?: string
  /** Found while the file was read, before any rule looked at it. */
  readonly parsing?: true
  /** What its log record carries besides `key`, `line` and `suggestion`. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** As machines read it: `validate --json`, the answer to a reload, the status document. */
export interface Finding {
  readonly severity: "error" | "warning"
  readonly message: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly key?: string
  readonly suggestion?: string
  readonly example?: string
}

export const findingOf = (diagnostic: Diagnostic): Finding => {
  const { severity, path, file, line, column, suggestion, example } = diagnostic
  return {
    severity: severity === "error" ? "error" : "warning",
    message: sentenceOf(diagnostic),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line, column: column ?? 1 }),
    ...(path === undefined ? {} : { key: path }),
    ...(suggestion === undefined ? {} : { suggestion }),
    ...(example === undefined ? {} : { example })
  }
}

/** `file:line:column: `, as far as it is known. */
export const placeOf = ({ file, line, column }: Diagnostic): string =>
  file === undefined || file === "" ? "" : line === undefined ? `${file}: ` : `${file}:${line}:${column ?? 1}: `

/** What is wrong, by itself. */
export const sentenceOf = ({ message, detail }: Diagnostic): string => (detail === undefined ? message : `${message}: ${detail}`)

/** What is wrong and how it would be right, without the place. */
export const textOf = (diagnostic: Diagnostic): string =>
  diagnostic.example === undefined ? sentenceOf(diagnostic) : `${sentenceOf(diagnostic)} (for example \`${diagnostic.example}\`)`

/** Place, what is wrong and how it would be right, as one text. */
export const render = (diagnostic: Diagnostic): string => {
  const { parsing, file, line } = diagnostic
  const reading = parsing === undefined ? "" : `failed to parse ${file}: yaml: ${line === undefined ? "" : `line ${line}: `}`
  return `${placeOf(diagnostic)}${reading}${textOf(diagnostic)}`
}
