/** What all transitions of an endpoint are made of: a new condition that is announced, and the wait after a failure. */
import type { ActorState, EndpointCommand } from "./EndpointEvent.ts"
import { type EndpointState, isRoutable } from "./EndpointState.ts"

export interface Transition {
  readonly state: ActorState
  readonly commands: ReadonlyArray<EndpointCommand>
}

const maxMultiplier = 12
const backoffCap = 60_000
/** For so long after it went out of rotation an endpoint is probed at its interval, and only then ever more seldom. */
const recoveringFor = 60_000
/** Probes that a doubt asks for are at least so far apart, in milliseconds. */
export const doubtSpacing = 1000

/** When the next probe is due. */
export const probeDueAt = ({ condition, probing }: ActorState): number =>
  probing ? Number.POSITIVE_INFINITY : Math.max(condition.nextCheck, condition.rateLimitedUntil)

export const unchanged = (state: ActorState): Transition => ({ state, commands: [] })

/** A new condition, announced when the status is another. `now`: when it came to be. */
export const become = (
  state: ActorState,
  condition: EndpointState,
  now: number,
  commands: ReadonlyArray<EndpointCommand> = []
): Transition => {
  const from = state.condition
  const announce: ReadonlyArray<EndpointCommand> = from.status === condition.status ? [] : [{ _tag: "Announce", from, to: condition }]
  const outSince = isRoutable(from.status) && !isRoutable(condition.status) ? now : state.outSince
  return { state: { ...state, condition, outSince }, commands: [...announce, ...commands] }
}

/** Wait after a failure, and the next multiplier. */
export const backOff = (state: ActorState, now: number, interval: number): { readonly wait: number; readonly next: number } => {
  const { backoffMultiplier: multiplier, status } = state.condition
  const isRecovering = isRoutable(status) || now - state.outSince < recoveringFor
  if (isRecovering || multiplier <= 1) return { wait: interval, next: 2 }
  return { wait: Math.min(interval * multiplier, Math.max(backoffCap, interval)), next: Math.min(multiplier * 2, maxMultiplier) }
}
