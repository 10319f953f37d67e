/**
 * The clock that intervals, back-off, ages and limits are measured by: nobody sets it, so that a step of the system's time changes
 * none of them. Its zero means nothing; what people are shown is made of it by `wallAt`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const millis = (nanos: bigint): number => Number(nanos / 1_000_000n)

/** Milliseconds. */
export const monotonicOf = (clock: Clock.Clock): number => millis(clock.monotonicTimeNanosUnsafe())

/** Milliseconds. */
export const monotonic: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, millis)

/** Epoch milliseconds of a monotonic moment, by what both clocks show now. */
export const wallAt = (moment: number, now: { readonly monotonic: number; readonly wall: number }): number =>
  Math.round(now.wall + moment - now.monotonic)
