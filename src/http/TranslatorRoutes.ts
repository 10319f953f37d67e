/**
 * The routes of every translator, matched and prepared: methods, and errors in the dialect's form. Each kind of route is a surface in
 * `proxied/`. What an API looks like is said in `translation/`; nothing here knows one.
 */
import { Inspector } from "../translation/Inspector.ts"
import type { Translator, TranslatorRoute } from "../translation/Translator.ts"
import { isOfKeys } from "./ErrorTable.ts"
import { discardBody } from "./listener/RequestBody.ts"
import { CountSurface } from "./proxied/CountSurface.ts"
import { ProxiedExchange } from "./proxied/ProxiedExchange.ts"
import type { Surface } from "./proxied/Surface.ts"
import { TranslatedSurface } from "./proxied/TranslatedSurface.ts"
import { admitLocal } from "./RateRefusal.ts"
import type { ErrorRenderer, RequestContext } from "./RequestContext.ts"
import { withoutSlash } from "./RequestPath.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"
import { modelById, modelsPage } from "./TranslatorModels.ts"

type Named = Exclude<TranslatorRoute, { readonly kind: "absent" }>

interface Match {
  readonly base: string
  readonly route: Named | "absent" | undefined
  /** Below the base, without the slash at its end. */
  readonly rest: string
}

const versioned = (path: string): string => path.replace(/^(?:\/v1)*(?=\/)/, "/v1")

/** A base that nobody else has routes below, as `/olla/anthropic`. */
const isOwn = (base: string): boolean => base.split("/").length > 2

export const translatorRoutes = (services: Services, translator: Translator): RouteModule => {
  const config = () => services.settings.current().translators[translator.name]
  const files = inspectors(services, translator)
  const proxy = (context: RequestContext, surface: Surface): void => new ProxiedExchange(services, context, surface).start()
  const named = translator.routes.filter((route) => route.kind !== "absent")
  const absent = translator.routes.filter((route) => route.kind === "absent")

  const routeOf = (path: string): Named | "absent" | undefined =>
    named.find((route) =>
      route.kind === "model" ? path.startsWith(route.path) && path.length > route.path.length : path === route.path
    ) ?? (absent.some((route) => route.path.test(path)) ? "absent" : undefined)

  /** Also with one `/v1` too many or too few, as base URLs of clients have it. */
  const forgiven = (path: string): Named | undefined => {
    const route = routeOf(path) ?? routeOf(versioned(path))
    return route === "absent" ? undefined : route
  }

  const turnOf = (path: string): Named | undefined => {
    const route = forgiven(path)
    return route?.kind === "create" || route?.kind === "count" ? route : undefined
  }

  /** Of a base that others have routes below: only where the path begins as one of this API's turns. */
  const absentOf = (path: string): "absent" | undefined =>
    named.some((route) => route.kind === "create" && path.startsWith(`${route.path}/`)) && routeOf(path) === "absent" ? "absent" : undefined

  const dispatch = (context: RequestContext, route: Named, path: string): void => {
    switch (route.kind) {
      case "create":
        proxy(context, new TranslatedSurface(services, context, translator, files()))
        break
      case "count":
        proxy(context, new CountSurface(services, context, translator))
        break
      case "models":
        if (admitLocal(services.guard, context)) discardBody(services.guard, context, () => modelsPage(services, context))
        break
      case "model":
        if (admitLocal(services.guard, context))
          discardBody(services.guard, context, () => modelById(services, context, versioned(path).slice(route.path.length)))
        break
      case "root":
        discardBody(services.guard, context, () => context.json({ status: "ok" }))
        break
    }
  }

  const errors: ErrorRenderer = (context, status, message, code) => ({
    contentType: "application/json",
    body: translator.errorBody(
      status,
      message,
      context.exchange.id,
      isOfKeys(code) && translator.name !== "anthropic" ? { code } : undefined
    )
  })

  /**
   * Where a request stands: at a route, or at none below a base that is the translator's alone (`undefined`). There GET and HEAD
   * get the plain 404 of every unknown page.
   */
  const match = (path: string, method: string): Match | undefined => {
    const { enabled } = config()
    if (!enabled) return undefined
    for (const base of translator.bases) {
      const isBelow = path === base || path.startsWith(`${base}/`)
      if (!isBelow || (base === "" && !services.settings.current().server.root_routes)) continue
      const rest = path === `${base}/` ? "/" : withoutSlash(path).slice(base.length)
      const route = isOwn(base) ? (routeOf(rest) ?? forgiven(rest)) : (turnOf(rest) ?? absentOf(rest))
      if (route !== undefined || (isOwn(base) && method !== "GET" && method !== "HEAD")) return { base, route, rest }
    }
    return undefined
  }

  const dress = (context: RequestContext): void => {
    context.extra.push("request-id", context.exchange.id)
    context.errors = errors
  }

  return {
    below: (context, scope, path) => {
      const { enabled } = config()
      const route = enabled && context.exchange.method === "POST" ? turnOf(path) : undefined
      if (route === undefined) return false
      // Who speaks nothing else has its own errors.
      if (scope !== undefined && !scope.inclusive && translator.isAllThatIsSpokenBy(scope.profile)) return false
      context.errors = errors
      const surface =
        route.kind === "create"
          ? new TranslatedSurface(services, context, translator, files(), scope)
          : new CountSurface(services, context, translator, scope)
      proxy(context, surface)
      return true
    },
    dress: (context, path) => {
      if (match(path, context.exchange.method) !== undefined) dress(context)
    },
    handle: (_services, context, path) => {
      const matched = match(path, context.exchange.method)
      if (matched === undefined) return false
      const { base, route, rest } = matched
      dress(context)
      if (route === undefined)
        discardBody(services.guard, context, () =>
          context.error("wrongBase", { path, base: `${schemeOf(context)}://${context.head.host}${base}` })
        )
      else if (route === "absent") discardBody(services.guard, context, () => context.error("notOffered", { path: rest }))
      else if (answers(route, context.exchange.method)) dispatch(context, route, rest)
      else
        discardBody(services.guard, context, () =>
          context.error("method", { allow: route.methods.join(" or ") }, ["Allow", route.methods.join(", ")])
        )
      return true
    }
  }
}

/** HEAD and OPTIONS are answered wherever GET is. */
const answers = ({ methods }: Named, method: string): boolean =>
  methods.includes(method) || (method === "OPTIONS" && methods.includes("GET"))

/** As the client sees it, as far as that is known. */
const schemeOf = (context: RequestContext): string =>
  context.header("x-forwarded-proto").toLowerCase() === "https" ? "https" : context.exchange.scheme

/** The inspector as configured now; another configuration makes another one. */
const inspectors = (services: Services, translator: Translator): (() => Inspector | undefined) => {
  let made: { readonly from: object; readonly inspector: Inspector } | undefined
  return () => {
    const from = services.settings.current().translators[translator.name].inspector
    if (!from.enabled) return undefined
    if (made?.from !== from) {
      const inspector = new Inspector({
        outputDir: from.output_dir === "" ? "./inspector-logs" : from.output_dir,
        sessionHeader: from.session_header.trim() === "" ? "X-Session-ID" : from.session_header.trim(),
        redact: from.redact,
        warn: (message, fields) => services.journal.write("warn", message, fields)
      })
      made = { from, inspector }
    }
    return made.inspector
  }
}
