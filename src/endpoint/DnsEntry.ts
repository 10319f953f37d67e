/**
 * `discovery.dns`: names that stand for endpoints. Each entry is judged like an endpoint, and is the pattern of those that its name leads
 * to. Pure, but for the secrets and certificates that are read with it.
 */
import { isIP } from "node:net"
import type { Diagnostic } from "../config/Diagnostic.ts"
import { formatDuration } from "../config/Duration.ts"
import type { DnsConfig, OllaConfig } from "../config/OllaConfig.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import type { SecretSources } from "./EndpointCredentials.ts"
import { loadEndpoint } from "./EndpointLoading.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { parseOrigin } from "./EndpointUrl.ts"

export interface DnsEntry {
  readonly name: string
  /** `undefined`: SRV records say it. */
  readonly port: number | undefined
  readonly scheme: "http" | "https"
  /** `address:port` of the name server; `undefined`: the system's. */
  readonly resolver: string | undefined
  /** Milliseconds. */
  readonly interval: number
  /** What is said of its endpoints but for where they are. */
  readonly pattern: EndpointSpec
}

/** Where a name leads. */
export interface DnsTarget {
  readonly address: string
  readonly port: number
  /** The name that has this address: the entry's, or what an SRV record leads to. */
  readonly host: string
}

/** Entries of one key ask the same question. */
export const entryKey = ({ name, port, scheme, resolver }: DnsEntry): string => `${scheme}://${name}:${port ?? "srv"} ${resolver ?? ""}`

const bracketed = (address: string): string => (isIP(address) === 6 ? `[${address}]` : address)

export const specsOf = ({ port: fixed, scheme, pattern }: DnsEntry, targets: ReadonlyArray<DnsTarget>): ReadonlyArray<EndpointSpec> =>
  targets.map(({ address, port, host }) => {
    const name = `${bracketed(address)}:${port}`
    const url = `${scheme}://${name}`
    const { tls } = pattern.origin
    // An SRV record's own name is in no certificate.
    const expected = tls === undefined || fixed !== undefined || tls.serverName !== pattern.name ? tls : { ...tls, serverName: host }
    return { ...pattern, url, displayUrl: url, name, origin: parseOrigin(url, expected) }
  })

const label = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
const dnsName = new RegExp(`^(?=.{1,254}$)${label}(?:\\.${label})*\\.?$`)

/** `undefined`: none that a resolver can have. */
export const resolverAddress = (text: string): string | undefined => {
  const [, address = text, port] = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+):(\d+)$/.exec(text) ?? []
  if (isIP(address) === 0 || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))) return undefined
  return port === undefined ? address : `${bracketed(address)}:${port}`
}

export interface LoadedDns {
  /** Those without errors. */
  readonly entries: ReadonlyArray<DnsEntry>
  readonly diagnostics: ReadonlyArray<Diagnostic>
}

export const loadDns = (config: OllaConfig, profiles: ProfileSet, sources: SecretSources): LoadedDns => {
  const diagnostics: Array<Diagnostic> = []
  const entries = new Map<string, DnsEntry>()
  for (const [index, given] of config.discovery.dns.entries()) {
    const at = `discovery.dns[${index}]`
    const before = diagnostics.length
    const say = (severity: Diagnostic["severity"], key: string, message: string, example?: string): void => {
      diagnostics.push({
        severity,
        path: `${at}.${key}`,
        message: `discovery.dns: ${message}`,
        ...(example === undefined ? {} : { example })
      })
    }
    judgeName(given, say)
    const { port, srv, interval, resolver } = given
    if (srv && port !== undefined) say("error", "port", `"${given.name}": with srv: true the records say the port; take one of the two out`)
    if (!srv && port === undefined)
      say("error", "port", `"${given.name}" needs a port, or srv: true where SRV records say it`, "port: 8000")
    if (interval < 1000)
      say("error", "interval", `"${given.name}": interval too short: minimum 1s, got ${formatDuration(interval)}`, "interval: 30s")
    const server = resolver === "" ? undefined : resolverAddress(resolver)
    if (resolver !== "" && server === undefined)
      say(
        "error",
        "resolver",
        `"${given.name}": resolver "${resolver}" is no IP address with or without a port`,
        'resolver: "127.0.0.1:5353"'
      )
    const { pattern, complaints } = patternOf(given, index, profiles, sources)
    diagnostics.push(...complaints.map(({ at: key, ...rest }): Diagnostic => ({ ...rest, path: key === "" ? at : `${at}.${key}` })))
    if (pattern === undefined || diagnostics.slice(before).some(({ severity }) => severity === "error")) continue
    const entry: DnsEntry = {
      name: given.name.replace(/\.$/, ""),
      port: srv ? undefined : port,
      scheme: given.scheme,
      resolver: server,
      interval,
      pattern
    }
    if (entries.has(entryKey(entry))) say("warning", "name", `"${given.name}" stands there twice; the later entry counts`)
    entries.delete(entryKey(entry))
    entries.set(entryKey(entry), entry)
  }
  return { entries: [...entries.values()], diagnostics }
}

type Say = (severity: Diagnostic["severity"], key: string, message: string, example?: string) => void

const judgeName = ({ name }: DnsConfig, say: Say): void => {
  if (name === "") say("error", "name", "an entry needs the name that is looked up", "name: vllm.internal")
  else if (isIP(name.replace(/^\[|\]$/g, "")) !== 0)
    say("error", "name", `"${name}" is an address: what needs no look-up belongs to discovery.static.endpoints`)
  else if (!dnsName.test(name))
    say("error", "name", `"${name}" is no DNS name: scheme and port have keys of their own`, "name: vllm.internal")
}

/** Any address: complaints about where it is are none of this entry's. */
const somewhere = "10.0.0.1"

const patternOf = (given: DnsConfig, index: number, profiles: ProfileSet, sources: SecretSources) => {
  const { port = 80, srv: _, interval: __, resolver: ___, scheme, ...said } = given
  // The certificate is that of the name, not of an address.
  const tls = scheme === "https" ? { ...given.tls, server_name: given.tls?.server_name || given.name } : given.tls
  const { spec, complaints } = loadEndpoint({ ...said, url: `${scheme}://${somewhere}:${port}`, tls }, index, profiles, sources)
  return { pattern: spec, complaints }
}
