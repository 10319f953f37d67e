/** What an endpoint tells the rest of the house. */
import type { Endpoint } from "./Endpoint.ts"
import type { EndpointState } from "./EndpointState.ts"

export type FleetEvent =
  | { readonly _tag: "StatusChanged"; readonly endpoint: Endpoint; readonly from: EndpointState; readonly to: EndpointState }
  /** A listing was read (or dropped, or its type detected): the catalogue is out of date. */
  | { readonly _tag: "ModelsChanged"; readonly endpoint: Endpoint }
