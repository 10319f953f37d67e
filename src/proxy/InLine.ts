/** One request that may have to wait: what it brings to the queue, for how long it waits, and what it waits for. */
import { performance } from "node:perf_hooks"
import { type Outlook, outlookOf, turnsPerSecond } from "../balancing/Outlook.ts"
import { Place, type QueueRefusal, type Waiter } from "../balancing/Queue.ts"
import { rankOf, type Urgency, type Wish } from "../balancing/WaitingLine.ts"
import { parseDuration } from "../config/Duration.ts"
import type { TrafficConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Host } from "../endpoint/Host.ts"
import type { Exchange } from "../exchange/Exchange.ts"
import { headerValue } from "../exchange/RawHeaders.ts"
import type { Prompt } from "../routing/Prompt.ts"
import type { Candidate } from "../routing/Router.ts"

/** Tokens of an answer whose length nobody knows. */
const usualAnswer = 256

/** Who waits. */
export interface LineHolder {
  /** Those whom it waits for: the same list while they are the same. */
  readonly everybody: () => ReadonlyArray<Candidate>
  readonly canBeAsked: (endpoint: Endpoint) => boolean
  /** Requests like it that may run at once by the rules that are for it there; Infinity: any number. */
  readonly mostAt: (candidate: Candidate) => number
  readonly renew: () => void
  readonly take: () => boolean
  readonly served: () => void
  readonly refused: (refusal: QueueRefusal) => void
}

export interface LineRequest {
  readonly exchange: Exchange
  readonly rawHeaders: ReadonlyArray<string>
  readonly bodySize: number
  readonly prompt: Prompt
  /** What rules say; absent: nothing. */
  readonly urgency: Urgency | undefined
  /** Milliseconds. */
  readonly maxWait: number | undefined
}

/** Whose share of the queue it takes: that of the key it was sent with, else of the address that it is from. */
export const shareOf = ({ client, clientIp }: Exchange): string =>
  client === undefined || client.isAnonymous ? `ip ${clientIp}` : `key ${client.name}`

/** Where it starts: as the rules say, else as its key has it; never above its key's class. */
export const classOf = ({ client }: Pick<Exchange, "client">, byRules: Urgency | undefined): Urgency => {
  if (client === undefined) return byRules ?? "normal"
  return byRules !== undefined && rankOf(byRules) > rankOf(client.class) ? byRules : client.class
}

/** A client may be less urgent than it is by the rules, never more. */
export const urgencyOf = (byRules: Urgency, asked: string): Urgency => {
  const wanted = asked.trim().toLowerCase()
  return (wanted === "normal" || wanted === "low") && rankOf(wanted) > rankOf(byRules) ? wanted : byRules
}

/** Milliseconds. A client may wait for less than it may, never for more; what is no duration says nothing. */
export const patienceOf = (configured: number, asked: string): number => {
  const wanted = asked === "" ? undefined : parseDuration(asked.trim())
  return wanted === undefined ? configured : Math.min(configured, Math.max(0, wanted))
}

export class InLine implements Waiter {
  readonly place: Place = new Place(this)
  readonly wish: Wish
  readonly model: string
  patience: number
  hold: number
  readonly #exchange: Exchange
  readonly #holder: LineHolder
  readonly #canBeAsked = (endpoint: Endpoint): boolean => this.#holder.canBeAsked(endpoint)
  readonly #mostAt = (candidate: Candidate): number => this.#holder.mostAt(candidate)
  #waitsFor: ReadonlyArray<Candidate> | undefined
  #hosts: ReadonlySet<Host> = new Set()

  constructor(request: LineRequest, queue: TrafficConfig["queue"], holder: LineHolder) {
    const { exchange, rawHeaders, bodySize, prompt, urgency = "normal", maxWait = queue.max_wait } = request
    const asked = headerValue(rawHeaders, "x-olla-max-wait")
    const [first] = holder.everybody()
    const answer = first === undefined ? usualAnswer : first.endpoint.lanes.of(first.nativeName).work.answer
    this.#exchange = exchange
    this.#holder = holder
    this.model = exchange.model
    this.patience = patienceOf(maxWait, asked)
    // Nobody knows who would have what is not named.
    this.hold = exchange.model === "" ? 0 : patienceOf(queue.hold, asked)
    this.wish = {
      client: shareOf(exchange),
      urgency: urgencyOf(urgency, headerValue(rawHeaders, "x-olla-priority")),
      cost: Math.max(1, Math.round(prompt.tokens + Math.min(prompt.mostTokens ?? answer, answer))),
      bytes: bodySize
    }
  }

  /** It waits from now on. */
  begin(): void {
    this.#exchange.urgency = this.wish.urgency
    this.#exchange.beginWait(performance.now())
    this.#want()
  }

  /** It is waited for no longer: it has been taken, refused, or its client is gone. */
  end(): void {
    this.#exchange.endWait(performance.now())
  }

  renew(): void {
    this.#holder.renew()
  }

  take(): boolean {
    if (this.#holder.take()) return true
    this.#want()
    return false
  }

  pushesOut(): boolean {
    const everybody = this.#holder.everybody()
    return everybody.length > 0 && everybody.every(({ endpoint, nativeName }) => endpoint.pushesOut(nativeName))
  }

  /** Whoever has to load its model first knows that somebody waits for that. */
  #want(): void {
    for (const { endpoint, nativeName } of this.#holder.everybody()) endpoint.want(nativeName)
  }

  outlook(): Outlook {
    return outlookOf(this.#holder.everybody(), this.#canBeAsked)
  }

  hosts(): ReadonlySet<Host> {
    const everybody = this.#holder.everybody()
    if (everybody !== this.#waitsFor) {
      this.#waitsFor = everybody
      this.#hosts = new Set(everybody.map(({ endpoint }) => endpoint.host))
    }
    return this.#hosts
  }

  rate(): number {
    return turnsPerSecond(this.#holder.everybody(), this.#canBeAsked, this.#mostAt)
  }

  served(): void {
    this.end()
    this.#holder.served()
  }

  refused(refusal: QueueRefusal): void {
    this.end()
    this.#holder.refused(refusal)
  }
}
