/**
 * One configured backend: what is fixed at load, and handles to what changes. Identity is `url`; everything per endpoint
 * is keyed by it or hangs on this object, never by name.
 */
import type { SecureContext } from "node:tls"
import type { ListedModel } from "../profile/ListedModel.ts"
import type { Profile } from "../profile/Profile.ts"
import type { AttemptFailure, EndpointState } from "./EndpointState.ts"

/** Where and how to connect: what an engine needs, parsed once. */
export interface Origin {
  readonly secure: boolean
  /** Without brackets. */
  readonly hostname: string
  readonly port: number
  /** `Host` header: host[:port] as in the URL. */
  readonly authority: string
  /** Path of the base URL, `""` or `/...`. */
  readonly basePath: string
  /** Certificates are read at load; `undefined`: system defaults. */
  readonly tls: TlsOptions | undefined
}

export interface TlsOptions {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  readonly serverName: string | undefined
  readonly rejectUnauthorized: boolean
  /** The same, built once: making it for each connection would cost milliseconds. */
  readonly context?: SecureContext
}

/** Resolved once at load. Never serialised, never logged. */
export interface Credentials {
  /** The `headers:` map and then the auth header, in the order in which they are set. Names as written. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** Lower-cased names from `headers:` and `auth:`; also removed from answers. */
  readonly names: ReadonlySet<string>
}

export interface Endpoint {
  /** Serialised base URL: the identity. */
  readonly url: string
  /** Base URL without userinfo, query and fragment. */
  readonly displayUrl: string
  readonly name: string
  /** `type` as configured, `""` included. */
  readonly type: string
  /** Resolved from `type`; for `auto` and empty types what was detected, `undefined` until then. */
  readonly profile: Profile | undefined
  /** `type` is `auto` or empty: accepted on every provider route and path. */
  readonly isAuto: boolean
  /** Position in the configuration: the stable order of candidates. */
  readonly index: number
  readonly priority: number
  readonly preservePath: boolean
  readonly healthUrl: string
  readonly modelUrl: string
  /** Milliseconds. */
  readonly checkInterval: number
  readonly checkTimeout: number
  readonly origin: Origin
  readonly credentials: Credentials

  /** Synchronous read of the current state. */
  readonly state: EndpointState
  /** The last successful listing, after the model filter; replaced whole. */
  readonly models: ReadonlyArray<ListedModel>
  /** Epoch milliseconds of the last successful listing; 0: none yet. */
  readonly modelsSyncedAt: number
  /** Discovery is in timed back-off after failures. */
  readonly discoveryDisabled: boolean
  /** What is wrong with the listing, without address; empty: the last one was read. */
  readonly listingIssue?: string
  /** How often its actor crashed and was started anew. */
  readonly restarts?: number
  /** Profile name that was detected; only for `auto` and empty types. */
  readonly detectedType?: string | undefined
  /** Configured or defaulted health path before joining, as the start-up table shows it. */
  readonly healthPath?: string
  /** A probe was answered at least once: `state.lastLatency` is a response time. */
  readonly hasAnsweredProbe?: boolean
  /** Finished health checks since the start, those whose result was discarded included. */
  readonly probeCounts?: { readonly success: number; readonly failure: number }
  /** Attempts under way. Changed only by leases, in matched pairs. */
  inFlight: number

  /** An attempt failed in a way that demotes (`ruleOf(failure).demote`): steps the state at once, synchronously. */
  readonly attemptFailed: (failure: AttemptFailure) => void
}
