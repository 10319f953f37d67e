/** Which handler a path has. Paths are matched cleaned and decoded; what is forwarded keeps its encoding. */
import type { ListingFormat } from "../profile/ListingFormats.ts"
import type { Profile } from "../profile/Profile.ts"
import type { ProviderScope } from "../routing/Router.ts"
import { listedModel, listing, modelRoute, modelsRoute } from "./ListingRoutes.ts"
import { discardBody } from "./listener/RequestBody.ts"
import { PlainSurface, type ProxyTarget } from "./proxied/PlainSurface.ts"
import { ProxiedExchange } from "./proxied/ProxiedExchange.ts"
import type { RequestContext } from "./RequestContext.ts"
import { withoutSlash } from "./RequestPath.ts"
import type { Services } from "./Services.ts"
import { systemRoutes } from "./SystemRoutes.ts"

/** Routes of a surface that another module brings (translators, the console). True: it was theirs. */
export interface RouteModule {
  /** Prepares a request that is refused before it is routed: its error comes in this surface's form. */
  readonly dress?: (context: RequestContext, path: string) => void
  readonly handle: (services: Services, context: RequestContext, path: string) => boolean
}

/** Why a kind's profile refuses a path; `undefined`: it does not. */
const refusalOf = ({ refusedPaths }: Profile, path: string): string | undefined =>
  refusedPaths.find(([refused]) => (refused.endsWith("*") ? path.startsWith(refused.slice(0, -1)) : path === refused))?.[1]

/** What a document knows; OPTIONS is answered like GET, as it always was. */
const readOnly = (context: RequestContext): boolean => {
  const { method } = context.exchange
  if (method === "GET" || method === "HEAD" || method === "OPTIONS") return true
  context.error("method", { allow: "GET or HEAD" }, ["Allow", "GET, HEAD"])
  return false
}

/** What follows `/olla/<segment>`, encoded as received; a slash counts in either spelling. Never empty. */
const restOf = (path: string): string => {
  const slashes = /\/|%(?:25)*2f/gi
  for (let i = 0; i < 3; i++) if (!slashes.test(path)) return "/"
  return `/${path.slice(slashes.lastIndex)}`
}

interface Provider {
  readonly scope: ProviderScope
  readonly paths: ReadonlySet<string>
}

/** The profile's own name where the segment only spells it otherwise. */
const labelOf = (segment: string, { name }: Profile): string => {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, "")
  return plain(segment) === plain(name) ? name : segment.toLowerCase().replace(/_/g, "-")
}

/** Paths that are remembered, and their longest, in characters. */
const maxKnown = 1_000
const longestKnown = 200

export class Routes {
  readonly #services: Services
  readonly #modules: ReadonlyArray<RouteModule>
  /** By raw segment; only segments that resolve are kept, so it is bounded by the profiles' prefixes and their spellings. */
  readonly #providers = new Map<string, Provider>()
  /** What was found out about paths without escapes that are proxied, whatever the method: clients ask for the same few. */
  readonly #known = new Map<string, ProxyTarget>()

  /** The profiles that it was all found out with. */
  #foundIn: ReadonlyArray<Profile>

  constructor(services: Services, modules: ReadonlyArray<RouteModule>) {
    this.#services = services
    this.#foundIn = services.profiles.all
    this.#modules = modules
  }

  /** `sent` and `judged`: the path as `RequestPath.ts` has it. */
  handle(context: RequestContext, sent: string, judged: string): void {
    const services = this.#services
    if (this.#foundIn !== services.profiles.all) this.#forget()
    if (judged.startsWith("/olla/")) {
      if (this.#olla(context, judged, sent)) return
    } else {
      const route = systemRoutes.get(judged)
      if (route !== undefined) {
        discardBody(services.guard, context, () => {
          if (route.anyMethod || readOnly(context)) route.handle(services, context)
        })
        return
      }
    }
    for (const module of this.#modules) if (module.handle(services, context, judged)) return
    context.error("unrouted")
  }

  /** `path` as it is judged, `raw` as it is sent. */
  #olla(context: RequestContext, path: string, raw: string): boolean {
    const services = this.#services
    const known = this.#known.get(raw)
    if (known !== undefined) {
      const { query } = context.exchange
      this.#proxy(context, query === "" ? known : { ...known, target: `${known.target}?${query}` })
      return true
    }
    const slash = path.indexOf("/", 6)
    const segment = slash < 0 ? path.slice(6) : path.slice(6, slash)
    let rest = slash < 0 ? "/" : path.slice(slash)
    if (segment === "models") {
      discardBody(services.guard, context, () => {
        if (!readOnly(context)) return
        if (slash < 0) modelsRoute(services, context)
        else modelRoute(services, context, rest.slice(1))
      })
      return true
    }
    const query = context.exchange.query === "" ? "" : `?${context.exchange.query}`
    let sent = raw === path ? rest : restOf(raw)
    if (segment === "proxy") {
      // A backend would redirect to the path without the slash, by its own address.
      if (services.profiles.forPath(withoutSlash(rest)).size > 0) [rest, sent] = [withoutSlash(rest), withoutSlash(sent)]
      const target = sent + query
      const { method } = context.exchange
      const id = idOf(proxyListings, noPaths, rest)
      if (rest === "/v1/models" && (method === "GET" || method === "HEAD" || method === "OPTIONS"))
        discardBody(services.guard, context, () => listing(services, context, undefined, "openai"))
      else if (id !== undefined && (method === "GET" || method === "HEAD"))
        discardBody(services.guard, context, () => listedModel(services, context, undefined, "openai", id.id))
      else {
        if (rest !== "/v1/models" && id === undefined) this.#remember(raw, path, { scope: undefined, target: sent, path: rest })
        this.#proxy(context, { scope: undefined, target, path: rest })
      }
      return true
    }
    if (segment === "anthropic" || segment === "") return false
    const provider = this.#provider(segment)
    if (provider === undefined) return false
    const { profile } = provider.scope
    const bare = withoutSlash(rest)
    if (provider.paths.has(bare) || profile.listings.has(bare)) [rest, sent] = [bare, withoutSlash(sent)]
    const target = sent + query
    const format = profile.listings.get(rest)
    if (format !== undefined) {
      discardBody(services.guard, context, () => listing(services, context, provider.scope, format))
      return true
    }
    const id = idOf(profile.listings, provider.paths, rest)
    if (id !== undefined && (context.exchange.method === "GET" || context.exchange.method === "HEAD")) {
      discardBody(services.guard, context, () => listedModel(services, context, provider.scope, id.format, id.id))
      return true
    }
    const what = refusalOf(profile, bare)
    if (what !== undefined) {
      discardBody(services.guard, context, () => context.error("notSupported", { what }))
      return true
    }
    // As it would be sent: a backend may take an encoded spelling for another path.
    if (profile.enforcePaths && !provider.paths.has(sent)) {
      context.error("pathNotServed", { path: sent, provider: provider.scope.label })
      return true
    }
    if (id === undefined) this.#remember(raw, path, { scope: provider.scope, target: sent, path: rest })
    this.#proxy(context, { scope: provider.scope, target, path: rest })
    return true
  }

  #forget(): void {
    this.#providers.clear()
    this.#known.clear()
    this.#foundIn = this.#services.profiles.all
  }

  #proxy(context: RequestContext, target: ProxyTarget): void {
    new ProxiedExchange(this.#services, context, new PlainSurface(this.#services, context, target)).start()
  }

  #remember(raw: string, path: string, target: ProxyTarget): void {
    if (raw === path && raw.length <= longestKnown && this.#known.size < maxKnown) this.#known.set(raw, target)
  }

  #provider(segment: string): Provider | undefined {
    const known = this.#providers.get(segment)
    if (known !== undefined) return known
    const profile: Profile | undefined = this.#services.profiles.resolveSegment(segment)
    if (profile === undefined || !isRegistered(profile, segment)) return undefined
    const provider: Provider = {
      scope: { label: labelOf(segment, profile), inclusive: profile.generic, profile },
      paths: new Set(profile.paths)
    }
    this.#providers.set(segment, provider)
    return provider
  }
}

/** The list that `/olla/proxy/` has. */
const proxyListings: ReadonlyMap<string, ListingFormat> = new Map([["/v1/models", "openai"]])
const noPaths: ReadonlySet<string> = new Set()

/** The model that a path below a list names, `/v1/models/org/m`; ids may have slashes. What the kind declares as a path is its own. */
const idOf = (
  listings: ReadonlyMap<string, ListingFormat>,
  declared: ReadonlySet<string>,
  path: string
): { readonly format: ListingFormat; readonly id: string } | undefined => {
  for (const [list, format] of listings)
    if (list.endsWith("/models") && path.length > list.length + 1 && path.startsWith(`${list}/`) && !declared.has(path))
      return { format, id: path.slice(list.length + 1) }
  return undefined
}

/** A segment has routes only as a prefix of the profile, or its name, as written. */
const isRegistered = (profile: Profile, segment: string): boolean => profile.prefixes.includes(segment) || profile.name === segment
