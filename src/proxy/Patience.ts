/**
 * Time limits as plain timers, for what is not looked at by a sweep. On a loop that was held up, timers come before what
 * arrived meanwhile: a limit that is found to have passed too late gets a second look before anybody is given up.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { timerMillis } from "../config/Duration.ts"

/** A timer that is this late tells of a loop that was held up, in milliseconds. */
const heldUp = 100
/** How long what arrived meanwhile may take to be read, in milliseconds. */
const secondLook = 200

/** Runs `expired` when `limit` milliseconds have passed; returns how to call it off. */
export const afterLimit = (limit: number, expired: () => void): (() => void) => {
  const due = performance.now() + limit
  let timer = setTimeout(() => {
    if (performance.now() - due < heldUp) expired()
    else timer = setTimeout(expired, secondLook)
  }, timerMillis(limit))
  return () => clearTimeout(timer)
}

const now = (): number => performance.now()
const nanos = (): bigint => process.hrtime.bigint()

/** The clock of limits: as patient, and not moved when somebody sets the system's time. */
export const patientClock: Clock.Clock = {
  currentTimeMillisUnsafe: now,
  currentTimeMillis: Effect.sync(now),
  currentTimeNanosUnsafe: nanos,
  currentTimeNanos: Effect.sync(nanos),
  monotonicTimeNanosUnsafe: nanos,
  monotonicTimeNanos: Effect.sync(nanos),
  sleep: (duration) => {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback((resume) => {
      const callOff = afterLimit(millis, () => resume(Effect.void))
      return Effect.sync(callOff)
    })
  }
}
