/**
 * Who names endpoints: the configuration's list first, then whatever finds them elsewhere. Together they are the fleet; of one URL
 * that several name, the earlier source's word counts. Pure.
 */
import type { EndpointSpec } from "./EndpointSpec.ts"
import { keyOf } from "./FleetChange.ts"

/** By source, in the order of their rank. */
export type EndpointSources = ReadonlyMap<string, ReadonlyArray<EndpointSpec>>

/** The source that the configuration's own list is. */
export const configured = "configuration"

/** With another list of one source; a new source comes last, and one without endpoints keeps its rank. */
export const withSource = (sources: EndpointSources, name: string, specs: ReadonlyArray<EndpointSpec>): EndpointSources =>
  new Map(sources).set(name, specs)

/** Without two of one URL, numbered in their order. */
export const together = (sources: EndpointSources): ReadonlyArray<EndpointSpec> => {
  const byKey = new Map<string, EndpointSpec>()
  for (const specs of sources.values()) for (const spec of specs) if (!byKey.has(keyOf(spec))) byKey.set(keyOf(spec), spec)
  return [...byKey.values()].map((spec, index) => (spec.index === index ? spec : { ...spec, index }))
}
