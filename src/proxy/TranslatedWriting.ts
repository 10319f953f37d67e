/** Writes what a translator says to the client, for both engines. Synchronous: waiting and timers are the engines' own. */
import { type Failure, failure } from "../exchange/Failure.ts"
import { cutAfterFlush, endBroken } from "./ClientSocket.ts"
import type { AnswerHead, AnswerTranslator, LastWords, Spoken, Translated } from "./Dialect.ts"
import type { Sending } from "./Engine.ts"
import { KeptBody } from "./KeptBody.ts"
import { flushHead } from "./NodeInternals.ts"

/** How often a translator is told of silence, in milliseconds. */
export const silenceEvery = 1_000

/**
 * How long a backend may take to end an answer whose last word the client already has, in milliseconds. It mostly comes in the
 * next read, and then the connection serves again.
 */
export const endWithin = 1_000

/** How an answer stands after a step of its translation. */
export type Standing =
  /** It goes on; `full`: not before the client has taken what was written. */
  | { readonly _tag: "open" | "full" }
  /** The client has all of it; the backend's end may be waited for, so that its connection can be used again. */
  | { readonly _tag: "complete" }
  | { readonly _tag: "failed"; readonly why: Failure }
  /** Nothing was committed: the same endpoint is to be asked once more, by this request. */
  | { readonly _tag: "again"; readonly spoken: Spoken }

const open: Standing = { _tag: "open" }
const full: Standing = { _tag: "full" }
const complete: Standing = { _tag: "complete" }

export class TranslatedWriting {
  readonly #sending: Sending
  readonly #translator: AnswerTranslator
  #kept: KeptBody | undefined
  /** As the translator wants it, while it waits for the first bytes of the body. */
  #heldHead: AnswerHead | undefined
  #lastSent = performance.now()
  #standing: Standing = open

  constructor(sending: Sending, translator: AnswerTranslator) {
    this.#sending = sending
    this.#translator = translator
  }

  head(head: AnswerHead): Standing {
    const { exchange } = this.#sending
    // Usage is read from the backend's answer, before translation.
    if (exchange.wantsUsage || head.status >= 400) this.#kept = new KeptBody(exchange.kept, head.headers)
    const holds = this.#sending.timeouts.hold > 0 && head.status <= 299
    return this.#ask(() => {
      const now = this.#translator.head(head)
      if (now === undefined) return undefined
      if (!holds) return { head: now }
      this.#heldHead = now
      return undefined
    }, true)
  }

  /** Nothing of the body came for as long as a head may wait for it. */
  held(): Standing {
    return isOpen(this.#standing) && this.#heldHead !== undefined ? this.#say({}, true) : this.#standing
  }

  push(bytes: Buffer): Standing {
    this.#kept?.push(bytes)
    return this.#ask(() => this.#translator.push(bytes))
  }

  /** For translators that can fill a silence. */
  silent(): Standing {
    return this.#ask(() => this.#translator.silent?.(performance.now() - this.#lastSent), false, true)
  }

  /** The backend's answer is complete. */
  end(): Standing {
    const standing = this.#ask(() => this.#translator.end() ?? (this.#heldHead === undefined ? undefined : {}))
    if (!isOpen(standing)) return standing
    this.#sending.relayed()
    this.#sending.response.end()
    return this.#become(complete)
  }

  /** The backend's answer broke off. Where none of it was handed on, nothing is said: somebody else may be asked. */
  fail(why: Failure): Standing {
    if (!isOpen(this.#standing)) return this.#standing
    const { response, attempt } = this.#sending
    if (!attempt.isCommitted) return this.#become({ _tag: "failed", why })
    let last: LastWords | undefined
    try {
      last = this.#translator.fail(why)
    } catch {
      // The translator itself is broken: the cut has to do.
    }
    attempt.bytes += last?.bytes.length ?? 0
    endBroken(response, last)
    return this.#become({ _tag: "failed", why })
  }

  /** An exception in a translator ends this exchange, not the process: some calls come from a socket's reads. */
  #ask(question: () => Translated | undefined, flush = false, isOwn = false): Standing {
    if (!isOpen(this.#standing)) return this.#standing
    const { attempt, exchange } = this.#sending
    try {
      const began = exchange.isSampled ? performance.now() : 0
      const said = question()
      if (exchange.isSampled) attempt.translating += performance.now() - began
      return said === undefined ? open : this.#say(said, flush, isOwn)
    } catch (error) {
      const { response } = this.#sending
      if (attempt.isCommitted) cutAfterFlush(response)
      return this.#become({ _tag: "failed", why: failure("internal", `the translator failed: ${error}`) })
    }
  }

  /** `isOwn`: not the backend's words, but what keeps a client waiting for them. */
  #say({ again, elsewhere, head: said, bytes, done, fault }: Translated, flush: boolean, isOwn = false): Standing {
    const { attempt, response } = this.#sending
    if (again !== undefined) return this.#become({ _tag: "again", spoken: again })
    if (elsewhere !== undefined) return this.#become({ _tag: "failed", why: elsewhere })
    const head = said ?? this.#heldHead
    if (!isOwn || this.#heldHead !== undefined) attempt.isCommitted = true
    this.#heldHead = undefined
    if (head !== undefined && !response.headersSent) {
      response.writeHead(head.status, [...head.headers])
      if (flush || bytes === undefined) flushHead(response)
    }
    let goesOn = true
    if (bytes !== undefined) {
      attempt.bytes += bytes.length
      goesOn = response.write(bytes)
    }
    if (bytes !== undefined || head !== undefined) this.#lastSent = performance.now()
    if (done !== true) return goesOn ? open : full
    this.#sending.relayed()
    response.end()
    return this.#become(fault === undefined ? complete : { _tag: "failed", why: fault })
  }

  #become(standing: Standing): Standing {
    this.#standing = standing
    this.#sending.attempt.timings.lastByte = performance.now()
    return standing
  }
}

export const isOpen = ({ _tag }: Standing): boolean => _tag === "open" || _tag === "full"
