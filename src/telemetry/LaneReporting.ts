/** What the log says of models that are taken out of use on an endpoint and come back, and of requests that nobody else may try. */
import type { FleetEvent } from "../endpoint/FleetEvent.ts"
import type { Fields, Level } from "./LogRecord.ts"
import { LogDuration } from "./LogRecord.ts"

type Write = (level: Level, message: string, fields: Fields) => void

/** Milliseconds between two records that the budget is used up. */
const budgetEvery = 10_000

/** `now`: milliseconds of the monotonic clock. */
export const laneRecords =
  (write: Write, now: () => number) =>
  (event: FleetEvent): void => {
    if (event._tag !== "LaneTurned") return
    const { lane, before, endpoint } = event
    const { state, since, until, failures, ejections } = lane.condition
    const where = { endpoint: endpoint.name, model: lane.model === "" ? undefined : lane.model }
    if (state === "ejected" && since !== before.since)
      write("warn", "Lane ejected", {
        ...where,
        reason: lane.why,
        failures,
        ejections: ejections > 1 ? ejections : undefined,
        duration: new LogDuration(Math.round(until - now()))
      })
    else if (state === "paused" && since !== before.since)
      write("debug", "Lane paused", { ...where, reason: lane.why, duration: new LogDuration(Math.round(until - now())) })
    else if (state === "missing" && before.state !== "missing") write("debug", "Lane missing", where)
    else if (before.until > 0 && until === 0)
      write(before.state === "ejected" ? "info" : "debug", "Lane recovered", { ...where, was: before.state })
  }

/** `denied`: attempts that were not made for want of budget since the start. Told when one more is. */
export const budgetRecords = (write: Write, now: () => number): ((denied: number) => void) => {
  let toldAt = Number.NEGATIVE_INFINITY
  let told = 0
  return (denied) => {
    if (now() - toldAt < budgetEvery) return
    toldAt = now()
    write("warn", "Failover budget exhausted", {
      denied: denied - told,
      budget: "traffic.failover.budget_percent"
    })
    told = denied
  }
}
