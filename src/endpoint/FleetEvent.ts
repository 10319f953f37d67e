/** What an endpoint tells the rest of the house. */
import type { Endpoint } from "./Endpoint.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import type { EndpointState } from "./EndpointState.ts"
import type { Lane } from "./lane/Lane.ts"
import type { LaneCondition } from "./lane/LaneCondition.ts"

export type FleetEvent =
  | { readonly _tag: "StatusChanged"; readonly endpoint: Endpoint; readonly from: EndpointState; readonly to: EndpointState }
  /** It was added to the configuration while the daemon runs. */
  | { readonly _tag: "EndpointAdded"; readonly endpoint: Endpoint }
  /** The configuration says something else of it than before. */
  | { readonly _tag: "SpecChanged"; readonly endpoint: Endpoint; readonly before: EndpointSpec }
  /** An operator took it out of service, or back into it. */
  | { readonly _tag: "AdminChanged"; readonly endpoint: Endpoint }
  /** It is configured no longer, and in no list; its last attempts may still run. */
  | { readonly _tag: "EndpointRemoved"; readonly endpoint: Endpoint }
  /** Nothing of it runs any more: whoever keeps something of it forgets it. */
  | { readonly _tag: "EndpointGone"; readonly endpoint: Endpoint }
  /** One of its models is asked again, or no longer. */
  | { readonly _tag: "LaneTurned"; readonly endpoint: Endpoint; readonly lane: Lane; readonly before: LaneCondition }
  /** A listing was read (or dropped, or its type detected): the catalogue is out of date. */
  | { readonly _tag: "ModelsChanged"; readonly endpoint: Endpoint }
