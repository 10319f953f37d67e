/** Why a listing could not be had: texts for logs, and whether another try may help. */
import { STATUS_CODES } from "node:http"
import { formatDuration } from "../config/Duration.ts"

export type DiscoveryOperation =
  | "get_profile"
  | "auto_detect"
  | "http_request"
  | "http_status"
  | "read_response"
  | "parse_response"
  /** A 200 whose JSON has no list: a warning, which counts as no failure. */
  | "no_list"

/** A plain value: failing backends are routine. */
export interface DiscoveryFailure {
  readonly _tag: "DiscoveryFailure"
  readonly operation: DiscoveryOperation
  /** What failed inside `auto_detect`; the same as `operation` otherwise. */
  readonly innermost: DiscoveryOperation
  /** Without userinfo and query. */
  readonly url: string
  readonly profile: string
  /** 0: no answer. */
  readonly status: number
  /** Milliseconds. */
  readonly latency: number
  readonly cause: string
}

export const describe = (failure: DiscoveryFailure): string => {
  const status = failure.status === 0 ? "" : `, status: ${failure.status}`
  return `discovery ${failure.operation} failed for ${failure.url} (profile: ${failure.profile}${status}, latency: ${formatDuration(failure.latency)}): ${failure.cause}`
}

export const statusCause = (status: number): string => `HTTP ${status}: ${status} ${STATUS_CODES[status] ?? ""}`.trimEnd()

/** A 4xx says that the question is wrong; asking again at once would get the same answer. */
export const isRecoverable = (failure: DiscoveryFailure): boolean => failure.status < 400 || failure.status > 499

export const isWarning = (failure: DiscoveryFailure): boolean => failure.innermost === "no_list"

/** For the status document: what is wrong with the listing, without the address. */
export const issueOf = (failure: DiscoveryFailure): string => {
  const cause =
    failure.innermost === "http_status" ? `HTTP ${failure.status}` : failure.cause.replace(`network error for ${failure.url}: `, "")
  return `model listing: ${cause}`
}

/** What the operator is told in one phrase. */
export const operatorMessage = (failure: DiscoveryFailure): string => {
  if (failure.innermost === "parse_response" || failure.innermost === "no_list") return "invalid response format"
  if (failure.innermost === "http_status") {
    if (failure.status >= 400 && failure.status <= 499) return `endpoint configuration issue (HTTP ${failure.status})`
    return failure.status >= 500 ? `endpoint server error (HTTP ${failure.status})` : `HTTP error (${failure.status})`
  }
  if (failure.innermost === "http_request" || failure.innermost === "read_response") {
    if (/connection refused|no route to host/.test(failure.cause)) return "endpoint unreachable"
    if (/timeout/.test(failure.cause)) return "connection timeout"
    return failure.cause.includes("network is unreachable") ? "network unreachable" : "network error"
  }
  return "discovery failed"
}
