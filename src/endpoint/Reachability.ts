/** How many endpoints can be asked, and why the others cannot, in a phrase for logs and clients: names and causes, no addresses. */
import { accepts, type Endpoint } from "./Endpoint.ts"
import { isRoutable } from "./EndpointState.ts"

/** Names that are told of one cause. */
const namesAtMost = 5

export const unreachableReason = ({ state, admin }: Endpoint): string =>
  admin !== "active" && isRoutable(state.status)
    ? "drained by an operator"
    : state.status === "unknown"
      ? "not checked yet"
      : state.lastError || state.status

/** `connection refused: gpu-1, gpu-2; HTTP 401: gpu-3`; empty when all can be asked. */
export const unreachableWhy = (endpoints: ReadonlyArray<Endpoint>): string => {
  const byCause = new Map<string, Array<string>>()
  for (const endpoint of endpoints) {
    if (accepts(endpoint)) continue
    const cause = unreachableReason(endpoint)
    const names = byCause.get(cause)
    if (names === undefined) byCause.set(cause, [endpoint.name])
    else names.push(endpoint.name)
  }
  return [...byCause].map(([cause, names]) => `${cause}: ${listed(names)}`).join("; ")
}

const listed = (names: ReadonlyArray<string>): string => {
  const more = names.length - namesAtMost
  return `${names.slice(0, namesAtMost).join(", ")}${more > 0 ? ` and ${more} more` : ""}`
}

/** Of those that can be asked, whose models nobody knows: `the model lists of gpu-1, gpu-2 could not be read`; empty: of none. */
export const unreadLists = (endpoints: ReadonlyArray<Endpoint>): string => {
  const unread = endpoints.filter((endpoint) => accepts(endpoint) && !endpoint.isRead)
  const failed = unread.filter(({ listingIssue }) => listingIssue !== "")
  const tell = (some: ReadonlyArray<Endpoint>, what: string): string =>
    some.length === 0 ? "" : `the model ${some.length === 1 ? "list" : "lists"} of ${listed(some.map(({ name }) => name))} ${what}`
  return [
    tell(failed, "could not be read"),
    tell(
      unread.filter((one) => !failed.includes(one)),
      "not read yet"
    )
  ]
    .filter((text) => text !== "")
    .join("; ")
}

/** `1 of 3 endpoints reachable: connection refused: gpu-1, gpu-2`; `kind`: of which alone the endpoints are. */
export const reachability = (endpoints: ReadonlyArray<Endpoint>, kind = ""): string => {
  if (endpoints.length === 0) return `no ${kind === "" ? "" : `${kind} `}endpoint is configured`
  const reachable = endpoints.filter(accepts).length
  const why = unreachableWhy(endpoints)
  const noun = `${kind === "" ? "" : `${kind} `}${endpoints.length === 1 ? "endpoint" : "endpoints"}`
  return `${reachable} of ${endpoints.length} ${noun} reachable${why === "" ? "" : `: ${why}`}`
}
