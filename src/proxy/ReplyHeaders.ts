/** What the client gets of a backend's headers, and what Olla adds (proxying.md 11.1, http-api.md 9 and 17.19 to 17.21). */
import { performance } from "node:perf_hooks"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Exchange } from "../exchange/Exchange.ts"
import { build } from "../version.ts"
import { asHeader, CONNECTION, CORS, namedByConnection, PASS, responseRule, VARY, VIA } from "./HeaderRules.ts"

const servedBy = `${build.name}/${build.version}`
const via = `1.1 ${build.shortName}/${build.version}`

/** Headers that name the exchange and what was decided: also on errors, where nothing of a backend is known but its name. */
export const decisionHeaders = (exchange: Exchange, out: Array<string>): void => {
  if (exchange.model !== "") out.push("X-Olla-Model", asHeader(exchange.model))
  const verdict = exchange.verdict
  if (verdict === undefined) return
  out.push("X-Olla-Routing-Strategy", verdict.strategy, "X-Olla-Routing-Decision", verdict.action)
  if (verdict.reason !== "") out.push("X-Olla-Routing-Reason", asHeader(verdict.reason))
}

const stickyHeaders = (exchange: Exchange, out: Array<string>): void => {
  const sticky = exchange.sticky
  if (sticky === undefined) return
  out.push("X-Olla-Sticky-Session", sticky.outcome)
  if (sticky.source !== "none") out.push("X-Olla-Sticky-Key-Source", sticky.source)
  if (sticky.source === "session_header" && exchange.sessionId !== "") out.push("X-Olla-Session-ID", exchange.sessionId)
}

/**
 * Flat pairs for `writeHead`. `ours`: further headers of this answer (rate limit, CORS), which win over the backend's;
 * `corsOn`: the backend's own CORS headers are dropped.
 */
export const replyHeaders = (
  exchange: Exchange,
  endpoint: Endpoint,
  raw: ReadonlyArray<string>,
  ours: ReadonlyArray<string>,
  corsOn: boolean
): Array<string> => {
  const strip = endpoint.credentials.names
  const elapsed = Math.round(performance.now() - exchange.timings.accepted)
  const out: Array<string> = ["X-Served-By", servedBy, "X-Olla-Request-ID", exchange.id]
  out.push(
    "X-Olla-Endpoint",
    asHeader(endpoint.name),
    "X-Olla-Backend-Type",
    asHeader(endpoint.type),
    "X-Olla-Response-Time",
    `${elapsed}ms`
  )
  decisionHeaders(exchange, out)
  stickyHeaders(exchange, out)
  let backendVia = ""
  let vary = ""
  let named: Set<string> | undefined
  const from = out.length
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const rule = responseRule(name)
    if (rule === PASS || (rule === CORS && !corsOn)) {
      if (strip.size === 0 || !strip.has(name.toLowerCase())) out.push(name, raw[i + 1] as string)
    } else if (rule === VIA) backendVia = backendVia === "" ? (raw[i + 1] as string) : `${backendVia}, ${raw[i + 1]}`
    else if (rule === VARY) vary = vary === "" ? (raw[i + 1] as string) : `${vary}, ${raw[i + 1]}`
    else if (rule === CONNECTION) {
      const value = (raw[i + 1] as string).toLowerCase()
      if (value !== "keep-alive" && value !== "close") {
        named ??= new Set()
        namedByConnection(value, named)
      }
    }
  }
  if (named !== undefined) for (let i = out.length - 2; i >= from; i -= 2) if (named.has((out[i] as string).toLowerCase())) out.splice(i, 2)
  out.push("Via", backendVia === "" ? via : `${backendVia}, ${via}`)
  for (let i = 0; i + 1 < ours.length; i += 2) {
    if ((ours[i] as string).toLowerCase() === "vary") vary = vary === "" ? (ours[i + 1] as string) : `${vary}, ${ours[i + 1]}`
    else out.push(ours[i] as string, ours[i + 1] as string)
  }
  if (vary !== "" && !strip.has("vary")) out.push("Vary", vary)
  return out
}
