/** Cross-origin rules (http-api.md 6 and 17.49), pure: what a preflight and an actual request get. */
import type { ServerConfig } from "../config/OllaConfig.ts"

type Cors = ServerConfig["cors"]

export const defaultExposed = [
  "X-Olla-Request-ID",
  "X-Olla-Endpoint",
  "X-Olla-Backend-Type",
  "X-Olla-Model",
  "X-Olla-Response-Time",
  "X-Olla-Routing-Strategy",
  "X-Olla-Routing-Decision",
  "X-Olla-Routing-Reason",
  "X-Olla-Mode",
  "X-Olla-Sticky-Session",
  "X-Olla-Sticky-Key-Source",
  "X-Olla-Session-ID"
]

/** One `*` in an entry stands for anything; case is ignored. */
const originMatches = (pattern: string, origin: string): boolean => {
  const [start = "", end] = pattern.toLowerCase().split("*")
  const low = origin.toLowerCase()
  return end === undefined ? low === start : low.length >= start.length + end.length && low.startsWith(start) && low.endsWith(end)
}

/** A lone `*` does not open Olla's own documents to every web page. */
const allowsOrigin = (cors: Cors, origin: string, path: string): boolean => {
  const internal = path.startsWith("/internal/") || path === "/version"
  return cors.allowed_origins.some((pattern) => (pattern === "*" ? !internal : originMatches(pattern, origin)))
}

const originValue = (cors: Cors, origin: string): string => (cors.allowed_origins.includes("*") ? "*" : origin)

export interface CorsRequest {
  readonly method: string
  readonly path: string
  /** Lower-cased name to value; empty when absent. */
  readonly header: (name: string) => string
}

export const isPreflight = (request: CorsRequest): boolean =>
  request.method === "OPTIONS" && request.header("access-control-request-method") !== ""

/** Flat pairs of a 204. */
export const preflightHeaders = (cors: Cors, request: CorsRequest): Array<string> => {
  const out = ["Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]
  const origin = request.header("origin")
  const method = request.header("access-control-request-method")
  const asked = request.header("access-control-request-headers")
  const names = asked.split(",").map((name) => name.trim().toLowerCase())
  const allowed = cors.allowed_headers.map((name) => name.toLowerCase())
  const headersAllowed = asked === "" || allowed.includes("*") || names.every((name) => allowed.includes(name) || name === "")
  if (origin === "" || !allowsOrigin(cors, origin, request.path) || !methodAllowed(cors, method) || !headersAllowed) return out
  out.push("Access-Control-Allow-Origin", originValue(cors, origin), "Access-Control-Allow-Methods", method.toUpperCase())
  if (asked !== "") out.push("Access-Control-Allow-Headers", asked)
  if (cors.allow_credentials) out.push("Access-Control-Allow-Credentials", "true")
  if (cors.max_age > 0) out.push("Access-Control-Max-Age", String(cors.max_age))
  return out
}

const methodAllowed = (cors: Cors, method: string): boolean =>
  method === "OPTIONS" || cors.allowed_methods.some((one) => one.toUpperCase() === method.toUpperCase())

/** Flat pairs for any other answer. */
export const corsHeaders = (cors: Cors, request: CorsRequest): Array<string> => {
  const out = ["Vary", "Origin"]
  const origin = request.header("origin")
  if (origin === "" || !allowsOrigin(cors, origin, request.path) || !methodAllowed(cors, request.method)) return out
  const exposed = cors.exposed_headers.length > 0 ? cors.exposed_headers : defaultExposed
  out.push("Access-Control-Allow-Origin", originValue(cors, origin), "Access-Control-Expose-Headers", exposed.join(", "))
  if (cors.allow_credentials) out.push("Access-Control-Allow-Credentials", "true")
  return out
}
