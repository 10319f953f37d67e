/** Routes of Ollama's API beside its turns: lists, one model, what is loaded, the version, embeddings, and what cannot be managed here. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { listedFor, modelsOfInventory } from "../catalogue/Listing.ts"
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { ProviderScope } from "../routing/Router.ts"
import type { EmbeddingsClient } from "../translation/Embeddings.ts"
import { discardBody } from "./listener/RequestBody.ts"
import { loadedEntries, showDocument, tagsDocument } from "./OllamaDocuments.ts"
import { loadedEverywhere, versionEverywhere } from "./OllamaServers.ts"
import { EmbeddingsSurface } from "./proxied/EmbeddingsSurface.ts"
import { PlainSurface, type ProxyTarget } from "./proxied/PlainSurface.ts"
import { ProxiedExchange } from "./proxied/ProxiedExchange.ts"
import { ShowSurface } from "./proxied/ShowSurface.ts"
import { admitLocal } from "./RateRefusal.ts"
import type { ErrorRenderer, RequestContext } from "./RequestContext.ts"
import { withoutSlash } from "./RequestPath.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"
import { keepPrivate, permitOf, visibleSnapshot } from "./VisibleModels.ts"

const ollamaErrors: ErrorRenderer = (_context, _status, message) => ({
  contentType: "application/json",
  body: JSON.stringify({ error: message })
})

const embeddings: ReadonlyMap<string, EmbeddingsClient> = new Map([
  ["/v1/embeddings", "openai"],
  ["/api/embed", "ollama"],
  ["/api/embeddings", "ollamaOne"]
])

const managing = /^\/api\/(?:(?:pull|push|create|copy|delete|list)$|blobs\/)/

/** Some are asked of servers first. */
type Document = (services: Services, context: RequestContext) => Effect.Effect<unknown>

const everything = ({ catalogue, settings }: Services, context: RequestContext): ReadonlyArray<UnifiedModel> => {
  const snapshot = visibleSnapshot(catalogue.snapshot(), permitOf(context))
  const models = settings.current().model_registry.enable_unifier ? snapshot.unified : modelsOfInventory(snapshot.inventory)
  return listedFor(models, undefined, { servableOnly: true })
}

/** By the names that any endpoint has for it, in any case. */
const modelNamed = (services: Services, context: RequestContext, name: string): UnifiedModel | undefined => {
  const snapshot = services.catalogue.snapshot()
  const low = name.toLowerCase()
  const holders = (snapshot.alias(name)?.offer ?? snapshot.offer(name))?.holders ?? []
  const native = new Set([low, ...holders.map(({ nativeName }) => nativeName.toLowerCase())])
  return everything(services, context).find(({ sources }) => sources.some((source) => native.has(source.nativeName.toLowerCase())))
}

const tags: Document = (services, context) => Effect.sync(() => tagsOf(services, context))

const tagsOf = (services: Services, context: RequestContext): unknown => {
  const permit = permitOf(context)
  const snapshot = services.catalogue.snapshot()
  const aliases = Object.keys(services.settings.current().model_aliases).flatMap(
    (alias): ReadonlyArray<readonly [string, UnifiedModel]> => {
      const isServed =
        permit?.mayAsk(snapshot, alias) !== false &&
        snapshot.alias(alias)?.offer.holders.some(({ endpoint }) => isRoutable(endpoint.state.status)) === true
      const model = isServed ? modelNamed(services, context, alias) : undefined
      return model === undefined ? [] : [[alias, model]]
    }
  )
  return tagsDocument(everything(services, context), aliases)
}

const documents: ReadonlyMap<string, Document> = new Map<string, Document>([
  ["/api/tags", tags],
  ["/api/version", versionEverywhere],
  [
    "/api/ps",
    (services, context) => {
      const permit = permitOf(context)
      const others = loadedEntries(everything(services, context), services.settings.current().translation.assumed_context)
      return loadedEverywhere(
        services,
        others,
        (name, endpoint) => permit === undefined || (permit.allowsEndpoint(endpoint) && permit.allowsModel(name, ""))
      )
    }
  ]
])

export const ollamaRoutes = (services: Services): RouteModule & Required<Pick<RouteModule, "surfaceOf">> => {
  const isOn = () => services.settings.current().translators.ollama.enabled

  const surfaceOf = (path: string): ProxyTarget["surface"] => {
    const client = embeddings.get(path)
    if (client !== undefined) return (context, target) => new EmbeddingsSurface(services, context, target, client)
    if (path !== "/api/show") return undefined
    return (context, target) => {
      if (context.exchange.method !== "POST") return new PlainSurface(services, context, target)
      const { assumed_context: assumed } = services.settings.current().translation
      return new ShowSurface(services, context, target, (name) => {
        const model = modelNamed(services, context, name)
        return model === undefined ? undefined : showDocument(model, name, assumed)
      })
    }
  }

  const proxy = (context: RequestContext, scope: ProviderScope | undefined, path: string): void => {
    const { query } = context.exchange
    const target: ProxyTarget = { scope, target: query === "" ? path : `${path}?${query}`, path }
    new ProxiedExchange(services, context, surfaceOf(path)?.(context, target) ?? new PlainSurface(services, context, target)).start()
  }

  const document = (context: RequestContext, make: Document): void => {
    if (admitLocal(services.guard, context))
      discardBody(services.guard, context, () => {
        keepPrivate(context)
        const answering = Effect.map(make(services, context), (made) => {
          if (!context.res.destroyed) context.json(made)
        })
        services.fork(Effect.catchCause(answering, (cause) => Effect.sync(() => context.fault(Cause.squash(cause)))))
      })
  }

  const restOf = (path: string): string | undefined => {
    if (!isOn()) return undefined
    const below = path.startsWith("/olla/")
    if (!below && !services.settings.current().server.root_routes) return undefined
    const rest = withoutSlash(below ? path.slice("/olla".length) : path)
    return rest.startsWith("/api/") ? rest : undefined
  }

  const isReading = (method: string): boolean => method === "GET" || method === "HEAD"

  return {
    surfaceOf: (path) => (isOn() ? surfaceOf(path) : undefined),
    dress: (context, path) => {
      if (restOf(path) !== undefined) context.errors = ollamaErrors
    },
    below: (context, scope, path) => {
      if (scope !== undefined || path !== "/api/tags" || !isReading(context.exchange.method) || !isOn()) return false
      document(context, tags)
      return true
    },
    handle: (_services, context, path) => {
      const rest = restOf(path)
      if (rest === undefined) return false
      const make = documents.get(rest)
      const isPosted = rest === "/api/show" || embeddings.has(rest)
      const refuse = (allow: string) =>
        discardBody(services.guard, context, () => context.error("method", { allow: allow.replace(", ", " or ") }, ["Allow", allow]))
      if (make === undefined && !isPosted && !managing.test(rest)) return false
      context.errors = ollamaErrors
      const { method } = context.exchange
      if (make !== undefined) {
        if (isReading(method) || method === "OPTIONS") document(context, make)
        else refuse("GET, HEAD")
      } else if (!isPosted)
        discardBody(services.guard, context, () =>
          context.error("notSupported", { what: "model management operations not supported by proxy" })
        )
      else if (method === "POST") proxy(context, undefined, rest)
      else refuse("POST")
      return true
    }
  }
}
