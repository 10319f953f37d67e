/**
 * What start-up, `validate` and reload have to say about the configuration. Every room that can find fault with it
 * exports a `check…(config)` function returning these.
 */
export interface Diagnostic {
  /** `error` ends the start; `warning` is logged. */
  readonly severity: "error" | "warning" | "info"
  /** One or more lines. Never holds a secret. */
  readonly message: string
  /** Full path from the root, list items by index: `discovery.static.endpoints[0].url`. */
  readonly path?: string
  readonly file?: string
  /** 1-based. */
  readonly line?: number
  readonly column?: number
  /** Full path of the nearest known key. */
  readonly suggestion?: string
}
