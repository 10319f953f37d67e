/** Where a path below `/olla/` stands, and which rows of the table of routes it fits. Paths are matched cleaned and decoded; what is forwarded keeps its encoding. */
import type { ListingFormat } from "../profile/ListingFormats.ts"
import type { Profile } from "../profile/Profile.ts"
import type { ProviderScope } from "../routing/Router.ts"
import { withoutSlash } from "./RequestPath.ts"

/** A kind of backend that has routes of its own. */
export interface Provider {
  readonly scope: ProviderScope
  readonly paths: ReadonlySet<string>
}

export interface Place {
  /** First segment below `/olla/`. */
  readonly segment: string
  readonly provider: Provider | undefined
  /** Something follows the segment, if only a slash. */
  readonly hasRest: boolean
  /** What follows it, decoded; `/` for nothing. */
  readonly rest: string
  /** The same as it is sent. */
  readonly sent: string
}

/** The list, or the model of it, that a row is about. */
export interface Matched {
  readonly format: ListingFormat
  readonly id: string
}

/**
 * `self`: the segment alone; `id`: whatever follows it; `list` and `listed`: a list that Olla answers itself, and one model of it;
 * `rest`: anything.
 */
type Tail = "self" | "id" | "list" | "listed" | "rest"

const tails: Readonly<Record<string, Tail>> = {
  "": "self",
  "{id}": "id",
  "v1/models": "list",
  "v1/models/{id}": "listed",
  "{path}": "rest"
}

export interface RouteShape {
  readonly segment: string
  readonly tail: Tail
}

/** `path`: a row's, such as `/olla/{provider}/v1/models/{id}`. */
export const shapeOf = (path: string): RouteShape => {
  const [, , segment = "", ...rest] = path.split("/")
  const tail = tails[rest.join("/")]
  if (tail === undefined) throw new Error(`a route of no known shape: ${path}`)
  return { segment, tail }
}

const nothing: Matched = { format: "openai", id: "" }

/** The list that `/olla/proxy/` has. */
const proxyListings: ReadonlyMap<string, ListingFormat> = new Map([["/v1/models", "openai"]])
const noPaths: ReadonlySet<string> = new Set()

/** `undefined`: the row is not for this path. */
export const matchOf = ({ segment, tail }: RouteShape, place: Place): Matched | undefined => {
  const { provider, rest } = place
  if (segment === "{provider}" ? provider === undefined : segment !== place.segment) return undefined
  switch (tail) {
    case "self":
      return place.hasRest ? undefined : nothing
    case "id":
      return place.hasRest ? { ...nothing, id: rest.slice(1) } : undefined
    case "rest":
      return nothing
  }
  const listings = provider?.scope.profile.listings ?? proxyListings
  if (tail === "listed") return listedBelow(listings, provider?.paths ?? noPaths, rest)
  const format = listings.get(rest)
  return format === undefined ? undefined : { format, id: "" }
}

/** The model that a path below a list names, `/v1/models/org/m`; ids may have slashes. What the kind declares as a path is its own. */
const listedBelow = (listings: ReadonlyMap<string, ListingFormat>, declared: ReadonlySet<string>, path: string): Matched | undefined => {
  for (const [list, format] of listings)
    if (list.endsWith("/models") && path.length > list.length + 1 && path.startsWith(`${list}/`) && !declared.has(path))
      return { format, id: path.slice(list.length + 1) }
  return undefined
}

/** What follows `/olla/<segment>`, encoded as received; a slash counts in either spelling. Never empty. */
const restOf = (path: string): string => {
  const slashes = /\/|%(?:25)*2f/gi
  for (let i = 0; i < 3; i++) if (!slashes.test(path)) return "/"
  return `/${path.slice(slashes.lastIndex)}`
}

/**
 * `judged` and `sent`: the path as `RequestPath.ts` has it. `isKnown`: somebody declares it, whose server would redirect a path with a slash
 * at its end to the one without, by its own address.
 */
export const placeOf = (
  judged: string,
  sent: string,
  providerOf: (segment: string) => Provider | undefined,
  isKnown: (rest: string) => boolean
): Place => {
  const slash = judged.indexOf("/", 6)
  const segment = slash < 0 ? judged.slice(6) : judged.slice(6, slash)
  const rest = slash < 0 ? "/" : judged.slice(slash)
  const raw = sent === judged ? rest : restOf(sent)
  const provider = segment === "proxy" || segment === "models" ? undefined : providerOf(segment)
  const bare = withoutSlash(rest)
  const drops =
    bare !== rest &&
    (provider === undefined ? segment === "proxy" && isKnown(bare) : provider.paths.has(bare) || provider.scope.profile.listings.has(bare))
  const place = { segment, provider, hasRest: slash >= 0 }
  return drops ? { ...place, rest: bare, sent: withoutSlash(raw) } : { ...place, rest, sent: raw }
}

/** The profile's own name where the segment only spells it otherwise. */
export const labelOf = (segment: string, { name }: Profile): string => {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, "")
  return plain(segment) === plain(name) ? name : segment.toLowerCase().replace(/_/g, "-")
}
