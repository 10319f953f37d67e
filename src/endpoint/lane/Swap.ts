/**
 * The change of models in a server's memory, where only so many of them fit. A load that would push one out waits until nothing runs
 * there, since some servers kill or starve what runs; and so that it comes to that, nothing new begins on the others once somebody has
 * waited for it long enough. All times are milliseconds of the monotonic clock.
 */
import type { ResidencyWord } from "./Residency.ts"

/** From then on whoever was passed over has the server next. */
const passedOverFor = 10_000
/** A load that nobody asks about any more is wanted no more: whoever waits asks every second at least. */
const wantedFor = 3_000

/** A model of the server, as far as its memory goes. */
export interface Occupant {
  readonly model: string
  readonly work: { readonly residency: ResidencyWord }
}

export interface Occupancy {
  /** Models that fit; 0: nobody says. */
  readonly most: number
  /** Attempts under way on the server. */
  readonly inFlight: number
  /** Its models that are in memory, or on their way there. */
  readonly residents: number
}

/** How many of these are in memory, or on their way there, under whichever of a server's endpoints. */
export const residentsOf = (models: Iterable<Occupant>): number => {
  const names = new Set<string>()
  for (const { model, work } of models) if (work.residency === "resident" || work.residency === "loading") names.add(model)
  return names.size
}

/** Somebody else's model goes for it. */
export const pushesOut = (model: Occupant, { most, residents }: Occupancy): boolean =>
  most > 0 && model.work.residency === "cold" && residents >= most

/** A model that may have to go. */
export interface Resident extends Occupant {
  /** When an attempt for it last began or ended, milliseconds of the monotonic clock. */
  readonly lastUsed: number
}

/** The model in memory that goes for another one, by its name: the one used longest ago, as servers have it. */
export const goesFirst = (models: Iterable<Resident>): string | undefined => {
  const usedAt = new Map<string, number>()
  for (const { model, work, lastUsed } of models)
    if (work.residency === "resident" || work.residency === "loading") usedAt.set(model, Math.max(lastUsed, usedAt.get(model) ?? 0))
  let first: string | undefined
  let oldest = Number.POSITIVE_INFINITY
  for (const [model, at] of usedAt)
    if (at < oldest) {
      first = model
      oldest = at
    }
  return first
}

export class Swap {
  #wanted: { readonly model: Occupant; readonly since: number; asked: number } | undefined

  /** May an attempt for this model begin? */
  admits(model: Occupant, server: Occupancy, now: number): boolean {
    if (server.most === 0) return true
    const wanted = this.#wantedAt(now)
    const isNext = wanted === undefined || wanted.model === model
    if (pushesOut(model, server)) return server.inFlight === 0 && isNext
    return isNext || now - (wanted?.since ?? 0) < passedOverFor
  }

  /** Somebody waits for this model, and nobody else can serve him. */
  want(model: Occupant, now: number): void {
    const wanted = this.#wantedAt(now)
    if (wanted === undefined) this.#wanted = { model, since: now, asked: now }
    else if (wanted.model === model) wanted.asked = now
  }

  /** What is in memory by now, or nobody asks about, is wanted no more. */
  #wantedAt(now: number) {
    const wanted = this.#wanted
    if (wanted !== undefined && (wanted.model.work.residency !== "cold" || now - wanted.asked > wantedFor)) this.#wanted = undefined
    return this.#wanted
  }
}
