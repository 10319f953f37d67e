/** When an endpoint is asked for its models, as pure data. Times are milliseconds of the monotonic clock. */

export interface DiscoveryState {
  /** A listing is being read; further requests for one join it. */
  readonly running: boolean
  /** Consecutive failures. */
  readonly failures: number
  /** Failures since it was disabled, the disabling one included; 0: enabled. */
  readonly step: number
  /** Time of the next try while disabled. */
  readonly retryAt: number
  /** The last discovery on recovery failed: the next healthy probe tries once more. */
  readonly retryWhenHealthy: boolean
  /** Time of the last listing; 0: none yet. */
  readonly syncedAt: number
}

export const neverDiscovered: DiscoveryState = {
  running: false,
  failures: 0,
  step: 0,
  retryAt: 0,
  retryWhenHealthy: false,
  syncedAt: 0
}

/** Consecutive failures that disable periodic discovery. */
const limit = 5
const longest = 3_600_000

export const isDisabled = (state: DiscoveryState): boolean => state.step > 0

export const listingRead = (state: DiscoveryState, now: number): DiscoveryState => ({
  ...neverDiscovered,
  running: state.running,
  syncedAt: now
})

/** `interval`: of periodic discovery. Both times in milliseconds; `startedAt` is when this discovery began. */
export const listingFailed = (state: DiscoveryState, startedAt: number, recoverable: boolean, interval: number): DiscoveryState => {
  const failures = state.failures + 1
  if (recoverable && failures < limit && !isDisabled(state)) return { ...state, failures }
  const step = state.step + 1
  return { ...state, failures, step, retryAt: startedAt + Math.min(interval * 2 ** step, longest) }
}
