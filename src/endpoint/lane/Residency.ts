/**
 * Whether a lane's model is in its backend's memory, as a pure function of what its attempts and the backend's own reports say. What an
 * attempt saw counts more than a report that was asked for before. All times are milliseconds of the monotonic clock.
 */

/** As documents spell them. `unknown` counts as in memory. */
export type ResidencyWord = "resident" | "loading" | "cold" | "unknown"

export interface Residency {
  readonly word: ResidencyWord
  /** When that was seen; `loading`: when the load began. */
  readonly since: number
}

export type ResidencyEvent =
  /** The backend says what it has in memory; it was asked at `askedAt`. */
  | { readonly _tag: "reported"; readonly isLoaded: boolean; readonly askedAt: number; readonly waiting: number }
  /** It has not said so for too long. */
  | { readonly _tag: "outdated" }
  | { readonly _tag: "dispatched"; readonly now: number }
  | { readonly _tag: "first_byte"; readonly now: number }
  /** An attempt ended before its first byte; `waiting`: others that still have none. */
  | { readonly _tag: "given_up"; readonly now: number; readonly waiting: number }

export const unknownResidency: Residency = { word: "unknown", since: 0 }

/** The same object where nothing changes. */
export const stepResidency = (was: Residency, event: ResidencyEvent): Residency => {
  switch (event._tag) {
    case "reported": {
      if (event.askedAt < was.since) return was
      if (event.isLoaded) return become(was, "resident", event.askedAt)
      // Of a model that is being loaded not every server tells.
      return was.word === "loading" && event.waiting > 0 ? was : become(was, "cold", event.askedAt)
    }
    case "outdated":
      return was.word === "loading" ? was : become(was, "unknown", was.since)
    case "dispatched":
      return was.word === "cold" ? { word: "loading", since: event.now } : was
    case "first_byte":
      return become(was, "resident", event.now)
    case "given_up":
      return was.word === "loading" && event.waiting === 0 ? { word: "cold", since: event.now } : was
  }
}

const become = (was: Residency, word: ResidencyWord, since: number): Residency =>
  was.word === word && word !== "resident" ? was : { word, since }

/** Milliseconds of a load, and for each gigabyte of the model, until one was seen; of a model of unknown size. */
const [loadBase, loadPerGigabyte, loadUnknown] = [3000, 1000, 15_000]
/** Share of a new sample. */
const loadShare = 0.3

/** `size`: bytes of the model. */
export const firstLoadTime = (size: number | undefined): number =>
  size === undefined || size <= 0 ? loadUnknown : loadBase + (loadPerGigabyte * size) / 1e9

export const learnedLoadTime = (before: number, took: number): number => before + loadShare * (took - before)

/** Milliseconds that a request waits for the model there. A cold one counts twice: a load also takes memory from others. */
export const loadWait = ({ word, since }: Residency, loadTime: number, now: number): number => {
  if (word === "cold") return 2 * loadTime
  return word === "loading" ? Math.max(0, loadTime - (now - since)) : 0
}
