/** Which handler a path has. The routes below `/olla/` are rows of `BackendRoutes.ts`, asked in their order. */
import type { Profile } from "../profile/Profile.ts"
import { outboundPath } from "../proxy/TargetUrl.ts"
import type { ProviderScope } from "../routing/Router.ts"
import { backendRoutes, type RoutedName, routedNames } from "./BackendRoutes.ts"
import { listedModel, listing, modelRoute, modelsRoute } from "./ListingRoutes.ts"
import { discardBody } from "./listener/RequestBody.ts"
import { PlainSurface, type ProxyTarget } from "./proxied/PlainSurface.ts"
import { ProxiedExchange } from "./proxied/ProxiedExchange.ts"
import type { RequestContext } from "./RequestContext.ts"
import { judgedPath, withoutSlash } from "./RequestPath.ts"
import { labelOf, type Matched, matchOf, type Place, type Provider, placeOf, type RouteShape, shapeOf } from "./RoutePlace.ts"
import type { Services } from "./Services.ts"
import { systemRoutes } from "./SystemRoutes.ts"

/** Routes of a surface that another module brings (translators, the console). True: it was theirs. */
export interface RouteModule {
  /** Prepares a request that is refused before it is routed: its error comes in this surface's form. */
  readonly dress?: (context: RequestContext, path: string) => void
  readonly handle: (services: Services, context: RequestContext, path: string) => boolean
  /** The surface of a path that is proxied; `undefined`: the plain one. */
  readonly surfaceOf?: (path: string) => ProxyTarget["surface"]
  /** Below `/olla/proxy` (no scope) and below a provider's prefix: `path` is what follows. True: it was theirs. */
  readonly below?: (context: RequestContext, scope: ProviderScope | undefined, path: string) => boolean
}

type RefusedPaths = Profile["refusedPaths"]

/** Why a path is refused; `undefined`: it is not. */
const refusalIn = (paths: RefusedPaths, path: string): string | undefined =>
  paths.find(([refused]) => (refused.endsWith("*") ? path.startsWith(refused.slice(0, -1)) : path === refused))?.[1]

const refuseMethod = (context: RequestContext): void => context.error("method", { allow: "GET or HEAD" }, ["Allow", "GET, HEAD"])

/** Methods of a document; OPTIONS is answered like GET. */
const isReading = (method: string): boolean => method === "GET" || method === "HEAD" || method === "OPTIONS"

/** Paths that are remembered, and their longest, in characters. */
const maxKnown = 1_000
const longestKnown = 200

/** A request at its row. `raw`: its whole path as sent. */
interface Arrival {
  readonly context: RequestContext
  readonly place: Place
  readonly matched: Matched
  /** What is found out about the path holds whatever the method. */
  readonly raw: string | undefined
}

type Handler = (arrival: Arrival) => void

const rows: ReadonlyArray<{ readonly name: RoutedName; readonly shape: RouteShape; readonly readOnly: boolean; readonly others: string }> =
  routedNames.map((name) => {
    const { path, methods, others } = backendRoutes[name]
    return { name, shape: shapeOf(path), readOnly: methods.length === 1, others }
  })

export class Routes {
  readonly #services: Services
  readonly #modules: ReadonlyArray<RouteModule>
  /** By raw segment; only segments that resolve are kept, so it is bounded by the profiles' prefixes and their spellings. */
  readonly #providers = new Map<string, Provider>()
  /** What was found out about paths without escapes that are proxied, whatever the method: clients ask for the same few. */
  readonly #known = new Map<string, ProxyTarget>()

  /** The profiles that the remembered answers were found with. */
  #foundIn: ReadonlyArray<Profile>
  #refusedEverywhere: RefusedPaths
  readonly #handlers: Readonly<Record<RoutedName, Handler>>

  constructor(services: Services, modules: ReadonlyArray<RouteModule>) {
    this.#services = services
    this.#foundIn = services.profiles.all
    this.#refusedEverywhere = this.#foundIn.flatMap(({ refusedEverywhere }) => refusedEverywhere)
    this.#modules = modules
    const one = this.#local(({ context, place, matched: { format, id } }) =>
      listedModel(services, context, place.provider?.scope, format, id)
    )
    const list = this.#local(({ context, place, matched: { format } }) => listing(services, context, place.provider?.scope, format))
    const forward: Handler = (arrival) => this.#forward(arrival)
    this.#handlers = {
      models: this.#local(({ context }) => modelsRoute(services, context)),
      model: this.#local(({ context, matched: { id } }) => modelRoute(services, context, id)),
      proxyModels: list,
      proxyModel: one,
      proxy: forward,
      providerModels: list,
      providerModel: one,
      provider: forward
    }
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
          if (route.anyMethod || isReading(context.exchange.method)) route.handle(services, context)
          else refuseMethod(context)
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
    // Where endpoints are below a path may change at any time.
    if (known?.path !== undefined && this.#refusalBelow(known.scope, known.path) === undefined) {
      this.#proxy(context, known)
      return true
    }
    const { method } = context.exchange
    const place = placeOf(
      path,
      raw,
      (segment) => this.#provider(segment),
      (rest) => services.profiles.forPath(rest).size > 0
    )
    let holdsForAll = raw === path
    for (const { name, shape, readOnly, others } of rows) {
      const matched = matchOf(shape, place)
      if (matched === undefined) continue
      if (readOnly && !isReading(method) && others !== "answered") {
        if (others === "refused") {
          discardBody(services.guard, context, () => refuseMethod(context))
          return true
        }
        holdsForAll = false
        continue
      }
      this.#handlers[name]({ context, place, matched, raw: holdsForAll ? raw : undefined })
      return true
    }
    return false
  }

  /** What Olla answers itself; the body is of no interest. */
  #local(answer: (arrival: Arrival) => void): Handler {
    return (arrival) => discardBody(this.#services.guard, arrival.context, () => answer(arrival))
  }

  #forward({ context, place, raw }: Arrival): void {
    const services = this.#services
    const { provider, rest, sent } = place
    const path = withoutSlash(rest)
    const what = this.#refusal(provider?.scope, path) ?? this.#refusalBelow(provider?.scope, path)
    if (what !== undefined) {
      discardBody(services.guard, context, () => context.error("notSupported", { what }))
      return
    }
    // As it would be sent: a backend may read an encoded spelling as another path.
    if (provider?.scope.profile.enforcePaths === true && !provider.paths.has(sent)) {
      context.error("pathNotServed", { path: sent, provider: provider.scope.label })
      return
    }
    const scope = provider?.scope
    if (this.#modules.some((module) => module.below?.(context, scope, path) === true)) return
    const target = this.#targetOf(scope, sent, rest)
    if (raw !== undefined) this.#remember(raw, target)
    this.#proxy(context, target)
  }

  #targetOf(scope: ProviderScope | undefined, target: string, path: string): ProxyTarget {
    for (const module of this.#modules) {
      const surface = module.surfaceOf?.(path)
      if (surface !== undefined) return { scope, target, path, surface }
    }
    return { scope, target, path }
  }

  /** By the kind itself; or by any kind, whatever the prefix, but for kinds that declare the path as their own. */
  #refusal(scope: ProviderScope | undefined, path: string): string | undefined {
    const own = scope === undefined ? undefined : refusalIn(scope.profile.refusedPaths, path)
    return own ?? (scope?.profile.paths.includes(path) === true ? undefined : refusalIn(this.#refusedEverywhere, path))
  }

  /** The same of what endpoints would be asked for whose URL has a path that is kept: `/pull` below `/api`. */
  #refusalBelow(scope: ProviderScope | undefined, path: string): string | undefined {
    for (const endpoint of this.#services.fleet.endpoints) {
      const { basePath } = endpoint.origin
      if (!endpoint.preservePath || basePath === "" || basePath === "/") continue
      const what = this.#refusal(scope, judgedPath(outboundPath(path, basePath, true, endpoint.profile?.paths)))
      if (what !== undefined) return what
    }
    return undefined
  }

  #forget(): void {
    this.#providers.clear()
    this.#known.clear()
    this.#foundIn = this.#services.profiles.all
    this.#refusedEverywhere = this.#foundIn.flatMap(({ refusedEverywhere }) => refusedEverywhere)
  }

  #proxy(context: RequestContext, to: ProxyTarget): void {
    const { query } = context.exchange
    const target = query === "" ? to : { ...to, target: `${to.target}?${query}` }
    const surface = target.surface?.(context, target) ?? new PlainSurface(this.#services, context, target)
    new ProxiedExchange(this.#services, context, surface).start()
  }

  #remember(raw: string, target: ProxyTarget): void {
    if (raw.length <= longestKnown && this.#known.size < maxKnown) this.#known.set(raw, target)
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

/** A segment has routes only as a prefix of the profile, or its name, as written. */
const isRegistered = (profile: Profile, segment: string): boolean => profile.prefixes.includes(segment) || profile.name === segment
