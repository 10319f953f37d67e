/**
 * Time limits as plain timers, for what is not looked at by a sweep. On a loop that was held up, timers come before what
 * arrived meanwhile: a limit that is found to have passed too late gets a second look before anybody is given up.
 */
import { timerMillis } from "../../config/Duration.ts"

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
