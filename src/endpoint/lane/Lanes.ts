/** The lanes of one endpoint, made on first use and dropped when nobody has used them for an hour. */
import { Lane, type LaneOwner, type LanePort } from "./Lane.ts"

/** Milliseconds without use after which a lane is forgotten, and how often it is looked for such. */
const idleFor = 3_600_000
const lookEvery = 60_000
/** Milliseconds without an attempt after which an endpoint rests. */
export const restsAfter = 60_000

export interface LanesPort extends Omit<LanePort, "used"> {
  /** Somebody uses the endpoint again. */
  readonly rested: () => void
}

export class Lanes {
  readonly #owner: LaneOwner
  readonly #port: LanePort
  readonly #byModel = new Map<string, Lane>()
  #last: Lane | undefined
  /** Since when the endpoint has been serving, milliseconds of the monotonic clock. */
  #since: number
  #looked: number
  readonly #rested: () => void
  /** When an attempt began last, milliseconds of the monotonic clock. */
  usedAt = Number.NEGATIVE_INFINITY

  constructor(owner: LaneOwner, port: LanesPort) {
    this.#owner = owner
    this.#port = { ...port, used: (now) => this.#use(now) }
    this.#rested = port.rested
    this.#since = this.#looked = port.now()
  }

  get size(): number {
    return this.#byModel.size
  }

  /** `model`: as the endpoint calls it; empty: requests without one. */
  of(model: string): Lane {
    const last = this.#last
    if (last !== undefined && last.model === model) return last
    let lane = this.#byModel.get(model)
    if (lane === undefined) {
      this.#forgetIdle()
      lane = new Lane(this.#owner, model, this.#port, this.#since)
      this.#byModel.set(model, lane)
    }
    this.#last = lane
    return lane
  }

  [Symbol.iterator](): IterableIterator<Lane> {
    this.#forgetIdle()
    return this.#byModel.values()
  }

  /** The endpoint's models were listed. */
  listed(): void {
    for (const lane of this) lane.listed()
  }

  /** The endpoint serves again. */
  returned(): void {
    this.#since = this.#port.now()
    for (const lane of this) lane.returned()
  }

  /** The endpoint does not serve: another process may be there when it does. */
  lost(): void {
    for (const lane of this) lane.work.prefix?.clear()
  }

  /** The endpoint is gone. */
  release(): void {
    for (const lane of this.#byModel.values()) lane.work.prefix?.release()
    this.#byModel.clear()
    this.#last = undefined
  }

  #use(now: number): void {
    const rested = now - this.usedAt >= restsAfter
    this.usedAt = now
    if (rested) this.#rested()
  }

  #forgetIdle(): void {
    const now = this.#port.now()
    if (now - this.#looked < lookEvery) return
    this.#looked = now
    for (const [model, lane] of this.#byModel)
      if (lane.inFlight === 0 && now - lane.lastUsed >= idleFor) {
        lane.work.prefix?.release()
        this.#byModel.delete(model)
      }
    this.#last = undefined
  }
}
