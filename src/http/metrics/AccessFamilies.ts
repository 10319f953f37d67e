/** Families about clients and their keys. Names come from the file, never from a request; there are none while nobody is asked for a key. */
import type { Access } from "../../guard/keys/Access.ts"
import { stateOf } from "../../guard/keys/KeyEntry.ts"
import { KeyRecord, type KeyStatistics, keyOutcomes } from "../../telemetry/KeyStatistics.ts"
import type { Family } from "../../telemetry/PrometheusText.ts"
import type { CertificateStore } from "../listener/CertificateStore.ts"
import { one, single } from "./Families.ts"

/** Keys that have series of their own. */
const mostKeys = 200

const states = ["active", "disabled", "expired", "revoked"] as const

interface Series {
  readonly key: string
  readonly record: KeyRecord
  readonly inFlight: number
}

/** The busiest by name, all others as one. */
const seriesOf = (access: Access, statistics: KeyStatistics | undefined): ReadonlyArray<Series> => {
  const { current } = access
  if (current === undefined) return []
  const clients = [...current.clients.values(), ...(current.anonymous === undefined ? [] : [current.anonymous])]
  const all = clients.map(
    ({ name, use }): Series => ({ key: name, record: statistics?.records.get(name) ?? new KeyRecord(), inFlight: use.inFlight })
  )
  if (all.length <= mostKeys) return all
  const sorted = all.toSorted((a, b) => b.record.requests - a.record.requests)
  const rest = new KeyRecord()
  let inFlight = 0
  for (const { record, inFlight: running } of sorted.slice(mostKeys)) {
    for (const outcome of keyOutcomes) rest.outcomes[outcome] += record.outcomes[outcome]
    rest.tokensIn += record.tokensIn
    rest.tokensCached += record.tokensCached
    rest.tokensOut += record.tokensOut
    inFlight += running
  }
  return [...sorted.slice(0, mostKeys), { key: "other", record: rest, inFlight }]
}

export const accessFamilies = (access: Access, statistics: KeyStatistics | undefined, now: number): ReadonlyArray<Family> => {
  const { current } = access
  if (current === undefined) return []
  const series = seriesOf(access, statistics)
  const counts = new Map<string, number>(states.map((state) => [state, 0]))
  for (const entry of current.loaded.table.entries) {
    const state = stateOf(entry, now)
    counts.set(state, (counts.get(state) ?? 0) + 1)
  }
  return [
    single(
      "counter",
      "key_requests_total",
      "Requests of each client by outcome: ok, failed, cancelled, refused.",
      series.flatMap(({ key, record }) => keyOutcomes.map((outcome) => ({ labels: { key, outcome }, value: record.outcomes[outcome] })))
    ),
    single(
      "counter",
      "key_tokens_total",
      "Tokens of each client: in, cached ones among them, cached, out.",
      series.flatMap(({ key, record }) => [
        { labels: { key, kind: "in" }, value: record.tokensIn },
        { labels: { key, kind: "cached" }, value: record.tokensCached },
        { labels: { key, kind: "out" }, value: record.tokensOut }
      ])
    ),
    single(
      "gauge",
      "key_in_flight",
      "Requests of each client that are under way.",
      series.map(({ key, inFlight }) => ({ labels: { key }, value: inFlight }))
    ),
    single(
      "counter",
      "access_refused_total",
      "Requests refused for their key, by code.",
      [...access.refusals].map(([code, value]) => ({ labels: { code }, value }))
    ),
    single(
      "gauge",
      "access_keys",
      "Keys by state.",
      [...counts].map(([state, value]) => ({ labels: { state }, value }))
    ),
    single(
      "counter",
      "access_reload_failures_total",
      "Times that the keys file was no good and the last good one stayed.",
      one(access.reloadFailures)
    )
  ]
}

export const certificateFamilies = (store: CertificateStore | undefined): ReadonlyArray<Family> =>
  store === undefined
    ? []
    : [
        single(
          "gauge",
          "tls_certificate_expiry_timestamp_seconds",
          "When each certificate of the listener ends.",
          [...new Map(store.current.pairs.map(({ names, notAfter }) => [names[0] ?? "", notAfter]))].map(([name, notAfter]) => ({
            labels: { name },
            value: notAfter / 1000
          }))
        ),
        single(
          "counter",
          "tls_handshake_failures_total",
          "Handshakes that came to nothing, by reason.",
          [...store.failures].map(([reason, value]) => ({ labels: { reason }, value }))
        )
      ]
