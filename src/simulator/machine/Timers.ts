/** Time as a simulated machine sees it: the real one, or one that a simulation moves on by itself. */
export interface Timers {
  /** Milliseconds, of any origin. */
  readonly now: () => number
  /** Calls `run` once, after so many milliseconds; returns what calls it off. */
  readonly after: (millis: number, run: () => void) => () => void
}

export const realTimers: Timers = {
  now: () => performance.now(),
  after: (millis, run) => {
    const timer = setTimeout(run, millis)
    return () => clearTimeout(timer)
  }
}
