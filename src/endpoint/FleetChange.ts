/**
 * What is different between the endpoints of now and those that are wanted. An endpoint is its URL: whatever else is said of it, it
 * stays the same one. Pure.
 */
import { isDeepStrictEqual } from "node:util"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { sameEndpointKey } from "./EndpointUrl.ts"
import type { TlsOptions } from "./Origin.ts"

export interface ChangedEndpoint {
  readonly before: EndpointSpec
  /** As wanted, with those parts of `before` that say the same: connections hang on the origin. */
  readonly after: EndpointSpec
  /** How it is asked, or what it is, changed: what is known of it is to be learned anew. */
  readonly anew: boolean
}

export interface FleetChange {
  readonly added: ReadonlyArray<EndpointSpec>
  readonly removed: ReadonlyArray<EndpointSpec>
  readonly changed: ReadonlyArray<ChangedEndpoint>
}

/** Without the context, which is made of the rest. */
const saidOf = (tls: TlsOptions | undefined): Omit<TlsOptions, "context"> | undefined => {
  if (tls === undefined) return undefined
  const { context: _, ...said } = tls
  return said
}

const sameOrigin = (a: EndpointSpec["origin"], b: EndpointSpec["origin"]): boolean => {
  const { tls: before, ...rest } = a
  const { tls: after, ...others } = b
  return isDeepStrictEqual(rest, others) && isDeepStrictEqual(saidOf(before), saidOf(after))
}

/** What it is asked by: everything but names, order, intervals and filters. */
const asked: ReadonlyArray<keyof EndpointSpec> = [
  "url",
  "type",
  "profile",
  "preservePath",
  "healthReference",
  "modelReference",
  "probes",
  "origin",
  "credentials"
]

/** `wanted` on the connections of `before`, where they are made alike. */
export const sameConnections = (before: EndpointSpec, wanted: EndpointSpec): EndpointSpec =>
  sameOrigin(before.origin, wanted.origin) ? { ...wanted, origin: before.origin } : wanted

const changeOf = (before: EndpointSpec, wanted: EndpointSpec): ChangedEndpoint | undefined => {
  const after = sameConnections(before, wanted)
  const differs = (key: keyof EndpointSpec): boolean =>
    key === "origin" ? before.origin !== after.origin : !isDeepStrictEqual(before[key], after[key])
  const keys = (Object.keys(after) as Array<keyof EndpointSpec>).filter(differs)
  if (keys.length > 0) return { before, after, anew: keys.some((key) => asked.includes(key)) }
  // The same words of another reading of the profiles: whoever compares kinds compares the objects.
  return before.profile === after.profile ? undefined : { before, after, anew: false }
}

export const keyOf = (spec: EndpointSpec): string => sameEndpointKey(spec.url)

/** Both lists in configuration order, and without two of one URL. */
export const fleetChange = (current: ReadonlyArray<EndpointSpec>, wanted: ReadonlyArray<EndpointSpec>): FleetChange => {
  const known = new Map(current.map((spec) => [keyOf(spec), spec]))
  const added: Array<EndpointSpec> = []
  const changed: Array<ChangedEndpoint> = []
  for (const spec of wanted) {
    const before = known.get(keyOf(spec))
    if (before === undefined) added.push(spec)
    else {
      known.delete(keyOf(spec))
      const change = changeOf(before, spec)
      if (change !== undefined) changed.push(change)
    }
  }
  return { added, removed: [...known.values()], changed }
}

export const isNoChange = ({ added, removed, changed }: FleetChange): boolean =>
  added.length === 0 && removed.length === 0 && changed.length === 0
