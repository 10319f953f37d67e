/** Tells once when the last endpoint that could be asked is gone, and once when one is back. What happens between is the endpoints' own. */
import { accepts, type Endpoint } from "./Endpoint.ts"
import type { LogLine } from "./EndpointLog.ts"
import type { Fleet } from "./Fleet.ts"
import { unreachableReason } from "./Reachability.ts"

/** Endpoints that are named. */
const mostNamed = 10

const named = (endpoints: ReadonlyArray<Endpoint>): ReadonlyArray<string> =>
  endpoints.slice(0, mostNamed).map((endpoint) => `${endpoint.name}: ${unreachableReason(endpoint)}`)

/** From now on, with the state that it finds; returns its end. */
export const watchReachability = (
  fleet: Pick<Fleet["Service"], "endpoints" | "now" | "onEvent">,
  tell: (line: LogLine) => void
): (() => void) => {
  let goneAt: number | undefined
  const look = () => {
    const { endpoints } = fleet
    const reachable = endpoints.filter(accepts).length
    const total = endpoints.length
    if (reachable === 0 && goneAt === undefined) {
      goneAt = fleet.now()
      tell({ level: "warn", message: "No endpoint reachable", fields: { total, endpoints: named(endpoints) } })
    } else if (reachable > 0 && goneAt !== undefined) {
      const after_ms = Math.round(fleet.now() - goneAt)
      goneAt = undefined
      tell({ level: "info", message: "Endpoints reachable again", fields: { after_ms, reachable, total } })
    }
  }
  look()
  return fleet.onEvent(({ _tag }) => {
    if (_tag !== "ModelsChanged" && _tag !== "LaneTurned" && _tag !== "EndpointGone") look()
  })
}
