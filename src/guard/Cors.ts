/**
 * Cross-origin resource sharing as pure functions over the compiled lists.
 * A lone `*` does not open `/internal/*` and `/version`: what is there is for the operator, not for any web page.
 */

export interface CorsSettings {
  readonly enabled: boolean
  readonly allowed_origins: ReadonlyArray<string>
  readonly allowed_methods: ReadonlyArray<string>
  readonly allowed_headers: ReadonlyArray<string>
  readonly exposed_headers: ReadonlyArray<string>
  readonly allow_credentials: boolean
  /** Seconds; 0: not sent. */
  readonly max_age: number
}

export interface PreflightRequest {
  readonly origin: string | undefined
  /** `Access-Control-Request-Method`. */
  readonly method: string
  /** `Access-Control-Request-Headers`; empty: none. */
  readonly headers: string
  readonly internal: boolean
}

export const defaultExposedHeaders: ReadonlyArray<string> = [
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
  "X-Olla-Session-ID",
  "X-Olla-Trace-ID",
  "X-Olla-Attempts",
  "X-Olla-Dialect",
  "X-Olla-Dropped",
  "X-Olla-Limit"
]

/** Routes that `*` does not cover. `path` is the clean one that is served. */
export const isInternalPath = (path: string): boolean => path === "/version" || path === "/internal" || path.startsWith("/internal/")

const varyOfPreflight = ["Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]
const varyOfAnswer = ["Vary", "Origin"]

type OriginMatch = (origin: string) => boolean

/** Exact, or with one `*` standing for anything between the two ends. */
const matcher = (entry: string): OriginMatch => {
  const pattern = entry.toLowerCase()
  const star = pattern.indexOf("*")
  if (star === -1) return (origin) => origin === pattern
  const [head, tail] = [pattern.slice(0, star), pattern.slice(star + 1)]
  return (origin) => origin.length >= head.length + tail.length && origin.startsWith(head) && origin.endsWith(tail)
}

export class Cors {
  readonly enabled: boolean
  readonly #everyone: boolean
  readonly #named: ReadonlyArray<OriginMatch>
  readonly #methods: ReadonlySet<string>
  readonly #headers: ReadonlySet<string> | undefined
  readonly #exposed: string
  readonly #credentials: boolean
  readonly #maxAge: number
  /** The answer headers that almost every browser request gets, built once. */
  readonly #toEveryone: ReadonlyArray<string>

  constructor(settings: CorsSettings) {
    this.enabled = settings.enabled
    this.#everyone = settings.allowed_origins.includes("*")
    this.#named = settings.allowed_origins.filter((entry) => entry !== "*").map(matcher)
    this.#methods = new Set(settings.allowed_methods)
    this.#headers = settings.allowed_headers.includes("*")
      ? undefined
      : new Set(settings.allowed_headers.map((name) => name.trim().toLowerCase()))
    this.#exposed = (settings.exposed_headers.length > 0 ? settings.exposed_headers : defaultExposedHeaders).join(", ")
    this.#credentials = settings.allow_credentials
    this.#maxAge = settings.max_age
    this.#toEveryone = [...varyOfAnswer, ...this.#allow("*")]
  }

  /** What `Access-Control-Allow-Origin` says to this origin; `undefined`: it is not allowed here. */
  allowOrigin(origin: string | undefined, internal: boolean): string | undefined {
    if (origin === undefined || origin === "") return undefined
    if (this.#everyone && !internal) return "*"
    const lower = origin.toLowerCase()
    return this.#named.some((matches) => matches(lower)) ? origin : undefined
  }

  #methodAllowed(method: string): boolean {
    return method === "OPTIONS" || this.#methods.has(method)
  }

  #headersAllowed(requested: string): boolean {
    const allowed = this.#headers
    return (
      allowed === undefined ||
      requested.split(",").every((name) => {
        const lower = name.trim().toLowerCase()
        return lower === "" || allowed.has(lower)
      })
    )
  }

  #allow(origin: string): Array<string> {
    const headers = ["Access-Control-Allow-Origin", origin, "Access-Control-Expose-Headers", this.#exposed]
    if (this.#credentials) headers.push("Access-Control-Allow-Credentials", "true")
    return headers
  }

  /** Headers of the 204 that answers a preflight, allowed or not. */
  preflight(request: PreflightRequest): ReadonlyArray<string> {
    const origin = this.allowOrigin(request.origin, request.internal)
    if (origin === undefined || !this.#methodAllowed(request.method) || !this.#headersAllowed(request.headers)) return varyOfPreflight
    const headers = [...varyOfPreflight, "Access-Control-Allow-Origin", origin, "Access-Control-Allow-Methods", request.method]
    if (request.headers !== "") headers.push("Access-Control-Allow-Headers", request.headers)
    if (this.#credentials) headers.push("Access-Control-Allow-Credentials", "true")
    if (this.#maxAge > 0) headers.push("Access-Control-Max-Age", String(this.#maxAge))
    return headers
  }

  /** Headers of every other answer. A foreign origin is served all the same, only without permission to read it. */
  answer(method: string, origin: string | undefined, internal: boolean): ReadonlyArray<string> {
    const allowed = this.#methodAllowed(method) ? this.allowOrigin(origin, internal) : undefined
    if (allowed === undefined) return varyOfAnswer
    return allowed === "*" ? this.#toEveryone : [...varyOfAnswer, ...this.#allow(allowed)]
  }
}
