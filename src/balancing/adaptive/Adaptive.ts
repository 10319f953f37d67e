/**
 * `load_balancer: adaptive`: the lane where this request is expected to get its first byte first. Lanes that are about as good share by
 * weight; nothing is made for a choice but the hashes of a long prompt.
 */
import type { Lane } from "../../endpoint/lane/Lane.ts"
import { paceUnmeasured, unlessNoise } from "../../endpoint/lane/Pace.ts"
import { type PrefixTable, tokensPerBlock } from "../../endpoint/lane/PrefixTable.ts"
import type { Candidate } from "../../routing/Router.ts"
import type { Claim } from "../Claim.ts"
import type { Lease, PickReason } from "../Lease.ts"
import { takeTurn } from "../SmoothRotation.ts"
import { Weights } from "../Weights.ts"
import { costOf, firstCost, type LaneFigures, newFigures } from "./Cost.ts"

/** A lane that costs no more than this share and so many milliseconds above the cheapest is as good. */
const marginShare = 1.1
const margin = 10
/** Candidates up to which all are looked at; of more, those with the longest prefix and some by chance. */
const allUpTo = 32
const [withPrefix, byChance] = [2, 4]
/** Attempts on a lane, beside the mean of all, from which on what it has kept counts no more. */
const hotSpot = { least: 2, share: 1.5 }

export interface AdaptiveParts {
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly prefixes: PrefixTable
  /** Of prompts: other processes have other ones, so that nobody can prepare two that look alike. */
  readonly seed: readonly [number, number]
}

export class Adaptive {
  readonly #parts: AdaptiveParts
  readonly #weights = new Weights()
  /** The lanes that are looked at for this choice, in places that all choices share. */
  readonly #candidates: Array<Candidate> = []
  readonly #lanes: Array<Lane> = []
  readonly #figures: Array<LaneFigures> = []
  readonly #costs: Array<number> = []
  readonly #equals: Array<number> = []
  readonly #takers: Array<Lane["work"]> = []
  readonly #takerWeights: Array<number> = []
  /** Of the last choice: why it was made, and the milliseconds that were expected; 0: nobody had to be weighed. */
  reason: PickReason = "only"
  cost = 0

  constructor(parts: AdaptiveParts) {
    this.#parts = parts
  }

  /** Leading blocks of the request's prompt; none where it makes no difference. */
  blocksOf(claim: Claim): Uint32Array | undefined {
    if (claim.candidates.length < 2 || this.#parts.prefixes.isOff) return undefined
    const blocks = claim.prompt.blocks(this.#parts.seed)
    return blocks.length === 0 ? undefined : blocks
  }

  /** `candidates`: all of them can be asked. */
  choose(candidates: ReadonlyArray<Candidate>, claim: Claim): Candidate | undefined {
    this.cost = 0
    this.reason = "only"
    const only = candidates.length === 1 ? candidates[0] : undefined
    if (only !== undefined || candidates.length === 0) return only
    const count = this.#look(candidates, claim)
    if (count < 2) return this.#candidates[0]
    const tokens = claim.prompt.tokens
    let least = Number.POSITIVE_INFINITY
    for (let n = 0; n < count; n++) {
      const cost = costOf(this.#figures[n] as LaneFigures, tokens)
      this.#costs[n] = cost
      if (cost < least) least = cost
    }
    const limit = marginShare * least + margin
    let within = 0
    let cheapest = 0
    for (let n = 0; n < count; n++) {
      const cost = this.#costs[n] as number
      if (cost <= limit) this.#equals[within++] = n
      if (cost === least) cheapest = n
    }
    if (within === 1) {
      this.reason = this.#advantage(cheapest, count, tokens)
      this.cost = least
      return this.#candidates[cheapest]
    }
    this.reason = "rotation"
    const chosen = this.#leastBusy(within)
    this.cost = this.#costs[chosen] as number
    return this.#candidates[chosen]
  }

  /** Fills in the lanes of the upper tier, and says how many there are. */
  #look(candidates: ReadonlyArray<Candidate>, claim: Claim): number {
    const { of } = this.#weights.fill(candidates, true)
    const now = this.#parts.now()
    const { stream } = claim
    let tier = Number.NEGATIVE_INFINITY
    let best = Number.POSITIVE_INFINITY
    let sum = 0
    let measured = 0
    let n = 0
    for (const candidate of candidates) {
      const lane = candidate.endpoint.lanes.of(candidate.nativeName)
      this.#lanes[n++] = lane
      tier = Math.max(tier, claim.tierOf(candidate))
      const pace = lane.work.paceOf(stream)
      if (!pace.isMeasured) continue
      measured++
      sum += pace.base
      if (pace.base < best) best = pace.base
    }
    if (measured === 0) best = paceUnmeasured
    const mean = measured === 0 ? paceUnmeasured : sum / measured
    let count = 0
    let inFlight = 0
    n = -1
    for (const candidate of candidates) {
      n++
      if (claim.tierOf(candidate) < tier) continue
      const lane = this.#lanes[n] as Lane
      const { work } = lane
      const its = work.paceOf(stream)
      // `count` is never ahead of `n`: nothing is written over that is still read.
      this.#candidates[count] = candidate
      this.#lanes[count] = lane
      this.#figures[count] ??= newFigures()
      const figures = this.#figures[count] as LaneFigures
      figures.pace = its.isMeasured ? its.at(best, now) : unlessNoise(mean, best)
      figures.unread = work.unread
      figures.inFlight = lane.inFlight
      figures.foreign = work.reportAt(now)?.foreign ?? 0
      figures.turn = work.turn
      figures.slots = lane.slotsAt(now)
      figures.load = work.loadWait(now)
      figures.failures = lane.condition.failures
      figures.weight = of[n] as number
      figures.cached = 0
      inFlight += lane.inFlight
      count++
    }
    if (count < 2) return count
    const blocks = this.blocksOf(claim)
    if (blocks !== undefined) this.#lookUp(blocks, count, inFlight / count)
    return count <= allUpTo ? count : this.#some(count)
  }

  /** What each lane has kept of this prompt; on one that has far more to do than the others it does not count. */
  #lookUp(blocks: Uint32Array, count: number, mean: number): void {
    const most = hotSpot.least + hotSpot.share * mean
    for (let n = 0; n < count; n++) {
      const figures = this.#figures[n] as LaneFigures
      if (figures.inFlight > most) continue
      figures.cached = tokensPerBlock * ((this.#lanes[n] as Lane).work.prefix?.matching(blocks) ?? 0)
    }
  }

  /** Brings those to the front that are weighed: the ones with the longest prefixes, then some by chance. */
  #some(count: number): number {
    let front = 0
    for (; front < withPrefix; front++) {
      let best = front
      for (let n = front; n < count; n++)
        if ((this.#figures[n] as LaneFigures).cached > (this.#figures[best] as LaneFigures).cached) best = n
      if ((this.#figures[best] as LaneFigures).cached === 0) break
      this.#swap(front, best)
    }
    for (const end = front + byChance; front < end; front++) this.#swap(front, front + Math.floor(this.#parts.random() * (count - front)))
    return front
  }

  #swap(a: number, b: number): void {
    for (const column of [this.#candidates, this.#lanes, this.#figures] as ReadonlyArray<Array<unknown>>) {
      const held = column[a]
      column[a] = column[b]
      column[b] = held
    }
  }

  /** Of those that are as good, the one with the least to do for its weight; of equals the one whose turn it is. */
  #leastBusy(within: number): number {
    let least = Number.POSITIVE_INFINITY
    for (let n = 0; n < within; n++) least = Math.min(least, this.#busy(this.#equals[n] as number))
    let equals = 0
    for (let n = 0; n < within; n++) {
      const at = this.#equals[n] as number
      if (this.#busy(at) > least) continue
      this.#equals[equals] = at
      this.#takers[equals] = (this.#lanes[at] as Lane).work
      this.#takerWeights[equals] = (this.#figures[at] as LaneFigures).weight
      equals++
    }
    const turn = equals === 1 ? 0 : takeTurn(this.#takers, this.#takerWeights, equals, this.#parts.random)
    return this.#equals[turn] as number
  }

  #busy(at: number): number {
    return (this.#lanes[at] as Lane).work.outstanding / (this.#figures[at] as LaneFigures).weight
  }

  /** What sets the cheapest apart from the next one. */
  #advantage(cheapest: number, count: number, tokens: number): PickReason {
    let next = -1
    for (let n = 0; n < count; n++) if (n !== cheapest && (next < 0 || (this.#costs[n] as number) < (this.#costs[next] as number))) next = n
    const its = this.#figures[cheapest] as LaneFigures
    const other = this.#figures[next] as LaneFigures
    const load = other.load - its.load
    const cached = its.cached > 0 ? firstCost(other, tokens) - firstCost(its, tokens) : 0
    const rest = (this.#costs[next] as number) - (this.#costs[cheapest] as number) - load - cached
    if (load > 0 && load >= cached && load >= rest) return "resident"
    return cached > 0 && cached >= rest ? "cached" : "cost"
  }

  /**
   * The lease's part of its lane's work, and its prompt among what the lane's backend keeps: at once, so that what comes with it in
   * one burst sees it.
   */
  begin(lease: Lease, lane: Lane, claim: Claim): void {
    const blocks = this.blocksOf(claim)
    if (blocks !== undefined) {
      lane.work.prefix ??= this.#parts.prefixes.lane(Math.floor(lane.promptCache / tokensPerBlock))
      lease.cached = tokensPerBlock * lane.work.prefix.add(blocks)
    }
  }
}
