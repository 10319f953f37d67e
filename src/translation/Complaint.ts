import type { JsonRecord } from "./JsonValue.ts"

/** A request that cannot be said in another dialect, and why; the client's fault. Whoever says it natively may still take it. */
export class Complaint {
  readonly message: string
  readonly status: 400 | 404 | 503
  /** What the dialect's clients read by machine: Anthropic's `details`, or `code` and `param` of OpenAI's error. */
  readonly details: JsonRecord | undefined
  constructor(message: string, details?: JsonRecord, status: 400 | 404 | 503 = 400) {
    this.message = message
    this.details = details
    this.status = status
  }
}
