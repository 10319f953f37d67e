/** One endpoint's condition right now. Stepped by `transition`, never assigned. */
import type { Failure, FailureKind } from "../exchange/Failure.ts"

/** As the documents spell them. `warming` is recognised and never produced. */
export type Status = "unknown" | "healthy" | "busy" | "warming" | "offline" | "unhealthy" | "config_error" | "rate_limited"

export const isRoutable = (status: Status): boolean => status === "healthy" || status === "busy" || status === "warming"

/** Share of the priority balancer's draw. */
export const weightOf = (status: Status): number => (status === "healthy" ? 1 : status === "busy" ? 0.3 : status === "warming" ? 0.1 : 0)

/** All times are milliseconds of the monotonic clock; 0 stands for "not yet". */
export interface EndpointState {
  readonly status: Status
  /** Start of the last probe, or the moment of the last demotion. */
  readonly lastChecked: number
  /** Whole probe with its retries, milliseconds. */
  readonly lastLatency: number
  readonly consecutiveFailures: number
  readonly backoffMultiplier: number
  readonly nextCheck: number
  readonly rateLimitedUntil: number
  /** Text of the last failed probe or demotion, without secrets and addresses; empty when healthy. */
  readonly lastError: string
}

/** What a failed attempt tells the endpoint. */
export interface AttemptFailure {
  readonly failure: Failure
  /** Milliseconds of the monotonic clock: an older attempt cannot demote an endpoint that was probed healthy after it began. */
  readonly startedAt: number
  /** A second connection that ends without an answer shortly after a first one, with no good probe between, takes it out of rotation. */
  readonly secondDecides?: boolean | undefined
}

/** Failure kinds in words that may be shown: no address. */
const causeOf: Readonly<Partial<Record<FailureKind, string>>> = {
  refused: "connection refused",
  unreachable: "host is unreachable",
  dns: "no such host",
  connect_timeout: "timeout while connecting",
  tls_timeout: "timeout in the TLS handshake",
  tls: "TLS handshake failed",
  closed: "connection closed before an answer"
}

export const demotionCause = ({ failure }: AttemptFailure): string => causeOf[failure.kind] ?? "a proxied request failed"
