/**
 * What one exchange brings to every choice of an endpoint: who asks, for what, and who has been asked before. Made once per exchange;
 * what costs is worked out when it is asked for.
 */
import type { Lane } from "../endpoint/lane/Lane.ts"
import type { Prompt } from "../routing/Prompt.ts"
import type { Candidate } from "../routing/Router.ts"
import type { RequestRules, RuleLimit } from "../routing/Rules.ts"
import type { StickyKey } from "./StickyKey.ts"

export interface ClaimFields {
  readonly sticky: StickyKey | undefined
  /** `traffic.enabled` when the exchange began: without it there are no lanes. */
  readonly usesLanes: boolean
  readonly stream: boolean
  /** It may be sent to somebody else after an attempt failed. */
  readonly mayRepeat: boolean
  /** IP of the client. */
  readonly client: string
  /** All that routing named: the lanes of the model. */
  readonly candidates: ReadonlyArray<Candidate>
  readonly prompt: Prompt
  /** That are for it; `undefined`: none is. */
  readonly rules: RequestRules | undefined
}

const none: ReadonlyArray<RuleLimit> = []

export class Claim {
  readonly sticky: StickyKey | undefined
  readonly usesLanes: boolean
  readonly stream: boolean
  readonly mayRepeat: boolean
  readonly client: string
  candidates: ReadonlyArray<Candidate>
  readonly prompt: Prompt
  readonly rules: RequestRules | undefined
  /** Lanes that an attempt of this exchange was on. */
  readonly tried: Array<Lane> = []
  /** Limits of rules that it counts for: it is under way. */
  #counted: ReadonlyArray<RuleLimit> = none

  constructor(fields: ClaimFields) {
    this.sticky = fields.sticky
    this.usesLanes = fields.usesLanes
    this.stream = fields.stream
    this.mayRepeat = fields.mayRepeat
    this.client = fields.client
    this.candidates = fields.candidates
    this.prompt = fields.prompt
    this.rules = fields.rules
  }

  /** Neither its endpoint nor a rule has too much to do already. */
  hasRoomAt({ endpoint, nativeName, target }: Candidate): boolean {
    if (!endpoint.hasRoomFor(nativeName)) return false
    if (this.rules === undefined) return true
    for (const limit of this.rules.of(target).limits) if (limit.isFull && !this.#counted.includes(limit)) return false
    return true
  }

  /** Requests that may run at once by the rules that are for it there; Infinity: any number. */
  mostAt({ target }: Candidate): number {
    let most = Number.POSITIVE_INFINITY
    for (const limit of this.rules?.of(target).limits ?? none) most = Math.min(most, limit.most)
    return most
  }

  /** It is under way there. */
  count({ target }: Candidate): void {
    const limits = this.rules?.of(target).limits ?? none
    if (limits.length === 0 && this.#counted.length === 0) return
    for (const limit of limits) limit.inFlight++
    for (const limit of this.#counted) limit.inFlight--
    this.#counted = limits
  }

  /** It is under way no longer, or waits. True: somebody else may have room by that. */
  uncount(): boolean {
    if (this.#counted.length === 0) return false
    for (const limit of this.#counted) limit.inFlight--
    this.#counted = none
    return true
  }

  /** Where somebody of an upper tier can be asked, nobody of a lower one is. */
  tierOf({ endpoint }: Candidate): number {
    return endpoint.priority
  }
}
