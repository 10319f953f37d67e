/**
 * What a client is told when nobody could answer: the kind of cause in plain words, the endpoint's name,
 * never an address.
 */
import type { Failure, FailureKind } from "../exchange/Failure.ts"
import { headTooLarge, maxHead } from "./client/ResponseHead.ts"

/** The key of the limit that fired. */
export const limitKeys: Partial<Readonly<Record<FailureKind, string>>> = {
  connect_timeout: "proxy.connection_timeout",
  tls_timeout: "proxy.tls_handshake_timeout",
  header_timeout: "proxy.response_header_timeout",
  response_timeout: "proxy.response_timeout",
  first_token_timeout: "traffic.first_token_timeout",
  idle_timeout: "proxy.read_timeout"
}

const words: Readonly<Record<FailureKind, string>> = {
  refused: "nobody listens there",
  unreachable: "there is no route to it",
  dns: "its host name does not resolve",
  connect_timeout: "no connection",
  tls_timeout: "no TLS handshake",
  tls: "its certificate could not be verified",
  closed: "it hung up without an answer",
  reset: "it dropped the connection without an answer",
  header_timeout: "no answer",
  response_timeout: "no answer",
  first_token_timeout: "no first byte of an answer",
  malformed: "what it answered is no HTTP",
  redirected: "it sends the request elsewhere",
  path_unknown: "it does not serve this path",
  withheld: "it answered with an error",
  breaker_open: "not asked, since it failed too often just now",
  idle_timeout: "it stopped sending",
  truncated: "it broke off in the middle of its answer",
  untranslatable: "its answer could not be translated",
  descriptors: "Olla has no file descriptor left",
  client_gone: "the client left",
  client_write: "the client left",
  internal: "a fault inside Olla"
}

/** A few words beside the endpoint's name: `nobody listens there`, `no answer within 30.0s (proxy.response_header_timeout)`. */
export const failureWords = ({ kind, limitMs }: Failure): string => {
  const key = limitKeys[kind]
  return limitMs === undefined || key === undefined ? words[kind] : `${words[kind]} within ${seconds(limitMs)} (${key})`
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)}s`

/** `elapsed`: milliseconds since the client's request began. */
export const failureText = (failure: Failure, endpoint: string, elapsed: number): string => {
  const after = `after ${seconds(elapsed)}`
  const limit = failure.limitMs === undefined ? "" : `; the limit of ${seconds(failure.limitMs)}`
  switch (failure.kind) {
    case "refused":
      return `connection refused ${after} - endpoint ${endpoint} is not running or not accepting connections`
    case "unreachable":
      return `network error ${after} - endpoint ${endpoint} is unreachable (no route to it)`
    case "dns":
      return `DNS lookup failed ${after} - the host name of endpoint ${endpoint} does not resolve`
    case "connect_timeout":
      return `network timeout ${after} - endpoint ${endpoint} did not accept a connection in time${limit === "" ? "" : `${limit} is proxy.connection_timeout`}`
    case "tls_timeout":
      return `TLS handshake timeout ${after} - endpoint ${endpoint}${limit === "" ? "" : `${limit} is proxy.tls_handshake_timeout`}`
    case "tls":
      return `TLS certificate error ${after} - endpoint ${endpoint} could not be verified`
    case "closed":
      return `connection closed ${after} - endpoint ${endpoint} ended the connection without an answer`
    case "reset":
      return `connection reset ${after} - endpoint ${endpoint} dropped the connection without an answer`
    case "header_timeout":
      return `request timeout ${after} - endpoint ${endpoint} sent no response headers${limit === "" ? "" : `${limit} is proxy.response_header_timeout`}`
    case "response_timeout":
      return `request timeout ${after} - no endpoint sent response headers, ${endpoint} last${limit === "" ? "" : `${limit} is proxy.response_timeout`}`
    case "first_token_timeout":
      return `request timeout ${after} - endpoint ${endpoint} sent no first byte of an answer${limit === "" ? "" : `${limit} is traffic.first_token_timeout`}`
    case "malformed":
      if (failure.detail === headTooLarge)
        return `request failed ${after}: endpoint ${endpoint} answered with headers larger than ${maxHead / 1024} KiB`
      return `request failed ${after}: endpoint ${endpoint} answered with something that is not valid HTTP`
    case "breaker_open":
      return `circuit breaker open for endpoint ${endpoint}`
    case "idle_timeout":
      return `request timeout ${after} - endpoint ${endpoint} stopped sending${limit === "" ? "" : `${limit} is proxy.read_timeout`}`
    case "truncated":
      return `connection closed ${after} - endpoint ${endpoint} broke off in the middle of its answer`
    case "untranslatable":
      return `request failed ${after}: the answer of endpoint ${endpoint} could not be translated`
    case "redirected":
      return `request failed ${after}: endpoint ${endpoint} answered with a redirect, which is not followed; its url in the configuration should be where that leads`
    case "path_unknown":
      return `request failed ${after}: endpoint ${endpoint} does not serve this path`
    case "withheld":
      return `request failed ${after}: endpoint ${endpoint} answered with an error`
    case "descriptors":
      return `request failed ${after}: Olla has no file descriptor left for a connection to endpoint ${endpoint}; raise the limit of its process (ulimit -n)`
    case "client_gone":
    case "client_write":
      return `request cancelled ${after} - the client left`
    case "internal":
      return `request failed ${after}: an error inside Olla`
  }
}
