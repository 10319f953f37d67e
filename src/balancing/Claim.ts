/**
 * What one exchange brings to every choice of an endpoint: who asks, for what, and who has been asked before. Made once per exchange;
 * what costs is worked out when it is asked for.
 */
import type { Lane } from "../endpoint/lane/Lane.ts"
import type { Prompt } from "../routing/Prompt.ts"
import type { Candidate } from "../routing/Router.ts"
import type { RequestRules } from "../routing/Rules.ts"
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

  /** Where somebody of an upper tier can be asked, nobody of a lower one is. */
  tierOf({ endpoint }: Candidate): number {
    return endpoint.priority
  }
}
