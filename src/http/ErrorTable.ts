/**
 * Every error that Olla itself answers, in one table: status, token, and the sentence that a person reads. It is rendered
 * in the dialect of the surface (http-api.md 10, 17.27). docs/errors.md is written from it.
 */

export interface ErrorEntry {
  readonly status: number
  /** Plain text; `{x}` is filled in. */
  readonly text: string
  /** When it happens, for the docs. */
  readonly when: string
}

export const errorTable = {
  unrouted: { status: 404, text: "404 page not found", when: "no route has this path" },
  method: { status: 405, text: "method not allowed, use {allow}", when: "the document does not know this method" },
  crossSite: {
    status: 403,
    text: "this request comes from a web page or for a host that is not allowed",
    when: "server.cross_site_protection is on, and Host or Origin is foreign"
  },
  tooLarge: { status: 413, text: "Request body too large", when: "the body is larger than server.request_limits.max_body_size" },
  headersTooLarge: {
    status: 431,
    text: "Request headers too large",
    when: "the headers are larger than server.request_limits.max_header_size"
  },
  tooSlow: {
    status: 408,
    text: "Request body was not received in time",
    when: "the request took longer than server.read_timeout to arrive"
  },
  unreadable: { status: 400, text: "Request body could not be read", when: "the client broke off its upload" },
  rateLimited: { status: 429, text: "Too Many Requests", when: "a limit of server.rate_limits is used up" },
  noEndpoints: { status: 503, text: "no healthy endpoints available", when: "nobody is routable, and no model was named" },
  noProvider: { status: 404, text: "No {provider} endpoints available", when: "no routable endpoint of this kind" },
  rejected: { status: 503, text: "{reason}", when: "routing found nobody for the model; the reason is the token" },
  proxy: { status: 502, text: "Proxy error: {detail}", when: "every attempt failed before an answer; 504 when the last one timed out" },
  internal: { status: 500, text: "internal error, see the log for request {id}", when: "a fault in Olla" },
  notSupported: { status: 501, text: "{what}", when: "a management call that makes no sense for a fleet" },
  pathNotServed: { status: 404, text: "{path} is not served by {provider} endpoints", when: "the kind enforces its paths" },
  badQuery: { status: 400, text: "{what}", when: "a query parameter cannot be used" },
  unknownModel: { status: 404, text: "Model not found", when: "/olla/models/{id} knows no such model" },
  noUnifier: { status: 501, text: "Unified models not supported", when: "model_registry.enable_unifier is false" }
} as const satisfies Readonly<Record<string, ErrorEntry>>

export type ErrorName = keyof typeof errorTable

const typeOf = (status: number): string => {
  switch (status) {
    case 400:
    case 405:
    case 431:
      return "invalid_request_error"
    case 404:
      return "not_found_error"
    case 408:
    case 504:
      return "timeout_error"
    case 413:
      return "request_too_large"
    case 429:
      return "rate_limit_error"
    default:
      return "api_error"
  }
}

/** `Accept` names `application/json` itself, with q above 0. */
export const wantsJson = (accept: string): boolean =>
  accept.split(",").some((part) => {
    const [type = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase())
    if (type !== "application/json") return false
    const q = parameters.find((parameter) => parameter.startsWith("q="))
    return q === undefined || Number(q.slice(2)) > 0
  })

export interface RenderedError {
  readonly contentType: string
  readonly body: string
}

/** `message`: the sentence; `code`: a routing token or null. */
export const renderError = (status: number, message: string, code: string | null, accept: string): RenderedError =>
  wantsJson(accept)
    ? { contentType: "application/json", body: JSON.stringify({ error: { message, type: typeOf(status), code } }) }
    : { contentType: "text/plain; charset=utf-8", body: `${message}\n` }

export const fill = (name: ErrorName, values: Readonly<Record<string, string>> = {}): string =>
  errorTable[name].text.replace(/\{(\w+)\}/g, (_, key: string) => values[key] ?? "")
