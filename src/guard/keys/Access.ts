/**
 * Who is asking, as the keys say, and what they have used. One table at a time, swapped whole; there is no memory of keys beside it,
 * so that what is revoked ends with the swap. Off, which is `undefined`, nothing of it is asked.
 */
import * as Context from "effect/Context"
import { inNetworks } from "../../config/Cidr.ts"
import { matchesPattern } from "../../config/FilterPattern.ts"
import { ActiveSet, type Member } from "../../exchange/ActiveSet.ts"
import type { Exchange, ExchangeClient } from "../../exchange/Exchange.ts"
import type { LoadedAccess } from "./AccessLoading.ts"
import { leave, spend } from "./KeyAdmission.ts"
import { KeyClient, KeyUse } from "./KeyClient.ts"
import { type KeyEntry, noRules, stateOf } from "./KeyEntry.ts"
import { digestOf, isOfOurs, isWholeKey, longestKey } from "./KeyForm.ts"
import { isInTarget, type KeyHeaders, presentedKeys } from "./Presented.ts"

/** A client certificate that verified. */
export interface ClientCertificate {
  /** Common name, DNS and URI names. */
  readonly names: ReadonlyArray<string>
  /** Hexadecimal, lower case, without colons. */
  readonly sha256: string
}

export interface Asking {
  readonly headers: KeyHeaders
  readonly path: string
  readonly query: string
  /** Address, or `unix`. */
  readonly clientIp: string
  readonly certificate: ClientCertificate | undefined
  /** From the trusted proxy; empty: nobody says. */
  readonly user: string
}

/** Why nobody is let in. */
export interface IdentityRefusal {
  readonly _tag: "refused"
  readonly code: "missing_api_key" | "invalid_api_key" | "key_disabled" | "key_expired" | "conflicting_api_keys" | "key_in_query"
  /** Of the key, where it is known; empty: it is not. */
  readonly name: string
  /** It is cut off or mistyped. */
  readonly isBroken: boolean
  /** RFC 3339, where something ended; empty: not known. */
  readonly since: string
  /** It came with a key of any kind. */
  readonly hasKey: boolean
}

/** What ends when its client's key is revoked at once. */
export interface RunningRequest extends Member {
  readonly clientName: string
  readonly revoke: () => void
}

export interface AccessInForce {
  readonly loaded: LoadedAccess
  /** By the entry's name. */
  readonly clients: ReadonlyMap<string, KeyClient>
  /** `undefined`: they are refused. */
  readonly anonymous: KeyClient | undefined
  /** 1 with the first table, one more with each other one. */
  readonly generation: number
  /** Epoch milliseconds. */
  readonly loadedAt: number
}

export interface TableChange {
  readonly added: number
  readonly removed: number
  readonly changed: number
}

const refused = (code: IdentityRefusal["code"], more: Partial<Omit<IdentityRefusal, "_tag" | "code">> = {}): IdentityRefusal => ({
  _tag: "refused",
  code,
  name: "",
  isBroken: false,
  since: "",
  hasKey: true,
  ...more
})

const instantText = (millis: number): string => new Date(millis).toISOString().replace(".000Z", "Z")

export class Access {
  #inForce: AccessInForce | undefined
  readonly #uses = new Map<string, KeyUse>()
  readonly #groupUses = new Map<string, KeyUse>()
  readonly #anonymousUse = new KeyUse()
  /** Requests of clients that are under way. */
  readonly running = new ActiveSet<RunningRequest>()
  #generation = 0
  /** Of the last look at the keys file, where it was no good. */
  lastError: string | undefined = undefined
  /** By code, since the start. */
  readonly refusals = new Map<string, number>()
  /** The same of each key, where it is known; by name. */
  readonly refusalsOf = new Map<string, Map<string, number>>()
  reloadFailures = 0

  get current(): AccessInForce | undefined {
    return this.#inForce
  }

  /** At once and whole. `now`: epoch milliseconds. */
  replace(loaded: LoadedAccess | undefined, now: number): TableChange {
    const before = this.#inForce
    if (before?.loaded === loaded) return { added: 0, removed: 0, changed: 0 }
    this.lastError = undefined
    if (loaded === undefined) this.#inForce = undefined
    else {
      const { table, anonymous, identityHeader } = loaded
      const drops = new Set(["api-key", identityHeader])
      const clients = new Map(
        table.entries.map((entry) => {
          const group = entry.group === undefined ? undefined : table.groups.get(entry.group)
          const shared = group === undefined ? undefined : { of: group, use: useOf(this.#groupUses, group.name) }
          return [
            entry.name,
            new KeyClient({ name: entry.name, entry, rules: entry, use: useOf(this.#uses, entry.name), drops }, shared)
          ] as const
        })
      )
      const open = anonymous === "deny" ? undefined : anonymous === "allow" ? noRules : anonymous
      this.#inForce = {
        loaded,
        clients,
        anonymous:
          open === undefined
            ? undefined
            : new KeyClient({ name: "anonymous", entry: undefined, rules: open, use: this.#anonymousUse, drops }),
        generation: ++this.#generation,
        loadedAt: now
      }
      this.#forget(clients)
    }
    const change = changeBetween(before?.loaded, loaded)
    const cut = new Set((loaded?.table.entries ?? []).filter((entry) => entry.disabled && entry.cut).map(({ name }) => name))
    if (cut.size > 0) for (const request of this.running) if (cut.has(request.clientName)) request.revoke()
    return change
  }

  /** `name`: of the key; empty: not known. */
  refuse(name: string, code: string): void {
    count(this.refusals, code)
    if (name === "") return
    let own = this.refusalsOf.get(name)
    if (own === undefined) {
      own = new Map()
      this.refusalsOf.set(name, own)
    }
    count(own, code)
  }

  /** The response is closed: its place is free, and what was taken for its tokens is put right. `now`: of a clock that nobody sets. */
  left(exchange: Exchange, tokens: number, now: number): void {
    const client = keyClientOf(exchange)
    if (client === undefined || !exchange.holdsPlace) return
    exchange.holdsPlace = false
    leave(client)
    if (client.limitsTokens) spend(client, tokens - exchange.reserved, now)
  }

  /** Use of names that are gone is kept only while something runs. */
  #forget(clients: ReadonlyMap<string, KeyClient>): void {
    if (this.#uses.size <= 2 * clients.size + 1_000) return
    for (const [name, use] of this.#uses) if (!clients.has(name) && use.inFlight === 0) this.#uses.delete(name)
  }

  /** Whose key these headers bring, good or not; empty: none of the table. */
  nameOf(headers: KeyHeaders): string {
    const { current } = this
    if (current === undefined) return ""
    for (const value of presentedKeys(headers)) {
      const known = value.length > longestKey ? undefined : current.loaded.table.byDigest.get(digestOf(value))
      if (known !== undefined) return known.entry.name
    }
    return ""
  }

  /** `access`: in force. `now`: epoch milliseconds. */
  identify(access: AccessInForce, asking: Asking, now: number): KeyClient | IdentityRefusal {
    if (isInTarget(asking.path, asking.query)) return refused("key_in_query")
    if (asking.headers.hasConflict) return refused("conflicting_api_keys")
    const values = presentedKeys(asking.headers)
    const found = values.length === 0 ? undefined : byKey(access, values, now)
    if (found !== undefined) return found
    const entry = otherwise(access, asking)
    if (entry !== undefined) return judged(access, entry, undefined, now)
    if (access.anonymous !== undefined) return access.anonymous
    return values.length === 0 ? refused("missing_api_key", { hasKey: false }) : refused("invalid_api_key")
  }
}

const count = (counts: Map<string, number>, code: string): void => void counts.set(code, (counts.get(code) ?? 0) + 1)

const useOf = (uses: Map<string, KeyUse>, name: string): KeyUse => {
  let use = uses.get(name)
  if (use === undefined) {
    use = new KeyUse()
    uses.set(name, use)
  }
  return use
}

/** An entry that is known counts as long as it is good. */
const judged = (access: AccessInForce, entry: KeyEntry, until: number | undefined, now: number): KeyClient | IdentityRefusal => {
  const state = entry.disabled || entry.expires !== undefined ? stateOf(entry, now) : "active"
  const { name } = entry
  if (state === "expired") return refused("key_expired", { name, since: instantText(entry.expires ?? 0) })
  if (state !== "active") return refused("key_disabled", { name, since: entry.revoked })
  if (until !== undefined && now >= until) return refused("key_expired", { name, since: instantText(until) })
  return access.clients.get(name) as KeyClient
}

/** `undefined`: none of the values is a key, or has the form of one. */
const byKey = (access: AccessInForce, values: ReadonlyArray<string>, now: number): KeyClient | IdentityRefusal | undefined => {
  let good: KeyClient | undefined
  let bad: IdentityRefusal | undefined
  for (const value of values) {
    if (value.length > longestKey) continue
    if (isOfOurs(value) && !isWholeKey(value)) {
      bad ??= refused("invalid_api_key", { isBroken: true })
      continue
    }
    const known = access.loaded.table.byDigest.get(digestOf(value))
    if (known === undefined) {
      if (isOfOurs(value)) bad ??= refused("invalid_api_key")
      continue
    }
    const verdict = judged(access, known.entry, known.until, now)
    if (!(verdict instanceof KeyClient)) bad = verdict
    else if (good === undefined) good = verdict
    else if (good !== verdict) return refused("conflicting_api_keys")
  }
  return good ?? bad
}

const matchesAny = (patterns: ReadonlyArray<string>, name: string): boolean => patterns.some((pattern) => matchesPattern(pattern, name))

const otherwise = ({ loaded: { table } }: AccessInForce, { certificate, user, clientIp }: Asking): KeyEntry | undefined => {
  if (certificate !== undefined)
    for (const entry of table.byCertificate)
      if (
        entry.certificates.some((pattern) =>
          pattern.startsWith("sha256:")
            ? pattern === `sha256:${certificate.sha256}`
            : certificate.names.some((name) => matchesPattern(pattern, name))
        )
      )
        return entry
  if (user !== "") for (const entry of table.byUser) if (matchesAny(entry.users, user)) return entry
  for (const entry of table.byNetwork)
    if (clientIp === "unix" ? entry.unix : entry.networks.length > 0 && inNetworks(entry.networks, clientIp)) return entry
  return undefined
}

const entryText = (entry: KeyEntry): string => JSON.stringify(entry)

const changeBetween = (before: LoadedAccess | undefined, after: LoadedAccess | undefined): TableChange => {
  const [was, is] = [before?.table.byName ?? new Map<string, KeyEntry>(), after?.table.byName ?? new Map<string, KeyEntry>()]
  let [added, removed, changed] = [0, 0, 0]
  for (const [name, entry] of is) {
    const earlier = was.get(name)
    if (earlier === undefined) added++
    else if (entryText(earlier) !== entryText(entry)) changed++
  }
  for (const name of was.keys()) if (!is.has(name)) removed++
  return { added, removed, changed }
}

/** The client of an exchange, where it has one. */
export const keyClientOf = ({ client }: { readonly client?: ExchangeClient | undefined }): KeyClient | undefined =>
  client instanceof KeyClient ? client : undefined

/** Off unless the daemon brings one. */
export const KeyAccess = Context.Reference<Access>("olla/guard/KeyAccess", { defaultValue: () => new Access() })
