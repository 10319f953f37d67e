/** What the listener must do for an exchange that is being carried: answer when nobody could, tell its end, stop it when the client leaves. */
import { failure } from "../exchange/Failure.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import { type Carrier, type Carrying, type CarryRequest, outcomeOf, type Refused } from "../proxy/Carrier.ts"
import { type Body, releaseBody } from "./RequestBody.ts"
import type { RequestContext } from "./RequestContext.ts"

interface CarriedServices {
  readonly carrier: Carrier["Service"]
  readonly observer: ExchangeObserver
}

export class CarriedExchange {
  readonly #services: CarriedServices
  readonly #context: RequestContext
  readonly #body: Body
  readonly #refused: (refusal: Refused) => void
  #timer: NodeJS.Timeout | undefined = undefined
  #over = false

  constructor(services: CarriedServices, context: RequestContext, body: Body, refused: (refusal: Refused) => void) {
    this.#services = services
    this.#context = context
    this.#body = body
    this.#refused = refused
  }

  /** `within`: milliseconds after which the caller does without an answer. */
  start(request: CarryRequest, within: number | undefined): void {
    const { res } = this.#context
    const carrying = this.#services.carrier.start(request, (end) => {
      request.exchange.settle(outcomeOf(end))
      this.#end(request, end._tag === "refused" ? end : undefined)
    })
    if (this.#over) return
    const stop = () => {
      if (this.#over || res.writableFinished) return
      request.exchange.settle(carrying.abort())
      this.#end(request, undefined)
    }
    if (res.closed) {
      stop()
      return
    }
    res.on("close", stop)
    if (within !== undefined) this.#timer = setTimeout(() => this.#giveUp(request, carrying, within), within)
  }

  #end(request: CarryRequest, refusal: Refused | undefined): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    const context = this.#context
    const { exchange, dialect } = request
    if (refusal !== undefined) context.guarded(() => this.#refused(refusal))
    this.#services.observer.ended(exchange)
    if (exchange.bodyTaken && exchange.attempts.length === 1 && dialect === undefined) releaseBody(this.#body)
  }

  #giveUp(request: CarryRequest, carrying: Carrying, within: number): void {
    if (this.#over) return
    const { exchange } = request
    const why = failure("response_timeout", `not waited for longer than ${within} ms`, within)
    exchange.settle({ _tag: "failed", status: 504, failure: why, committed: false })
    carrying.abort()
    this.#end(request, { _tag: "refused", failure: why, message: why.detail })
  }
}
