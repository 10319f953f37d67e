/**
 * One base URL for every client: the short paths that APIs are known by, at the root (unless `server.root_routes` is off) and below
 * `/olla`. What a model server answers goes through the same walk as below `/olla/proxy`; lists are Olla's own.
 */
import { renderError } from "./ErrorTable.ts"
import { listedModel, namesListing } from "./ListingRoutes.ts"
import { discardBody } from "./listener/RequestBody.ts"
import { PlainSurface, type ProxyTarget } from "./proxied/PlainSurface.ts"
import { ProxiedExchange } from "./proxied/ProxiedExchange.ts"
import { admitLocal } from "./RateRefusal.ts"
import type { ErrorRenderer, RequestContext } from "./RequestContext.ts"
import { withoutSlash } from "./RequestPath.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"
import { modelById, modelsPage } from "./TranslatorModels.ts"
import { welcome } from "./Welcome.ts"

/** As clients of OpenAI's API read errors, whatever they say that they accept. */
const openAiErrors: ErrorRenderer = (_context, status, message, code) => renderError(status, message, code, "application/json")

/** Paths that clients with a base URL without `/v1` ask for. */
const unversioned = new Set(["/chat/completions", "/completions", "/embeddings", "/models"])

/** Below the base, with the one `/v1` that clients put too many or too few. */
const versioned = (rest: string): string => {
  const once = rest.replace(/^(?:\/v1)+(?=\/)/, "/v1")
  return unversioned.has(once) || once.startsWith("/models/") ? `/v1${once}` : once
}

const readingMethods = new Set(["GET", "HEAD", "OPTIONS"])

/** `surfaceOf`: as below `/olla/proxy`. */
export const rootRoutes = (surfaceOf: (path: string) => ProxyTarget["surface"]): RouteModule => ({
  dress: (context, path) => {
    if (/^(?:\/olla)?\/v1\//.test(path)) context.errors = openAiErrors
  },
  handle: (services, context, path) => {
    const below = path.startsWith("/olla/")
    if (!below && !services.settings.current().server.root_routes) return false
    if (path === "/") return answerRoot(services, context)
    const rest = versioned(withoutSlash(below ? path.slice("/olla".length) : path))
    if (rest === "/v1/models" || rest.startsWith("/v1/models/")) {
      context.errors = openAiErrors
      models(services, context, rest.slice("/v1/models/".length))
      return true
    }
    // Without the dialect, nothing of it is here.
    if (/^\/v1\/messages(?:\/|$)/.test(rest)) return false
    if (!rest.startsWith("/v1/") || services.profiles.forPath(rest).size === 0) return false
    context.errors = openAiErrors
    if (context.exchange.method === "POST") relay(services, context, rest, surfaceOf(rest))
    else refuseMethod(services, context, "POST")
    return true
  }
})

/** Ollama's clients look there whether it runs; people get a page. */
const answerRoot = (services: Services, context: RequestContext): boolean => {
  const { method } = context.exchange
  if (!readingMethods.has(method)) return false
  discardBody(services.guard, context, () => welcome(context))
  return true
}

const relay = (services: Services, context: RequestContext, path: string, surface: ProxyTarget["surface"]): void => {
  const { query } = context.exchange
  const target: ProxyTarget = { scope: undefined, target: query === "" ? path : `${path}?${query}`, path }
  new ProxiedExchange(services, context, surface?.(context, target) ?? new PlainSurface(services, context, target)).start()
}

/** OpenAI's list, or Anthropic's for a client that says which version of that API it speaks. `id`: of one model; empty: the list. */
const models = (services: Services, context: RequestContext, id: string): void => {
  if (!readingMethods.has(context.exchange.method)) {
    refuseMethod(services, context, "GET, HEAD")
    return
  }
  if (!admitLocal(services.guard, context)) return
  const isAnthropic = context.header("anthropic-version") !== ""
  discardBody(services.guard, context, () => {
    if (id !== "") {
      if (isAnthropic) modelById(services, context, id)
      else listedModel(services, context, undefined, "openai", id)
    } else if (isAnthropic) modelsPage(services, context)
    // Codex reads a catalogue beside the list, and takes an empty one for none: it keeps its own prompts.
    else namesListing(services, context, new URLSearchParams(context.exchange.query).has("client_version"))
  })
}

const refuseMethod = (services: Services, context: RequestContext, allow: string): void =>
  discardBody(services.guard, context, () => context.error("method", { allow: allow.replace(", ", " or ") }, ["Allow", allow]))
