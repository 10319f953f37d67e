/**
 * Every error that Olla itself answers, in one table: status, sentence, when it happens and the way out. It is rendered in
 * the dialect of the surface. docs/errors.md and the responses of docs/openapi.yaml are written
 * from it.
 */
import { type QueueCode, queueStatuses } from "../proxy/Carrier.ts"
import type { ErrorDocument } from "./documents/ErrorDocuments.ts"

export interface ErrorEntry {
  readonly status: number
  /** Plain text; `{x}` is filled in. */
  readonly text: string
  /** When it happens, and what helps, for the docs. */
  readonly when: string
  readonly remedy: string
}

export const errorTable = {
  unreadable: {
    status: 400,
    text: "Request body could not be read",
    when: "the client broke off its upload",
    remedy: "send it again"
  },
  badEncoding: {
    status: 400,
    text: "Request body is not what its Content-Encoding says",
    when: "a compressed body is broken or cut off",
    remedy: "compress it anew, or send it plain"
  },
  badVersion: {
    status: 400,
    text: "HTTP version is not supported, use HTTP/1.1",
    when: "the request line names no version, or another major one",
    remedy: "speak HTTP/1.1"
  },
  noHost: {
    status: 400,
    text: "the Host header is missing",
    when: "a request in HTTP/1.1 without `Host`",
    remedy: "send it"
  },
  badHost: {
    status: 400,
    text: "Host header is malformed or there is more than one",
    when: "`Host` comes twice, or has characters that no host has",
    remedy: "send one `Host` with the name or address that was asked for"
  },
  badOrigin: {
    status: 400,
    text: "there is more than one Origin header",
    when: "`Origin` comes twice: nobody can tell which page asks",
    remedy: "send one; a proxy in between that adds its own must replace the client's"
  },
  badQuery: {
    status: 400,
    text: "{what}",
    when: "a query parameter of `/olla/models` cannot be used",
    remedy: "the answer names the parameter and what it may be"
  },
  noModelId: {
    status: 400,
    text: "Model ID or alias required",
    when: "`/olla/models/` without a name",
    remedy: "name a model of `/olla/models`"
  },
  badPage: {
    status: 400,
    text: "limit must be a whole number from 1 to 1000",
    when: "a page of `/olla/anthropic/v1/models` with another `limit`",
    remedy: "leave `limit` out for the whole list"
  },
  badMessage: {
    status: 400,
    text: "{what}",
    when: "a request of a translator's route breaks a rule of its API, or cannot be said in the backend's",
    remedy: "the answer names the field and what it may be"
  },
  missingKey: {
    status: 401,
    text: "an API key is needed: send it as Authorization: Bearer, X-Api-Key or Api-Key",
    when: "`access` has keys, and the request brings none; `code` is `missing_api_key`",
    remedy: "ask whoever runs this Olla for a key"
  },
  unknownKey: {
    status: 401,
    text: "this API key is not known here",
    when: "the key is none of `access`, or none any more; `code` is `invalid_api_key`",
    remedy: "`olla keys check` says what a key is; `olla keys add` makes one"
  },
  brokenKey: {
    status: 401,
    text: "this API key is cut off or mistyped: its checksum is wrong",
    when: "the key begins with `olla_` and is not whole; `code` is `invalid_api_key`",
    remedy: "copy it again, all of its 54 characters"
  },
  keyDisabled: {
    status: 401,
    text: 'the API key "{key}" is disabled{since}',
    when: "the key is disabled or revoked in the keys file; `code` is `key_disabled`",
    remedy: "ask for another one"
  },
  keyExpired: {
    status: 401,
    text: 'the API key "{key}" has ended{since}',
    when: "its `expires` is over, or it was rotated and its time of grace is; `code` is `key_expired`",
    remedy: "use the new one, or ask for one"
  },
  conflictingKeys: {
    status: 401,
    text: "different API keys came with this request, in Authorization, X-Api-Key or Api-Key: send one",
    when: "two headers have valid keys of different clients, or one comes twice; `code` is `conflicting_api_keys`",
    remedy: "take one of them out of the client's settings"
  },
  keyInQuery: {
    status: 401,
    text: "an API key stood in the address of this request, where logs keep it: rotate it, and send the new one in a header",
    when: "a key is in query or path; `code` is `key_in_query`",
    remedy: "`olla keys rotate`, and the header `Authorization: Bearer`"
  },
  httpsRequired: {
    status: 403,
    text: "this is not for plain HTTP: ask {base}. A key that was sent here crossed the network in clear: rotate it",
    when: "something else than reading without credentials comes to `server.tls.redirect_port`; `code` is `https_required`",
    remedy: "use the https address as base URL"
  },
  modelNotAllowed: {
    status: 403,
    text: '{who} may not use the model "{model}": lists of models show what may be used',
    when: "`models` or `endpoints` of the key leave it out, whether it exists or not; `code` is `model_not_allowed`",
    remedy: "ask for one of `/v1/models`"
  },
  modelRequired: {
    status: 403,
    text: "{who} may use certain models only, and this request names none that could be read",
    when: "a key with `models` asks for something without a model, or the body is no whole JSON; `code` is `model_required`",
    remedy: "name one of `/v1/models`"
  },
  crossSite: {
    status: 403,
    text: "this request comes from a web page or for a host that is not allowed",
    when: "`server.cross_site_protection` is on, and `Host` or `Origin` is foreign",
    remedy: "add the host to `server.allowed_hosts`, or the origin to `server.cors.allowed_origins`"
  },
  gated: {
    status: 403,
    text: "403 forbidden: {reason} (ip={ip}, host={host}). Adjust dashboard.access_policy.allowed_hosts (or allowed_cidrs) in your config.",
    when: "`dashboard.gate_internal_api` is on, and the peer's address or `Host` is not in `dashboard.access_policy`",
    remedy: "add the address or host there; proxies' headers do not count"
  },
  tokenNeeded: {
    status: 401,
    text: "401 unauthorised: this needs the token of dashboard.access_policy, as Authorization: Bearer",
    when: "`dashboard.gate_internal_api` is on, `dashboard.access_policy` has a token, and the request has none or another one",
    remedy: "send it; `/internal/health` and `/internal/ready` need none"
  },
  unrouted: {
    status: 404,
    text: "404 page not found",
    when: "no route has this path",
    remedy: "the routes are in docs/http-api.md; prefixes of backends come from their profiles"
  },
  noProvider: {
    status: 404,
    text: "No {provider} endpoints available",
    when: "no endpoint of the kind that the path names is routable",
    remedy: "look at `/internal/status/endpoints`; `/olla/proxy/` uses every kind"
  },
  pathNotServed: {
    status: 404,
    text: "{path} is not served by {provider} endpoints",
    when: "the profile lists its paths and enforces them",
    remedy: "use a path of the profile, or take `enforce_paths` out of it"
  },
  unknownModel: {
    status: 404,
    text: "Model not found",
    when: "`/olla/models/{id}` knows no such unified id or alias",
    remedy: "names are in `/olla/models?include_unavailable=true`"
  },
  noSuchModel: {
    status: 404,
    text: "model not found: {model}",
    when: "`/olla/anthropic/v1/models/{id}` knows no model or alias of that name that can be served now",
    remedy: "names are in `/olla/anthropic/v1/models`"
  },
  noModelEndpoint: {
    status: 404,
    text: "no healthy endpoints available for model: {model}",
    when: "nobody is routable for the model of a message",
    remedy: "look at `/internal/status/endpoints`"
  },
  wrongBase: {
    status: 404,
    text: "{path} is no route of this API: clients take {base} as their base URL, and add /v1/messages themselves",
    when: "a path below `/olla/anthropic` that Anthropic's API does not have, mostly because of a base URL with `/v1` too many or too few",
    remedy: "set the base URL that the answer names (`ANTHROPIC_BASE_URL`)"
  },
  notOffered: {
    status: 404,
    text: "Olla does not offer {path}: it is a service of the API's own maker, not of model servers",
    when: "batches, files and other parts of Anthropic's API that a fleet does not have",
    remedy: "use `/v1/messages`"
  },
  noSuchResponse: {
    status: 404,
    text: "no such response: Olla keeps no answers, and no endpoint is known to have made this one within the last hour",
    when: "`/v1/responses/{id}` with an id of a translated answer, an old one or one that nobody made",
    remedy: "send the whole conversation in `input`; only LM Studio and servers like it keep answers"
  },
  responseAway: {
    status: 503,
    text: "the endpoint {endpoint}, which keeps this response, cannot be reached now",
    when: "`/v1/responses/{id}` of an answer whose endpoint is away or drained",
    remedy: "try again later, or send the whole conversation to another endpoint"
  },
  notCompacted: {
    status: 404,
    text: "no endpoint of this model makes conversations shorter",
    when: "`/v1/responses/compact` for a model that no server with a Responses API of its own has",
    remedy: "none: clients that get this shorten conversations themselves"
  },
  noWebSocket: {
    status: 426,
    text: "responses are served over HTTP, not over a websocket: send a POST",
    when: "a websocket is asked for at `/v1/responses`",
    remedy: "none: clients go on over HTTP"
  },
  method: {
    status: 405,
    text: "method not allowed, use {allow}",
    when: "the route does not know this method; `Allow` lists what it knows",
    remedy: "use one of those"
  },
  tooSlow: {
    status: 408,
    text: "Request body was not received in time",
    when: "the request took longer than `server.read_timeout` to arrive, and its body came with less than 32 KiB a second",
    remedy: "raise `server.read_timeout` for uploads on links that are slower still"
  },
  tooLarge: {
    status: 413,
    text: "Request body too large{unpacked}: the limit is {limit} bytes ({key}{variable})",
    when: "the body, a compressed one once it is unpacked, is larger than `server.request_limits.max_body_size`, or than all bodies together may be (`server.request_limits.max_buffered`)",
    remedy: "send less, or raise the limit: the answer and its `X-Olla-Limit` name the key"
  },
  unknownEncoding: {
    status: 415,
    text: "the body's Content-Encoding is not known, use gzip, deflate, br or zstd",
    when: "`Content-Encoding` names another coding, or more than two",
    remedy: "send the body plain, or in a coding that `Accept-Encoding` of the answer names"
  },
  badExpectation: {
    status: 417,
    text: "only the expectation 100-continue is known",
    when: "`Expect` asks for something else",
    remedy: "leave the header out"
  },
  messageTooLarge: {
    status: 413,
    text: "request body exceeds maximum size ({limit} bytes){unpacked}: the limit is {key}{variable}",
    when: "a message is larger than `translators.<translator>.max_message_size`, or than the limits of all bodies",
    remedy: "shorten the conversation, or raise the limit: the answer and its `X-Olla-Limit` name the key"
  },
  rateLimited: {
    status: 429,
    text: "Too Many Requests: {limit} requests a minute {whose} ({key})",
    when: "a limit of `server.rate_limits` is used up: `code` is `rate_limited_ip` or `rate_limited_global`, and `X-Olla-Limit` names the key",
    remedy:
      "wait for the seconds of `Retry-After`, or raise the limit. Limits that nobody set do not hold for loopback and private addresses"
  },
  keyRate: {
    status: 429,
    text: "Too Many Requests: {limit} a minute {whose}; again in {seconds} s",
    when: "`requests_per_minute` of a key, its group or of anonymous clients is used up; `code` is `rate_limited`",
    remedy: "wait for the seconds of `Retry-After`"
  },
  keyConcurrency: {
    status: 429,
    text: "Too Many Requests: {limit} at a time {whose}",
    when: "`max_concurrent` requests of a key, its group or of anonymous clients are under way; `code` is `too_many_concurrent`",
    remedy: "wait until one of them has ended"
  },
  keyTokens: {
    status: 429,
    text: "Too Many Requests: {limit} tokens a minute {whose}; again in {seconds} s",
    when: "`tokens_per_minute` of a key, its group or of anonymous clients are used up; `code` is `tokens_exhausted`",
    remedy: "wait for the seconds of `Retry-After`: what earlier answers took has to come back first"
  },
  headersTooLarge: {
    status: 431,
    text: "Request headers too large: {limit}",
    when: "the headers are larger than `server.request_limits.max_header_size`, or more than 10,000",
    remedy: "send fewer or shorter headers"
  },
  internal: {
    status: 500,
    text: "internal error, see the log for request {id}",
    when: "a fault in Olla",
    remedy: "report it with the log lines of that request id"
  },
  unknownCoding: {
    status: 501,
    text: "only the transfer coding chunked is known",
    when: "`Transfer-Encoding` names another one",
    remedy: "send the body with `Content-Length`, or chunked"
  },
  notSupported: {
    status: 501,
    text: "{what}",
    when: "a path that the kind's profile refuses (`routing.refused_paths`, `refused_everywhere`), such as Ollama's management calls",
    remedy: "call the backend itself"
  },
  noUnifier: {
    status: 501,
    text: "Unified models not supported",
    when: "`/olla/models/{id}` while `model_registry.enable_unifier` is false",
    remedy: "ask `/internal/status/models`"
  },
  proxy: {
    status: 502,
    text: "Proxy error: {detail}",
    when: "every attempt failed before an answer; 504 when the last one timed out, 503 when Olla had no file descriptor left. Details below",
    remedy: "the detail names the endpoint; addresses are in the log"
  },
  untranslated: {
    status: 502,
    text: "proxy error: {detail}",
    when: "a message got no answer, or one that cannot be translated; 504 after a timeout",
    remedy: "the detail names the endpoint and the cause; addresses are in the log"
  },
  noConsole: {
    status: 503,
    text: "This build of Olla has no operator console yet: ask /internal/status and /internal/status/endpoints",
    when: "`/internal/ui` is asked for while `dashboard.enabled` is true",
    remedy: "ask `/internal/status`; `dashboard.enabled: false` makes it a 404"
  },
  bodiesFull: {
    status: 503,
    text: "no memory for this request's body now: bodies of all clients together may be {limit} bytes ({key}{variable})",
    when: "bodies that are being received or sent on fill `server.request_limits.max_buffered`; `code` is `bodies_full`",
    remedy: "wait for the seconds of `Retry-After`, or raise the limit"
  },
  noEndpoints: {
    status: 503,
    text: "no healthy endpoints available",
    when: "nobody is routable, and no model was named",
    remedy: "wait for the seconds of `Retry-After`; look at `/internal/status/endpoints`"
  }
} as const satisfies Readonly<Record<string, ErrorEntry>>

/** Refusals by routing. The token is the plain body and the JSON form's `code`; `{model}` is what was asked for. */
export const rejections: Readonly<Record<string, { readonly status: 404 | 503; readonly text: string; readonly strategy: string }>> = {
  model_not_found: { status: 404, text: "model '{model}' not found: no endpoint has it", strategy: "all" },
  placement_unsatisfied: {
    status: 503,
    text: "traffic.rules leave no endpoint that may serve this request",
    strategy: "all"
  },
  model_unavailable: {
    status: 503,
    text: 'no endpoint that can be asked now has the model "{model}" and can serve this request',
    strategy: "strict"
  },
  model_unavailable_no_fallback: {
    status: 503,
    text: 'no endpoint that has the model "{model}" can serve this request now, and fallback_behavior is none',
    strategy: "optimistic"
  },
  model_unavailable_compatible_only: {
    status: 503,
    text: 'no endpoint that has the model "{model}" can serve this request now, and none of the others may stand in (compatible_only)',
    strategy: "optimistic"
  },
  model_unavailable_no_refresh: {
    status: 503,
    text: 'no endpoint that has the model "{model}" can serve this request now, and discovery_refresh_on_miss is off',
    strategy: "discovery"
  },
  model_unavailable_after_discovery: {
    status: 503,
    text: 'every endpoint was asked again, and none that has the model "{model}" can serve this request now',
    strategy: "discovery"
  },
  discovery_failed_no_fallback: {
    status: 503,
    text: 'the endpoints could not be asked for the model "{model}", and fallback_behavior is none',
    strategy: "discovery"
  },
  discovery_failed_compatible_only: {
    status: 503,
    text: 'the endpoints could not be asked for the model "{model}", and none of the others may stand in (compatible_only)',
    strategy: "discovery"
  },
  no_healthy_after_discovery: {
    status: 503,
    text: 'no endpoint is healthy, so the model "{model}" cannot be served',
    strategy: "discovery"
  }
}

/** Refusals of requests that nobody can take now. The token is the plain body and the JSON form's `code`. */
export const queueRefusals: Readonly<Record<QueueCode, ErrorEntry>> = {
  queue_timeout: {
    status: queueStatuses.queue_timeout,
    text: "whoever could serve this request had no room for it in the time that it may wait",
    when: "`traffic.queue.max_wait`, a rule's `max_wait` or the request's own `X-Olla-Max-Wait` is over",
    remedy: "ask again after `Retry-After`; raise `max_concurrent` of the endpoints or add one"
  },
  queue_full: {
    status: queueStatuses.queue_full,
    text: "too many requests wait already, or too many bytes of them",
    when: "`traffic.queue.max_waiting` requests wait, or 256 MiB of bodies do",
    remedy: "ask again after `Retry-After`"
  },
  client_queue_full: {
    status: queueStatuses.client_queue_full,
    text: "too many requests of this client wait already",
    when: "`traffic.queue.max_waiting_per_client` requests of one client wait",
    remedy: "send fewer at a time; ask again after `Retry-After`"
  },
  all_paused: {
    status: queueStatuses.all_paused,
    text: "all endpoints that could serve this request have asked to be left alone for longer than it may wait",
    when: "their answers were 429, or had a `Retry-After`; none of them is asked",
    remedy: "ask again after `Retry-After`"
  }
}

export const rejectionText = (reason: string, model: string): string =>
  (rejections[reason]?.text ?? 'the model "{model}" cannot be served now').replace("{model}", () => model)

export type ErrorName = keyof typeof errorTable

export type ErrorType = (typeof ErrorDocument.Type)["error"]["type"]

/** Refusals of keys have OpenAI's types. */
const ofKeys: ReadonlySet<string> = new Set([
  "missing_api_key",
  "invalid_api_key",
  "key_disabled",
  "key_expired",
  "conflicting_api_keys",
  "key_in_query",
  "model_not_allowed",
  "model_required",
  "rate_limited",
  "too_many_concurrent",
  "tokens_exhausted",
  "https_required"
])

export const isOfKeys = (code: string | null): code is string => code !== null && ofKeys.has(code)

export const errorTypeOf = (status: number, code: string | null = null): ErrorType => {
  if (isOfKeys(code) && status === 401) return "authentication_error"
  if (isOfKeys(code) && status === 403) return "permission_error"
  switch (status) {
    case 400:
    case 401:
    case 405:
    case 415:
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
    ? { contentType: "application/json", body: JSON.stringify({ error: { message, type: errorTypeOf(status, code), code } }) }
    : { contentType: "text/plain; charset=utf-8", body: `${message}\n` }

export const fill = (name: ErrorName, values: Readonly<Record<string, string>> = {}): string =>
  errorTable[name].text.replace(/\{(\w+)\}/g, (_, key: string) => values[key] ?? "")
