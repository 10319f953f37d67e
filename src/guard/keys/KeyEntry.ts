/** Who may ask: one entry of the keys file, as it was read and judged. Limits are 0 where there is none. */
import type * as IpNetwork from "effect/net/IpNetwork"
import type { FilterConfig } from "../../config/OllaConfig.ts"

export const queueClasses = ["high", "normal", "low"] as const
export type QueueClass = (typeof queueClasses)[number]

export interface KeyLimits {
  readonly requestsPerMinute: number
  /** Requests at once. */
  readonly burst: number
  readonly tokensPerMinute: number
  readonly maxConcurrent: number
}

/** What may be used, and how much. */
export interface KeyRules extends KeyLimits {
  readonly models: FilterConfig
  readonly endpoints: FilterConfig
  /** Highest class of the queue; `undefined`: not said. */
  readonly class: QueueClass | undefined
}

export interface KeyGroup extends KeyRules {
  readonly name: string
}

/** One way to be recognised by a key. `until`: epoch milliseconds from which it is no longer good; `undefined`: for ever. */
export interface KeyDigest {
  readonly digest: string
  readonly until: number | undefined
}

export interface KeyEntry extends KeyRules {
  readonly name: string
  readonly digests: ReadonlyArray<KeyDigest>
  readonly group: string | undefined
  /** Epoch milliseconds. */
  readonly expires: number | undefined
  readonly disabled: boolean
  /** RFC 3339 as written; empty: not said. */
  readonly revoked: string
  readonly created: string
  /** What runs ends too, where it is disabled. */
  readonly cut: boolean
  readonly note: string
  readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
  /** Whoever comes through the socket file. */
  readonly unix: boolean
  readonly users: ReadonlyArray<string>
  readonly certificates: ReadonlyArray<string>
}

export type KeyState = "active" | "disabled" | "expired" | "revoked"

/** `now`: epoch milliseconds. */
export const stateOf = ({ disabled, revoked, expires }: KeyEntry, now: number): KeyState => {
  if (disabled) return revoked === "" ? "disabled" : "revoked"
  return expires !== undefined && now >= expires ? "expired" : "active"
}

export const noRules: KeyRules = {
  models: { include: [], exclude: [] },
  endpoints: { include: [], exclude: [] },
  class: undefined,
  requestsPerMinute: 0,
  burst: 0,
  tokensPerMinute: 0,
  maxConcurrent: 0
}

/** Names that figures and answers give another meaning. */
export const reservedNames: ReadonlySet<string> = new Set(["anonymous", "default", "other", "unknown"])

export const isKeyName = (name: string): boolean => /^[A-Za-z0-9._-]{1,64}$/.test(name)

/** Most entries of one table, and bytes of one file. */
export const mostEntries = 10_000
export const largestFile = 4 * 1024 * 1024
/** Values of such a file. */
export const mostNodes = 2 * 1024 * 1024
