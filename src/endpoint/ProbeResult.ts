/** What one health probe found, and which status that means. */
import type { Status } from "./EndpointState.ts"

/** Numbers as in logs. */
export const probeError = { none: 0, network: 1, timeout: 2, internal: 3, circuitOpen: 4 } as const

export type ProbeErrorType = (typeof probeError)[keyof typeof probeError]

export type ProbedStatus = Exclude<Status, "unknown" | "warming">

export interface ProbeResult {
  readonly status: ProbedStatus
  readonly errorType: ProbeErrorType
  /** Of the final attempt; `undefined` without an answer. */
  readonly statusCode: number | undefined
  /** Without addresses and secrets; empty for a good one. */
  readonly cause: string
  /** Whole probe, retries and pauses included, milliseconds. */
  readonly latency: number
  /** Of a 429: milliseconds to keep away, and the header where it was not usable. */
  readonly rateLimit: { readonly wait: number; readonly defaulted: "absent" | "malformed" | undefined; readonly header: string } | undefined
}

/** An answer slower than this, in milliseconds, means busy. */
export const slowThreshold = 10_000

/** `latency`: of the final attempt, to its headers. The body never counts. */
export const statusOfAnswer = (code: number, latency: number): ProbedStatus => {
  if (code === 401 || code === 403) return "config_error"
  if (code === 429) return "rate_limited"
  if (code >= 200 && code <= 299) return latency > slowThreshold ? "busy" : "healthy"
  return "unhealthy"
}

/** Healthy and busy reset counters and back-off. */
export const isSuccess = (status: Status): boolean => status === "healthy" || status === "busy"
