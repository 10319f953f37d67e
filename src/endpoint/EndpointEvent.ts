/**
 * What an endpoint's whole state is, what can happen to it, and what that commands: the vocabulary of `Transition.ts`. All times are
 * milliseconds of the monotonic clock.
 */
import type { DiscoveryState } from "./DiscoveryState.ts"
import type { EndpointState } from "./EndpointState.ts"
import type { ProbeResult } from "./ProbeResult.ts"

/** Milliseconds. */
export interface EndpointPolicy {
  readonly checkInterval: number
  /** False: nothing is probed. The endpoint is taken as healthy and judged by its attempts alone. */
  readonly probes: boolean
  readonly discovery: { readonly enabled: boolean; readonly interval: number }
}

export interface ActorState {
  /** What everybody else sees. */
  readonly condition: EndpointState
  /** At most one probe is in flight. */
  readonly probing: boolean
  /** Since when it has not been in rotation; while it is, of no meaning. */
  readonly outSince: number
  /** 0: never. */
  readonly demotedAt: number
  /** Start of the last probe that found it healthy; 0: never. */
  readonly probedHealthyAt: number
  /** Probes in a row that were not answered in time, with no answer to an attempt between them. */
  readonly late: number
  /** When an attempt was last known to have been answered; 0: never. */
  readonly answeredAt: number
  /** When an attempt's connection was last closed without an answer, and no probe has told yet what that means; 0: it has. */
  readonly doubtedAt: number
  /** Failed attempts in a row, where nothing is probed. */
  readonly failedAttempts: number
  readonly discovery: DiscoveryState
  /** Taken out of service by an operator until that moment; Infinity: until he resumes it. `undefined`: it is in service. */
  readonly drainedUntil: number | undefined
  /** No longer configured: it is left alone and waits for its last attempts to end. */
  readonly removed: boolean
  /** Why its models are to be read with the next good probe, whatever it was before. */
  readonly wanted: "changed" | "request" | undefined
}

/** `startup` and `periodic` share the configured workers and respect back-off; the others do not wait. */
export type DiscoveryReason = "startup" | "periodic" | "recovery" | "retry" | "request" | "changed"

export type EndpointEvent =
  | { readonly _tag: "ProbeDue"; readonly now: number }
  | {
      readonly _tag: "ProbeFinished"
      readonly startedAt: number
      readonly now: number
      readonly result: ProbeResult
      /** -1 to 1. */
      readonly jitter: number
      /** The type was detected, and with it the models read, on the way. */
      readonly listed: boolean
      /** An attempt was answered since the last probe ended. */
      readonly answered: boolean
    }
  /** Attempts wait there, and the last probe failed: another one tells. */
  | { readonly _tag: "ProbeNow" }
  /** A probe could not be made: nothing is learned. */
  | { readonly _tag: "ProbeLost"; readonly startedAt: number }
  | {
      readonly _tag: "AttemptFailed"
      readonly startedAt: number
      readonly now: number
      readonly cause: string
      /** The backend took the request and closed the connection: it may be dead, or only have died of this request. */
      readonly inDoubt: boolean
      /** A second such end while the first is in doubt is no accident. */
      readonly secondDecides?: boolean | undefined
      /** An attempt was answered since the last probe ended, or the last one failed. */
      readonly answered: boolean
    }
  /** An attempt was answered by an endpoint that is out of rotation because its probes were late. */
  | { readonly _tag: "AttemptSucceeded"; readonly now: number }
  | { readonly _tag: "DiscoverNow"; readonly now: number; readonly reason: DiscoveryReason }
  | { readonly _tag: "ListingRead"; readonly now: number; readonly reason: DiscoveryReason | "detection" }
  | { readonly _tag: "ListingFailed"; readonly startedAt: number; readonly recoverable: boolean; readonly reason: DiscoveryReason }
  /** The configuration says something else of it. `anew`: of how it is asked or who it is, so that what is known of it is in doubt. `paced`: of how often. */
  | { readonly _tag: "SpecChanged"; readonly now: number; readonly anew: boolean; readonly paced: boolean }
  /** Somebody wants to know now: an operator, or a request that nobody else can serve. */
  | { readonly _tag: "AskNow"; readonly now: number }
  /** An operator takes it out of service; `until`: Infinity where he said no time. */
  | { readonly _tag: "Drain"; readonly until: number }
  | { readonly _tag: "Resume" }
  /** It is configured no longer. */
  | { readonly _tag: "Removed" }
  /** It is configured again, while attempts of before were still under way. */
  | { readonly _tag: "Returned" }
  /** The actor crashed and starts anew: whatever it had under way is lost. */
  | { readonly _tag: "Restarted"; readonly now: number; readonly cause: string }

export type EndpointCommand =
  | { readonly _tag: "Probe" }
  | { readonly _tag: "Discover"; readonly reason: DiscoveryReason }
  /** The status changed. */
  | { readonly _tag: "Announce"; readonly from: EndpointState; readonly to: EndpointState }
  /** It does not answer as it is asked now: what was listed when it was asked otherwise says nothing. */
  | { readonly _tag: "ForgetModels" }
  /** A failed attempt took it out of rotation. */
  | { readonly _tag: "Demoted"; readonly to: EndpointState }
