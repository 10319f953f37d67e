/** What clients could no longer ask for without one endpoint. Pure. */
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import type { Snapshot } from "./Snapshot.ts"

/** Names of its models that no other endpoint which may be chosen has, ascending. */
export const lostModels = (snapshot: Snapshot, endpoint: Endpoint): ReadonlyArray<string> => {
  const has = (holder: Endpoint) => holder !== endpoint && accepts(holder)
  const names = endpoint.models
    .map(({ name }) => name)
    .filter((name) => !snapshot.offer(name)?.holders.some((holder) => has(holder.endpoint)))
  return [...new Set(names)].sort()
}
