/**
 * What every request passes before its route: its client, CORS and cross-site checks, malformed heads, the gate of the internal
 * routes. And what happens after it: the records of the request, and the answer to faults of ours.
 */
import { performance } from "node:perf_hooks"
import { Exchange } from "../exchange/Exchange.ts"
import { traceIdOf } from "../exchange/TraceContext.ts"
import { isAboutToken } from "../guard/AccessPolicy.ts"
import { isInternalPath } from "../guard/Cors.ts"
import { identifyClient } from "./AccessRefusals.ts"
import { isActionPath } from "./ActionPath.ts"
import type { ErrorName } from "./ErrorTable.ts"
import type { OpenResponse } from "./listener/OpenResponse.ts"
import { requestId } from "./listener/RequestId.ts"
import type { RequestMessage } from "./listener/RequestMessage.ts"
import { isLocal, unixPeer } from "./listener/UnixSocket.ts"
import { RequestContext, type RequestEvents } from "./RequestContext.ts"
import { judgedPath, sentPath } from "./RequestPath.ts"
import { type RouteModule, Routes } from "./Routes.ts"
import type { Services } from "./Services.ts"

/** Methods that at least one route accepts. */
export const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

/** Characters of a refused `Host` that are told back: more than any name has. */
const mostHostShown = 260

/** Path and query of a request target; an absolute one is read like its path. */
const targetOf = (url: string): { readonly path: string; readonly query: string } => {
  const origin = url.startsWith("/") ? url : url.replace(/^[a-z]+:\/\/[^/?]*/i, "") || "/"
  const hash = origin.indexOf("#")
  const target = hash < 0 ? origin : origin.slice(0, hash)
  const mark = target.indexOf("?")
  return mark < 0 ? { path: target, query: "" } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

/** A client that leaves during its answer is noticed by the response's `close`, not by this error. */
const ignore = (): void => {}

export class Front implements RequestEvents {
  readonly #services: Services
  readonly #modules: ReadonlyArray<RouteModule>
  readonly #routes: Routes

  constructor(services: Services, modules: ReadonlyArray<RouteModule>) {
    this.#services = services
    this.#modules = modules
    this.#routes = new Routes(services, modules)
  }

  handle(req: RequestMessage, res: OpenResponse): void {
    const accepted = performance.now()
    const { guard } = this.#services
    const { head } = req
    const client = guard.clientOf(isLocal(req.socket) ? unixPeer : req.socket.remoteAddress, req.rawHeaders)
    const { path, query } = targetOf(req.url ?? "/")
    const exchange = new Exchange({
      id: requestId(head.requestId),
      method: req.method ?? "GET",
      path,
      query,
      peer: client.peer,
      clientIp: client.ip,
      startedAt: Date.now(),
      accepted
    })
    if ("encrypted" in req.socket) exchange.scheme = "https"
    exchange.traceId = traceIdOf(head.traceparent)
    const context = new RequestContext(req, res, exchange, client.trustedPeer, this)
    res.context = context
    res.on("error", ignore)
    try {
      this.#answer(context)
    } catch (error) {
      context.fault(error)
    }
  }

  #answer(context: RequestContext): void {
    const { guard, log, logsRequests } = this.#services
    const { exchange, head, req } = context
    // What is judged is what would be sent: neither an encoded nor a doubled slash hides a route.
    const sent = sentPath(exchange.path)
    const path = judgedPath(sent)
    // Actions have stricter rules of their own: no web page is ever allowed one, whatever CORS says.
    const isAction = isActionPath(path)
    if (!isAction && guard.corsEnabled()) {
      const preflight = guard.preflight(exchange.method, path, req.rawHeaders)
      if (preflight !== undefined) {
        context.answer(204, "", "", preflight)
        return
      }
      for (const part of guard.corsHeaders(exchange.method, path, head.origin || undefined)) context.extra.push(part)
    }
    if (logsRequests()) {
      context.record = { exchange, remote: `${exchange.peer}:${req.socket.remotePort ?? 0}`, header: (name) => context.header(name) }
      log.started(context.record)
    }
    if (!isAction && guard.crossSite(path, head.host || undefined, head.origin || undefined) !== undefined) {
      this.#refuse(context, path, "crossSite")
      return
    }
    if (head.problem !== undefined) {
      this.#refuse(context, path, head.problem, ["Connection", "close"])
      return
    }
    // TRACE echoes the request, including credentials that were added on the way.
    if (exchange.method === "TRACE") {
      this.#refuse(context, path, "method", ["Allow", allowed], { allow: allowed })
      return
    }
    if (!isAction && !path.startsWith("/olla/")) {
      const denial = guard.gate(exchange, path, head.host || undefined, req.rawHeaders)
      if (denial !== undefined) {
        if (isAboutToken(denial)) context.error("tokenNeeded", {}, ["WWW-Authenticate", 'Bearer realm="olla"'])
        else context.error("gated", { reason: denial.reason, ip: exchange.peer, host: head.host.slice(0, mostHostShown) })
        return
      }
    }
    if (!isInternalPath(path) && !identifyClient(this.#services, context, () => this.#dress(context, path))) return
    this.#routes.handle(context, sent, path)
  }

  /** In the dialect of the surface that the path belongs to. */
  #refuse(
    context: RequestContext,
    path: string,
    name: ErrorName,
    headers: ReadonlyArray<string> = [],
    values: Readonly<Record<string, string>> = {}
  ): void {
    this.#dress(context, path)
    context.error(name, values, headers)
  }

  #dress(context: RequestContext, path: string): void {
    for (const module of this.#modules) module.dress?.(context, path)
  }

  isTraced({ exchange, owner }: RequestContext): boolean {
    return owner !== undefined && this.#services.tracing.isSure(exchange)
  }

  refused({ exchange }: RequestContext, status: number): void {
    // An exchange that was rejected on its way to a backend is counted by its observer.
    if (exchange.outcome === undefined) this.#services.statistics.rejected(status)
  }

  closed({ answered, exchange, record, res }: RequestContext): void {
    if (record === undefined) return
    const status = res.headersSent ? res.statusCode : 499
    // After failed attempts Olla's own answer is all that the client got.
    const responseBytes = answered > 0 ? answered : (exchange.lastAttempt?.bytes ?? 0)
    this.#services.log.access({ ...record, status, responseBytes })
  }

  faulted({ exchange }: RequestContext, detail: string): void {
    this.#services.journal.write("error", "A request ended in a fault", { request_id: exchange.id, error: detail })
  }
}
