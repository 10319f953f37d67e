/** Asks name servers for the addresses of a name: A and AAAA records, or SRV records and the addresses of what they lead to. */
import { Resolver } from "node:dns/promises"
import { isIP } from "node:net"
import type { DnsEntry, DnsTarget } from "./DnsEntry.ts"

export interface DnsFound {
  /** Each once, in an order of their own. Empty: nothing was found, and `problem` says why. */
  readonly targets: ReadonlyArray<DnsTarget>
  /** Milliseconds that the records may be kept; `undefined`: none says so. */
  readonly ttl: number | undefined
  readonly problem: string | undefined
}

/** `before`: what it led to; stays in force for the part of a name that could not be asked for. Never rejects. */
export type DnsLookup = (entry: DnsEntry, before: ReadonlyArray<DnsTarget>) => Promise<DnsFound>

/** Milliseconds that a look-up takes at most. */
const patience = 2_000

const words: Readonly<Record<string, string>> = {
  ENOTFOUND: "there is no such name (NXDOMAIN)",
  ENODATA: "the name has no such records",
  ESERVFAIL: "the name server failed (SERVFAIL)",
  EREFUSED: "the name server refused to answer (REFUSED)",
  ETIMEOUT: "no name server answered within 2s",
  ECANCELLED: "no name server answered within 2s",
  ECONNREFUSED: "no name server is there",
  EBADRESP: "the name server's answer makes no sense"
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : String(error))
const wordsOf = (code: string): string => words[code] ?? code

/** Says that there are none, which is an answer. */
const isNone = (code: string): boolean => code === "ENOTFOUND" || code === "ENODATA"

interface HostFound {
  readonly addresses: ReadonlyArray<string>
  readonly ttls: ReadonlyArray<number>
  /** Families that could not be asked for. */
  readonly unknown: ReadonlyArray<4 | 6>
  readonly code: string
}

const askHost = async (resolver: Resolver, host: string): Promise<HostFound> => {
  if (isIP(host) !== 0) return { addresses: [host], ttls: [], unknown: [], code: "" }
  const [four, six] = await Promise.allSettled([resolver.resolve4(host, { ttl: true }), resolver.resolve6(host, { ttl: true })])
  const records = [four, six].flatMap((each) => (each.status === "fulfilled" ? each.value : []))
  const failed = (
    [
      [4, four],
      [6, six]
    ] as const
  ).flatMap(([family, each]) => (each.status === "rejected" ? [{ family, code: codeOf(each.reason) }] : []))
  const worst = failed.find(({ code }) => !isNone(code)) ?? failed.find(({ code }) => code === "ENOTFOUND") ?? failed[0]
  return {
    addresses: records.map(({ address }) => address),
    ttls: records.map(({ ttl }) => ttl * 1000),
    unknown: failed.filter(({ code }) => !isNone(code)).map(({ family }) => family),
    code: worst?.code ?? "ENODATA"
  }
}

interface Place {
  readonly host: string
  readonly port: number
}

const places = async (resolver: Resolver, { name, port }: DnsEntry): Promise<ReadonlyArray<Place>> =>
  port === undefined
    ? (await resolver.resolveSrv(name)).map((record) => ({ host: record.name, port: record.port }))
    : [{ host: name, port }]

const textOf = ({ address, port }: DnsTarget): string => `${address} ${port}`

const look = async (resolver: Resolver, entry: DnsEntry, before: ReadonlyArray<DnsTarget>): Promise<DnsFound> => {
  const asked = await places(resolver, entry)
  const found = await Promise.all(asked.map(async (place) => ({ place, of: await askHost(resolver, place.host) })))
  const targets = found.flatMap(({ place: { host, port }, of }) => [
    ...of.addresses.map((address): DnsTarget => ({ address, port, host })),
    ...before.filter((each) => each.host === host && each.port === port && of.unknown.some((family) => isIP(each.address) === family))
  ])
  const ttls = found.flatMap(({ of }) => of.ttls)
  const sorted = [...new Map(targets.map((target) => [textOf(target), target])).values()].sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1))
  const isFound = found.some(({ of }) => of.addresses.length > 0)
  return {
    targets: isFound ? sorted : [],
    ttl: ttls.length === 0 ? undefined : Math.min(...ttls),
    problem: isFound ? undefined : wordsOf(found[0]?.of.code ?? "ENODATA")
  }
}

/** By the name servers of the entry, or the system's. */
export const dnsLookup: DnsLookup = async (entry, before) => {
  const resolver = new Resolver({ timeout: patience, tries: 1 })
  const timer = setTimeout(() => resolver.cancel(), patience)
  try {
    if (entry.resolver !== undefined) resolver.setServers([entry.resolver])
    return await look(resolver, entry, before)
  } catch (error) {
    return { targets: [], ttl: undefined, problem: wordsOf(codeOf(error)) }
  } finally {
    clearTimeout(timer)
  }
}
