/** Routes of the Responses API beside its turns: kept answers, compaction, and what becomes of its websocket. */
import { errorBody } from "../translation/openai/OpenAiErrors.ts"
import type { ResponseOwners } from "../translation/responses/ResponseOwners.ts"
import { discardBody } from "./listener/RequestBody.ts"
import { KeptResponseSurface, NativeResponsesSurface } from "./proxied/KeptResponseSurface.ts"
import type { ProxyTarget } from "./proxied/PlainSurface.ts"
import { ProxiedExchange } from "./proxied/ProxiedExchange.ts"
import type { Surface } from "./proxied/Surface.ts"
import type { ErrorRenderer, RequestContext } from "./RequestContext.ts"
import { withoutSlash } from "./RequestPath.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"

const keptMethods = ["GET", "POST", "DELETE"]

const errors: ErrorRenderer = ({ exchange: { id } }, status, message, code) => ({
  contentType: "application/json",
  // Without a code of its own a 404 would speak of models.
  body: errorBody(status, message, id, code !== null ? { code } : status === 404 ? { code: "not_found" } : undefined)
})

/** `id`: of the answer that a path is about. */
const keptIn = (path: string): { readonly id: string } | undefined => {
  const [, id] = /^(?:\/v1)*\/responses\/([^/]+)(?:\/(?:cancel|input_items))?$/.exec(path) ?? []
  return id === undefined || id === "input_tokens" || id === "compact" ? undefined : { id }
}

const isCompaction = (path: string): boolean => /^(?:\/v1)*\/responses\/compact$/.test(path)

/** As servers have it. */
const versioned = (path: string): string => path.replace(/^(?:\/v1)*(?=\/)/, "/v1")

export const responsesRoutes = (services: Services, owners: ResponseOwners): RouteModule => {
  const isOn = (): boolean => services.settings.current().translators.responses.enabled

  const proxy = (context: RequestContext, scope: ProxyTarget["scope"], path: string, make: (target: ProxyTarget) => Surface): void => {
    const { query } = context.exchange
    context.errors = errors
    const target: ProxyTarget = { scope, target: `${versioned(path)}${query === "" ? "" : `?${query}`}`, path: undefined }
    new ProxiedExchange(services, context, make(target)).start()
  }

  const compact = (context: RequestContext, scope: ProxyTarget["scope"], path: string): void =>
    proxy(context, scope, path, (target) => new NativeResponsesSurface(services, context, target))

  const refuse = (context: RequestContext, allow: ReadonlyArray<string>): void =>
    discardBody(services.guard, context, () => context.error("method", { allow: allow.join(" or ") }, ["Allow", allow.join(", ")]))

  /** At the root, or below `/olla`. */
  const shortOf = (path: string): string | undefined => {
    if (!isOn()) return undefined
    const below = path.startsWith("/olla/")
    if (!below && !services.settings.current().server.root_routes) return undefined
    return withoutSlash(below ? path.slice("/olla".length) : path)
  }

  return {
    below: (context, scope, path) => {
      if (!isOn()) return false
      const { method } = context.exchange
      if (method === "POST" && isCompaction(path)) {
        compact(context, scope, path)
        return true
      }
      const owner = keptMethods.includes(method) ? owners.of(keptIn(path)?.id ?? "") : undefined
      if (owner === undefined) return false
      proxy(context, scope, path, (target) => new KeptResponseSurface(services, context, target, owner))
      return true
    },
    handle: (_services, context, path) => {
      const rest = shortOf(path)
      if (rest === undefined) return false
      const { method } = context.exchange
      if (/^(?:\/v1)*\/responses$/.test(rest)) {
        // Codex then goes on over HTTP. What to upgrade to has to be named (RFC 9110 15.5.22).
        if (method !== "GET" || context.header("upgrade").toLowerCase() !== "websocket") return false
        context.errors = errors
        discardBody(services.guard, context, () => context.error("noWebSocket", {}, ["Upgrade", "HTTP/1.1", "Connection", "Upgrade"]))
        return true
      }
      if (isCompaction(rest)) {
        context.errors = errors
        if (method === "POST") compact(context, undefined, rest)
        else refuse(context, ["POST"])
        return true
      }
      const kept = keptIn(rest)
      if (kept === undefined) return false
      context.errors = errors
      const owner = owners.of(kept.id)
      if (!keptMethods.includes(method)) refuse(context, keptMethods)
      else if (owner === undefined) discardBody(services.guard, context, () => context.error("noSuchResponse"))
      else proxy(context, undefined, rest, (target) => new KeptResponseSurface(services, context, target, owner))
      return true
    }
  }
}
