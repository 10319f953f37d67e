/**
 * The balancer of the daemon. Stickiness is outermost: it only names the endpoint that it prefers. Endpoints that cannot be asked are
 * left out below it, in one place, before a rule chooses.
 */
import type * as Layer from "effect/Layer"
import type { Settings } from "../config/Settings.ts"
import type { Fleet } from "../endpoint/Fleet.ts"
import type { Balancer } from "./Balancer.ts"
import * as Chosen from "./Chosen.ts"
import * as Sticky from "./Sticky.ts"
import * as Usable from "./Usable.ts"

export const layer: Layer.Layer<Balancer, never, Settings | Fleet> = Sticky.over(Usable.over(Chosen.layer))
