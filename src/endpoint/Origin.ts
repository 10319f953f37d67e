/** Where an endpoint is and how it is spoken to: what an engine needs, parsed once when the configuration is read. */
import type { SecureContext } from "node:tls"

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
