/**
 * How fast a lane gets to its first byte: milliseconds for every 1,000 tokens of prompt that nobody has computed there before. Learned
 * from attempts; a stall is believed at once and soon forgotten, a slow machine stays slow, and nobody is written off for ever. All
 * times are milliseconds of the monotonic clock.
 */

/** Until anything was measured. */
export const paceUnmeasured = 250
/** Share of a new sample, once there are enough of them for their mean to mean something. */
const share = 0.1
/** Milliseconds in which a lane that is not asked comes nearer to the best one by two thirds, and a stall is forgotten by as much. */
const idleDecay = 60_000
const stallDecay = 10_000
/** What is worse than the best by no more than this share and so many milliseconds is as good: noise is no reason. */
const noiseShare = 1.25
const noise = 40

export class Pace {
  #base = 0
  #samples = 0
  #sampledAt = 0
  #peak = 0
  #peakAt = 0

  get isMeasured(): boolean {
    return this.#samples > 0
  }

  /** Without stalls. Only where it was measured. */
  get base(): number {
    return this.#base
  }

  /** A first byte came `took` after the dispatch, while so many tokens stood before it, its own among them. */
  sample(took: number, tokens: number, now: number): void {
    const pace = (1000 * took) / tokens
    if (this.#samples > 0 && pace > this.#base + this.#stall(now)) {
      this.#peak = pace
      this.#peakAt = now
    }
    this.#samples++
    this.#sampledAt = now
    this.#base += Math.max(share, 1 / this.#samples) * (pace - this.#base)
  }

  /** `best`: the least base of the model's lanes. */
  at(best: number, now: number): number {
    const drift = this.#base > best ? (this.#base - best) * Math.exp((this.#sampledAt - now) / idleDecay) : 0
    return unlessNoise(best + drift + this.#stall(now), best)
  }

  /** By how much the last stall is still above what is usual. */
  #stall(now: number): number {
    return this.#peak > this.#base ? (this.#peak - this.#base) * Math.exp((this.#peakAt - now) / stallDecay) : 0
  }
}

export const unlessNoise = (pace: number, best: number): number => (pace <= noiseShare * best + noise ? best : pace)
