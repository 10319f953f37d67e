/** What the client gets of a backend's headers, and what Olla adds (docs/proxying.md, docs/http-api.md). */
import { performance } from "node:perf_hooks"
import type { Credentials, Endpoint } from "../endpoint/Endpoint.ts"
import type { Exchange, RoutingVerdict } from "../exchange/Exchange.ts"
import { headerValue } from "../exchange/RawHeaders.ts"
import { wantsOwnLine } from "../routing/PromptHygiene.ts"
import { build } from "../version.ts"
import { isWatched } from "./FlushMode.ts"
import { linesOf, type ReplyHead } from "./HeaderLines.ts"
import {
  ACCEL_BUFFERING,
  asHeader,
  CONNECTION,
  CORS,
  DATE,
  DROP,
  LENGTH,
  LOCATION,
  listed,
  namedByConnection,
  responseRule,
  VARY,
  VIA
} from "./HeaderRules.ts"
import { clientLocation } from "./Location.ts"
import { serverTiming } from "./ServerTiming.ts"

const ourVia = `1.1 ${build.shortName}/${build.version}`
const viaLine = `Via: ${ourVia}\r\n`
const idLine = `X-Served-By: ${build.name}/${build.version}\r\nX-Olla-Request-ID: `

/** Headers that name the exchange and what was decided: also on errors, where nothing of a backend is known but its name. */
export const decisionHeaders = (exchange: Exchange, out: Array<string>): void => {
  if (exchange.model !== "") out.push("X-Olla-Model", asHeader(exchange.model))
  const verdict = exchange.verdict
  if (verdict === undefined) return
  out.push("X-Olla-Routing-Strategy", verdict.strategy, "X-Olla-Routing-Decision", verdict.action)
  if (verdict.reason !== "") out.push("X-Olla-Routing-Reason", asHeader(verdict.reason))
  if (exchange.moved !== undefined) out.push("X-Olla-Fallback", exchange.moved.reason)
}

/** The last decision that was told: one model mostly comes after another of its kind. */
let toldModel = ""
let toldVerdict: Pick<RoutingVerdict, "strategy" | "action" | "reason"> | undefined
let toldLines = ""

const decisionLines = (exchange: Exchange): string => {
  const { model, verdict } = exchange
  const same =
    toldModel === model &&
    toldVerdict?.strategy === verdict?.strategy &&
    toldVerdict?.action === verdict?.action &&
    toldVerdict?.reason === verdict?.reason
  if (!same) {
    const pairs: Array<string> = []
    decisionHeaders(exchange, pairs)
    toldModel = model
    toldVerdict = verdict
    toldLines = linesOf(pairs)
  }
  return toldLines
}

const stickyLines = ({ sessionId, sticky }: Exchange): string => {
  if (sticky === undefined) return ""
  const pairs: Array<string> = ["X-Olla-Sticky-Session", sticky.outcome]
  if (sticky.source !== "none") pairs.push("X-Olla-Sticky-Key-Source", sticky.source)
  if (sticky.source === "session_header" && sessionId !== "") pairs.push("X-Olla-Session-ID", sessionId)
  return linesOf(pairs)
}

/** What passes of a backend's headers, and what of it is joined with ours. */
interface Passing {
  readonly raw: ReadonlyArray<string>
  readonly credentials: Credentials
  readonly corsOn: boolean
  readonly lines: string
  readonly vary: string
  readonly length: string
  readonly dated: boolean
  /** Names and values by turns of headers that say where something is. */
  readonly locations: ReadonlyArray<string>
  readonly contentType: string
  /** The backend itself tells proxies whether to gather. */
  readonly saysBuffering: boolean
}

/** The last of each endpoint: the client room hands out the same list for a head that comes again. */
const lastPassing = new WeakMap<Endpoint, Passing>()

const passingOf = (endpoint: Endpoint, raw: ReadonlyArray<string>, corsOn: boolean): Passing => {
  const last = lastPassing.get(endpoint)
  if (last !== undefined && last.raw === raw && last.credentials === endpoint.credentials && last.corsOn === corsOn) return last
  const passing = passed(endpoint.credentials, raw, corsOn)
  lastPassing.set(endpoint, passing)
  return passing
}

const passed = (credentials: Credentials, raw: ReadonlyArray<string>, corsOn: boolean): Passing => {
  const strip = credentials.names
  const named = namedByConnection(raw)
  let lines = ""
  let via = ""
  let vary = ""
  let length = ""
  let dated = false
  let saysBuffering = false
  const locations: Array<string> = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const rule = responseRule(name)
    if (rule === DROP || rule === CONNECTION || (rule === CORS && corsOn)) continue
    if ((strip.size > 0 || named !== undefined) && isDropped(name, strip, named)) continue
    switch (rule) {
      case VIA:
        via = listed(via, value)
        break
      case VARY:
        vary = listed(vary, value)
        break
      case LENGTH:
        length = value
        break
      case LOCATION:
        locations.push(name, value)
        break
      default:
        if (rule === DATE) dated = true
        else if (rule === ACCEL_BUFFERING) saysBuffering = true
        lines += `${name}: ${value}\r\n`
    }
  }
  lines += via === "" ? viaLine : `Via: ${via}, ${ourVia}\r\n`
  return { raw, credentials, corsOn, lines, vary, length, dated, locations, contentType: headerValue(raw, "content-type"), saysBuffering }
}

const isDropped = (name: string, strip: ReadonlySet<string>, named: ReadonlySet<string> | undefined): boolean => {
  const low = name.toLowerCase()
  return strip.has(low) || named?.has(low) === true
}

/**
 * `raw`: the backend's headers. `ours`: further headers of this answer (rate limit, CORS), which win over the backend's;
 * `corsOn`: the backend's own CORS headers are dropped. `timed`: it says whose time it was.
 */
export const replyHead = (
  exchange: Exchange,
  endpoint: Endpoint,
  raw: ReadonlyArray<string>,
  ours: ReadonlyArray<string>,
  corsOn: boolean,
  timed = false
): ReplyHead => {
  const elapsed = Math.round(performance.now() - exchange.timings.accepted)
  const { lines: passing, vary: theirVary, length, dated, locations, contentType, saysBuffering } = passingOf(endpoint, raw, corsOn)
  // biome-ignore-start lint/style/useTemplate: a template would ask each part whether it is a string
  let lines =
    idLine +
    exchange.id +
    "\r\nX-Olla-Endpoint: " +
    asHeader(endpoint.name) +
    "\r\nX-Olla-Backend-Type: " +
    asHeader(endpoint.type) +
    "\r\nX-Olla-Response-Time: " +
    elapsed +
    "ms\r\n" +
    decisionLines(exchange) +
    stickyLines(exchange) +
    passing
  if (timed) lines += `Server-Timing: ${serverTiming(exchange)}\r\n`
  if (exchange.isSampled) lines = lines + "X-Olla-Trace-ID: " + exchange.traceId + "\r\n"
  if (exchange.servedModel !== "") lines = lines + "X-Olla-Served-Model: " + asHeader(exchange.servedModel) + "\r\n"
  if (exchange.hygiene !== "" && !wantsOwnLine(endpoint.origin.hostname)) lines = lines + "X-Olla-Hygiene: " + exchange.hygiene + "\r\n"
  const pick = exchange.lastAttempt?.pick ?? ""
  if (pick !== "") lines = lines + "X-Olla-Pick: " + pick + "\r\n"
  if (exchange.waits.length > 0) lines = lines + "X-Olla-Queue-Time: " + Math.round(exchange.waited(performance.now())) + "ms\r\n"
  if (exchange.attempts.length > 1) lines = lines + "X-Olla-Attempts: " + exchange.attempts.length + "\r\n"
  let vary = theirVary
  for (let i = 0; i + 1 < ours.length; i += 2) {
    const name = ours[i] as string
    if (name.length === 4 && name.toLowerCase() === "vary") vary = listed(vary, ours[i + 1] as string)
    else lines = lines + name + ": " + ours[i + 1] + "\r\n"
  }
  for (let i = 0; i + 1 < locations.length; i += 2) {
    const place = clientLocation(locations[i + 1] as string, endpoint.origin, exchange.path)
    if (place !== undefined) lines = lines + locations[i] + ": " + place + "\r\n"
  }
  // biome-ignore-end lint/style/useTemplate: a template would ask each part whether it is a string
  if (!saysBuffering && isWatched(contentType, exchange.stream, length !== "")) lines += "X-Accel-Buffering: no\r\n"
  if (vary !== "") lines += `Vary: ${vary}\r\n`
  return { lines, length, dated }
}

/** What the head of an answer says otherwise by now, when it was written and others were asked before it is sent. */
export const sinceThen = (exchange: Exchange): ReadonlyArray<string> => {
  const now = performance.now()
  const headers = ["X-Olla-Response-Time", `${Math.round(now - exchange.timings.accepted)}ms`]
  if (exchange.waits.length > 0) headers.push("X-Olla-Queue-Time", `${Math.round(exchange.waited(now))}ms`)
  if (exchange.attempts.length > 1) headers.push("X-Olla-Attempts", String(exchange.attempts.length))
  return headers
}
