/** A request for a model that nobody serves now, while it waits for somebody to come back: it is decided again whenever that may be. */
import { performance } from "node:perf_hooks"
import type { Outlook } from "../../balancing/Outlook.ts"
import { Place, type QueueRefusal, type Waiter } from "../../balancing/Queue.ts"
import type { Wish } from "../../balancing/WaitingLine.ts"
import type { Host } from "../../endpoint/Host.ts"
import type { Exchange } from "../../exchange/Exchange.ts"
import type { Decision } from "../../routing/Router.ts"

/** Whom it waits for is not known before he is back. */
const nobody: Outlook = { _tag: "nobody", until: Number.POSITIVE_INFINITY }
const nowhere: ReadonlySet<Host> = new Set()

export interface HoldRequest {
  readonly exchange: Exchange
  readonly wish: Wish
  /** Milliseconds. */
  readonly hold: number
  /** As it would be decided now, whoever is away being looked at; `undefined`: nobody serves it. */
  readonly decide: () => Decision | undefined
  readonly decided: (decision: Decision) => void
  readonly refused: (refusal: QueueRefusal) => void
}

export class Holding implements Waiter {
  readonly place: Place = new Place(this)
  readonly wish: Wish
  readonly model: string
  patience = 0
  hold: number
  readonly #request: HoldRequest
  #decision: Decision | undefined

  constructor(request: HoldRequest) {
    this.wish = request.wish
    this.model = request.exchange.model
    this.hold = request.hold
    this.#request = request
  }

  begin(): void {
    this.#request.exchange.beginWait(performance.now())
  }

  renew(): void {
    this.#decision = this.#request.decide()
  }

  take(): boolean {
    return this.#decision !== undefined
  }

  outlook(): Outlook {
    return nobody
  }

  hosts(): ReadonlySet<Host> {
    return nowhere
  }

  rate(): number {
    return 0
  }

  served(): void {
    this.#request.exchange.endWait(performance.now())
    if (this.#decision !== undefined) this.#request.decided(this.#decision)
  }

  refused(refusal: QueueRefusal): void {
    this.#request.exchange.endWait(performance.now())
    this.#request.refused(refusal)
  }
}
