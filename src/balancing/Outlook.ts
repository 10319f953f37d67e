/** What there is to wait for, when none of those who may serve a request can be asked now. */
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Host } from "../endpoint/Host.ts"
import type { Candidate } from "../routing/Router.ts"

export interface Outlook {
  /**
   * `slot`: somebody has too much to do, or is being tried: that ends by itself. `pause`: all want to be left alone. `nobody`: none of
   * them serves.
   */
  readonly _tag: "slot" | "pause" | "nobody"
  /** When the first of those may be asked that want to be left alone, milliseconds of the monotonic clock; Infinity: none does. */
  readonly until: number
}

/** `canBeAsked`: its endpoint serves, and nothing is held against it but load and pauses. */
export const outlookOf = (candidates: ReadonlyArray<Candidate>, canBeAsked: (endpoint: Endpoint) => boolean): Outlook => {
  let until = Number.POSITIVE_INFINITY
  let hasSlots = false
  for (const { endpoint, nativeName } of candidates) {
    if (!canBeAsked(endpoint)) continue
    const lane = endpoint.lanes.of(nativeName)
    if (lane.state === "paused") until = Math.min(until, lane.condition.until)
    else hasSlots = true
  }
  return { _tag: hasSlots ? "slot" : until === Number.POSITIVE_INFINITY ? "nobody" : "pause", until }
}

/**
 * Attempts that these candidates end in a second, as long as they have enough to do; servers that several of them are on count once.
 * `mostAt`: how many requests like this one may run at once by the rules that are for it there, whoever serves them.
 */
export const turnsPerSecond = (
  candidates: ReadonlyArray<Candidate>,
  canBeAsked: (endpoint: Endpoint) => boolean,
  mostAt: (candidate: Candidate) => number
): number => {
  const hosts = new Map<Host, number>()
  let ruled = 0
  for (const candidate of candidates) {
    const { endpoint, nativeName } = candidate
    if (!canBeAsked(endpoint)) continue
    const { slots, work } = endpoint.lanes.of(nativeName)
    hosts.set(endpoint.host, Math.max(hosts.get(endpoint.host) ?? 0, (1000 * slots) / work.turn))
    ruled = Math.max(ruled, (1000 * mostAt(candidate)) / work.turn)
  }
  let sum = 0
  for (const rate of hosts.values()) sum += rate
  return Math.min(sum, ruled)
}
