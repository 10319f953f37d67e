/**
 * The vocabulary of failures. A failure is classified once, where it is understood, from its original cause: whose
 * fault it is, whether another endpoint may be tried, whether the endpoint is taken out of rotation and whether its
 * breaker counts it. Nobody downstream reads messages to find out.
 */
export type FailureKind =
  | "refused"
  | "unreachable"
  | "dns"
  | "connect_timeout"
  | "tls_timeout"
  | "tls"
  | "closed"
  | "reset"
  | "header_timeout"
  | "response_timeout"
  | "first_token_timeout"
  | "malformed"
  | "breaker_open"
  | "truncated"
  | "idle_timeout"
  | "untranslatable"
  | "redirected"
  | "path_unknown"
  | "withheld"
  | "descriptors"
  | "client_gone"
  | "client_write"
  | "internal"

export interface FailureRule {
  readonly fault: "client" | "upstream" | "olla"
  /** May another candidate be tried, as long as nothing is committed? */
  readonly failover: boolean
  /**
   * Is the endpoint told, to be taken out of rotation? At once, but for what `endedUnanswered`: that asks for a probe, whose failure
   * decides, since a backend may have died of this request alone.
   */
  readonly demote: boolean
  /** Does the engine's breaker count it? */
  readonly trips: boolean
  /** What the client is told when this is the last word and nothing was committed. */
  readonly status: 500 | 502 | 503 | 504
}

const rule = (
  fault: FailureRule["fault"],
  failover: boolean,
  demote: boolean,
  trips: boolean,
  status: FailureRule["status"] = 502
): FailureRule => ({
  fault,
  failover,
  demote,
  trips,
  status
})

/** `closed` and `reset` are ends of a connection before the first byte of an answer. */
export const failureRules: Readonly<Record<FailureKind, FailureRule>> = {
  refused: rule("upstream", true, true, true),
  unreachable: rule("upstream", true, true, true),
  dns: rule("upstream", true, true, true),
  connect_timeout: rule("upstream", true, true, true, 504),
  tls_timeout: rule("upstream", true, true, true, 504),
  tls: rule("upstream", true, false, true),
  closed: rule("upstream", true, true, true),
  reset: rule("upstream", true, true, true),
  header_timeout: rule("upstream", false, false, true, 504),
  response_timeout: rule("upstream", false, false, true, 504),
  first_token_timeout: rule("upstream", false, false, false, 504),
  malformed: rule("upstream", false, false, true),
  breaker_open: rule("upstream", true, false, false),
  truncated: rule("upstream", false, false, false),
  // What it said is an error, or nothing that the client's dialect can be made of.
  untranslatable: rule("upstream", false, false, false),
  // It sends the request elsewhere, where clients cannot follow: it is configured by the wrong address.
  redirected: rule("upstream", true, false, false),
  // It answers, but has no such route: somebody else may.
  path_unknown: rule("upstream", true, false, false),
  // It answered, with an error that somebody else may not have.
  withheld: rule("upstream", true, false, false),
  idle_timeout: rule("upstream", false, false, false, 504),
  // Ours are used up: somebody else may be reached on a connection that is kept.
  descriptors: rule("olla", true, false, false, 503),
  client_gone: rule("client", false, false, false),
  client_write: rule("client", false, false, false),
  internal: rule("olla", false, false, false, 500)
}

/** A plain value, not an Error: it is routine per request, and a stack trace costs more than the request. */
export interface Failure {
  readonly _tag: "Failure"
  readonly kind: FailureKind
  /** For the log: may name addresses, never credentials. */
  readonly detail: string
  /** The limit that fired, in milliseconds, where one did. */
  readonly limitMs?: number
}

export const failure = (kind: FailureKind, detail: string, limitMs?: number): Failure =>
  limitMs === undefined ? { _tag: "Failure", kind, detail } : { _tag: "Failure", kind, detail, limitMs }

/** A server whose front still answers while what is behind it is dead. */
export const endedBehindHead = failure("truncated", "the backend closed the connection behind the head of its answer")

/** The backend took the connection, and ended it without an answer. */
export const endedUnanswered = (kind: FailureKind): boolean => kind === "closed" || kind === "reset"

export const ruleOf = (f: Failure): FailureRule => failureRules[f.kind]
