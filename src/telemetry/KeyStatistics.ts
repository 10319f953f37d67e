/** What each client did since the start, by the name of its key. Names that are in no table any more keep their counts until the end. */
import * as Context from "effect/Context"
import type { Exchange, Outcome } from "../exchange/Exchange.ts"
import type { Access } from "../guard/keys/Access.ts"
import { type TokenCount, tokensOf } from "./TokenCount.ts"
import type { ReadUsage } from "./Usage.ts"

export const keyOutcomes = ["ok", "failed", "cancelled", "refused"] as const
export type KeyOutcome = (typeof keyOutcomes)[number]

export interface ModelUse {
  requests: number
  tokensIn: number
  tokensOut: number
}

/** Models that are told apart for one client; all others are one. */
const mostModels = 50
export const otherModels = "other"

/** Clients that are counted: more than any table has. */
const mostClients = 20_000

export class KeyRecord {
  readonly outcomes: Record<KeyOutcome, number> = { ok: 0, failed: 0, cancelled: 0, refused: 0 }
  tokensIn = 0
  tokensCached = 0
  tokensOut = 0
  tokensEstimated = 0
  /** Epoch milliseconds; 0: never. */
  lastUsed = 0
  readonly models = new Map<string, ModelUse>()

  get requests(): number {
    return this.outcomes.ok + this.outcomes.failed + this.outcomes.cancelled
  }

  add(outcome: KeyOutcome, model: string, tokens: TokenCount, at: number): void {
    this.outcomes[outcome]++
    if (outcome === "refused") return
    this.lastUsed = at
    this.tokensIn += tokens.in
    this.tokensCached += tokens.cached
    this.tokensOut += tokens.out
    this.tokensEstimated += tokens.estimated
    if (model === "") return
    const use = this.#of(model)
    use.requests++
    use.tokensIn += tokens.in
    use.tokensOut += tokens.out
  }

  #of(model: string): ModelUse {
    const name = this.models.has(model) || this.models.size < mostModels ? model : otherModels
    let use = this.models.get(name)
    if (use === undefined) {
      use = { requests: 0, tokensIn: 0, tokensOut: 0 }
      this.models.set(name, use)
    }
    return use
  }
}

/** Reasons of refusals that are the client's own limits and rules. */
const refusals: ReadonlySet<string> = new Set([
  "model_not_allowed",
  "model_required",
  "rate_limited",
  "too_many_concurrent",
  "tokens_exhausted",
  "rate_limited_ip",
  "rate_limited_global"
])

export const keyOutcomeOf = (outcome: Outcome): KeyOutcome => {
  switch (outcome._tag) {
    case "completed":
      return outcome.status >= 500 ? "failed" : "ok"
    case "cancelled":
      return "cancelled"
    case "failed":
      return "failed"
    case "rejected":
      return refusals.has(outcome.reason) ? "refused" : "failed"
  }
}

export class KeyStatistics {
  readonly #records = new Map<string, KeyRecord>()
  readonly #access: Access
  readonly #usage: ReadUsage
  readonly #known: (model: string) => string

  /** `known`: the model's name where the fleet has it; anything else is one name, whatever clients make up. */
  constructor(access: Access, usage: ReadUsage, known: (model: string) => string) {
    this.#access = access
    this.#usage = usage
    this.#known = known
  }

  get records(): ReadonlyMap<string, KeyRecord> {
    return this.#records
  }

  /** The exchange's client has what it gets: its place is free, and its tokens are counted. */
  ended(exchange: Exchange): void {
    const { client, outcome } = exchange
    if (client === undefined || outcome === undefined) return
    const tokens = tokensOf(exchange, this.#usage)
    this.#access.left(exchange, tokens.in - tokens.cached + tokens.out, performance.now())
    this.recordOf(client.name)?.add(keyOutcomeOf(outcome), exchange.model === "" ? "" : this.#known(exchange.model), tokens, Date.now())
  }

  recordOf(name: string): KeyRecord | undefined {
    let record = this.#records.get(name)
    if (record === undefined && this.#records.size < mostClients) {
      record = new KeyRecord()
      this.#records.set(name, record)
    }
    return record
  }
}

/** The daemon's own; `undefined` where nobody counts. */
export const KeyFigures = Context.Reference<KeyStatistics | undefined>("olla/telemetry/KeyFigures", { defaultValue: () => undefined })
