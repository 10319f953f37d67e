/**
 * What is different between two configurations, key by key, for the record of a reload. Pure: two decoded configurations in, keys
 * with both values out; secrets are never among the values.
 */
import { isDeepStrictEqual } from "node:util"
import type { KeyInfo } from "./ConfigKey.ts"
import { formatDuration } from "./Duration.ts"
import type { EndpointConfig, OllaConfig } from "./OllaConfig.ts"
import { type KeyTree, keyTree } from "./SchemaTree.ts"

export interface ConfigChange {
  /** Full path; an endpoint's by its name: `discovery.static.endpoints.gpu-1.priority`. */
  readonly key: string
  /** As a file would have it, `null` where nothing was set; `"changed"` on both sides for a secret. */
  readonly before: unknown
  readonly after: unknown
}

/** An endpoint, or a name that stands for some. */
type Listed = Pick<EndpointConfig, "name" | "auth" | "tls"> & {
  readonly url?: string
  readonly scheme?: string
  readonly port?: number | undefined
}

/** Stands for the values of a secret. */
const hidden = "changed"

const shown = (info: KeyInfo, value: unknown, redact: (text: string) => string): unknown => {
  if (value === undefined) return null
  if (info.kind === "duration" && typeof value === "number") return formatDuration(value)
  return typeof value === "string" ? redact(value) : value
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined

const namesOf = (...values: ReadonlyArray<unknown>): ReadonlyArray<string> => [
  ...new Set(values.flatMap((value) => (typeof value === "object" && value !== null ? Object.keys(value) : [])))
]

/** Keys of the Schema that differ, in its order. `redact` masks what looks like a secret inside other texts, such as a URL's query. */
export const changesBetween = (before: OllaConfig, after: OllaConfig, redact: (text: string) => string): ReadonlyArray<ConfigChange> => {
  const walk = (tree: KeyTree, a: unknown, b: unknown, path: string): ReadonlyArray<ConfigChange> => {
    if (isDeepStrictEqual(a, b)) return []
    if (tree.kind === "list")
      return path === "traffic.rules"
        ? entries(tree.item, a as ReadonlyArray<unknown>, b as ReadonlyArray<unknown>, path)
        : endpoints(tree.item, a as ReadonlyArray<Listed>, b as ReadonlyArray<Listed>, path)
    if (tree.kind === "section")
      return [...tree.keys].flatMap(([name, child]) => walk(child, field(a, name), field(b, name), path === "" ? name : `${path}.${name}`))
    const { info } = tree
    if (info.kind === "map" || info.kind === "aliases")
      return namesOf(a, b).flatMap((name) => one(info, field(a, name), field(b, name), `${path}.${name}`))
    return one(info, a, b, path)
  }
  const one = (info: KeyInfo, a: unknown, b: unknown, key: string): ReadonlyArray<ConfigChange> => {
    if (isDeepStrictEqual(a, b)) return []
    if (info.secret === true) return [{ key, before: hidden, after: hidden }]
    return [{ key, before: shown(info, a, redact), after: shown(info, b, redact) }]
  }
  /** Entries that are known by nothing but their place. */
  const entries = (item: KeyTree, a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>, path: string): ReadonlyArray<ConfigChange> =>
    Array.from({ length: Math.max(a.length, b.length) }, (_, index) => `${path}[${index}]`).flatMap((at, index) =>
      index >= a.length
        ? [{ key: at, before: null, after: "added" }]
        : index >= b.length
          ? [{ key: at, before: "removed", after: null }]
          : walk(item, a[index], b[index], at)
    )
  /** An endpoint is its URL, a name that stands for some what is asked for: the same one elsewhere in the list was moved, another URL is another endpoint. */
  const endpoints = (item: KeyTree, a: ReadonlyArray<Listed>, b: ReadonlyArray<Listed>, path: string): ReadonlyArray<ConfigChange> => {
    const earlier = byUrl(a)
    const later = byUrl(b)
    const at = ({ name, url = "" }: Listed) => `${path}.${name === "" ? redact(url) : name}`
    const place = ({ name, url = name }: Listed) => redact(url)
    const kept = [...later].flatMap(([url, entry]) => {
      const was = earlier.get(url)
      return was === undefined ? [{ key: at(entry), before: null, after: place(entry) }] : walk(item, was, entry, at(entry))
    })
    const gone = [...earlier].flatMap(([url, entry]) => (later.has(url) ? [] : [{ key: at(entry), before: place(entry), after: null }]))
    const orderOf = (list: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>) =>
      [...list.keys()].filter((url) => other.has(url))
    const moved = isDeepStrictEqual(orderOf(earlier, later), orderOf(later, earlier))
      ? []
      : [{ key: path, before: "order", after: "order" }]
    return [...kept, ...gone, ...moved]
  }
  return walk(keyTree, before, after, "")
}

/** What the configuration's files were read with: fingerprints of secrets and certificates by path. */
export interface WithSecrets {
  readonly config: OllaConfig
  readonly secrets: ReadonlyMap<string, string>
}

/** Keys that name the same file as before, with something else in it. */
export const secretsBetween = (before: WithSecrets, after: WithSecrets, redact: (text: string) => string): ReadonlyArray<ConfigChange> => {
  const changed = (values: unknown, earlier: unknown, path: string): ReadonlyArray<ConfigChange> =>
    namesOf(values).flatMap((name) => {
      const file = field(values, name)
      if (!name.endsWith("_file") || typeof file !== "string" || field(earlier, name) !== file) return []
      if (before.secrets.get(file) === after.secrets.get(file)) return []
      return [{ key: `${path}.${name}`, before: hidden, after: hidden }]
    })
  const policy = (config: OllaConfig): unknown => config.dashboard.access_policy
  const listed = (then: ReadonlyArray<Listed>, now: ReadonlyArray<Listed>, path: string): ReadonlyArray<ConfigChange> => {
    const earlier = byUrl(then)
    return [...byUrl(now)].flatMap(([url, entry]) => {
      const at = `${path}.${entry.name === "" ? redact(url) : entry.name}`
      const was = earlier.get(url)
      return was === undefined ? [] : [...changed(entry.auth, was.auth, `${at}.auth`), ...changed(entry.tls, was.tls, `${at}.tls`)]
    })
  }
  const [then, now] = [before.config.discovery, after.config.discovery]
  return [
    ...changed(policy(after.config), policy(before.config), "dashboard.access_policy"),
    ...listed(then.static.endpoints, now.static.endpoints, "discovery.static.endpoints"),
    ...listed(then.dns, now.dns, "discovery.dns")
  ]
}

/** Of two entries with one URL the later counts, as it does for the fleet. */
const byUrl = <E extends Listed>(entries: ReadonlyArray<E>): ReadonlyMap<string, E> => {
  const out = new Map<string, E>()
  for (const entry of entries) {
    const url = entry.url?.replace(/\/+$/, "") ?? `${entry.scheme}://${entry.name}:${entry.port ?? "srv"}`
    out.delete(url)
    out.set(url, entry)
  }
  return out
}

/** Keys whose value cannot take effect while the daemon runs; everything else is live. */
const bound = [
  "server.host",
  "server.port",
  "server.reuse_port",
  "server.tls",
  "server.unix_socket",
  "server.request_limits.max_header_size",
  "telemetry.otlp"
]

/** Of them those that are otherwise in `now` than at the start. A header limit that became smaller needs nothing: it is the guard's too. */
export const restartNeeded = (atStart: OllaConfig, now: OllaConfig): ReadonlyArray<string> =>
  changesBetween(atStart, now, (text) => text)
    .filter(({ key }) => bound.some((each) => key === each || key.startsWith(`${each}.`)))
    .filter(
      ({ key }) =>
        key !== "server.request_limits.max_header_size" ||
        now.server.request_limits.max_header_size > atStart.server.request_limits.max_header_size
    )
    .map(({ key }) => key)
