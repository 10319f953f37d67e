/** What the records of requests depend on; asked each time, since a reload may change it. */
import type { ReadUsage } from "../Usage.ts"

export interface RequestLogOptions {
  /** `logging.requests`. */
  readonly form: () => "brief" | "full"
  /**
   * `server.request_logging` is false, which keeps only what ended with 400 and above; since a beginning does not know its end,
   * first lines go too.
   */
  readonly quiet: () => boolean
  /** Milliseconds from which a proxied request is named; 0 is off. */
  readonly slow: () => number
  readonly usage: ReadUsage
  /** The name of the one that carries. */
  readonly engine: () => string
  /** `logging.backend_errors`: may a backend's own words about an error be told? */
  readonly backendErrors: () => boolean
}
