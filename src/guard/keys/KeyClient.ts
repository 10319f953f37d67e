/** A client as requests meet it: its rules, what it may use, and what it has used up. Made anew with each table; what is used up stays. */
import type { ExchangeClient } from "../../exchange/Exchange.ts"
import type { Bucket } from "../TokenBuckets.ts"
import type { KeyEntry, KeyGroup, KeyRules, QueueClass } from "./KeyEntry.ts"
import { ModelPermit } from "./ModelPermit.ts"

/** What belongs to a name, whatever its entry says at the moment. */
export class KeyUse {
  requests: Bucket | undefined = undefined
  /** May hold less than nothing: what an answer took that nobody could know before. */
  tokens: Bucket | undefined = undefined
  inFlight = 0
}

/** Whose limit. */
export interface Limited {
  readonly name: string
  readonly whose: "key" | "group" | "anonymous"
  readonly rules: KeyRules
  readonly use: KeyUse
}

export class KeyClient implements ExchangeClient {
  readonly name: string
  readonly isAnonymous: boolean
  /** `undefined`: anonymous clients. */
  readonly entry: KeyEntry | undefined
  readonly rules: KeyRules
  /** `undefined`: everything may be used. */
  readonly permit: ModelPermit | undefined
  /** Itself, then its group. */
  readonly limited: ReadonlyArray<Limited>
  readonly use: KeyUse
  readonly limitsTokens: boolean
  readonly drops: ReadonlySet<string>
  readonly class: QueueClass

  constructor(
    { name, entry, rules, use, drops }: Pick<KeyClient, "name" | "entry" | "rules" | "use" | "drops">,
    group?: { readonly of: KeyGroup; readonly use: KeyUse }
  ) {
    this.name = name
    this.isAnonymous = entry === undefined
    this.entry = entry
    this.rules = rules
    this.use = use
    this.drops = drops
    this.class = rules.class ?? group?.of.class ?? "normal"
    const own: Limited = { name, whose: entry === undefined ? "anonymous" : "key", rules, use }
    this.limited = group === undefined ? [own] : [own, { name: group.of.name, whose: "group", rules: group.of, use: group.use }]
    const all = group === undefined ? [rules] : [rules, group.of]
    const permit = new ModelPermit(
      all.map(({ models }) => models),
      all.map(({ endpoints }) => endpoints)
    )
    this.permit = permit.restricts ? permit : undefined
    this.limitsTokens = all.some(({ tokensPerMinute }) => tokensPerMinute > 0)
  }
}
