/** What is told of clients and their keys: figures of each, and how it stands with the table. */
import type { Access, AccessInForce } from "../guard/keys/Access.ts"
import { remaining } from "../guard/keys/KeyAdmission.ts"
import type { KeyClient } from "../guard/keys/KeyClient.ts"
import { stateOf } from "../guard/keys/KeyEntry.ts"
import { KeyRecord, type KeyStatistics } from "../telemetry/KeyStatistics.ts"
import type { KeysDocument } from "./documents/KeysDocument.ts"
import type { StatusDocument } from "./documents/StatusDocument.ts"
import { timestamp } from "./Formats.ts"
import type { CertificateStore } from "./listener/CertificateStore.ts"

type Document = typeof KeysDocument.Type

const nothing = new KeyRecord()

const limit = (value: number): number | null => (value > 0 ? value : null)

const figuresOf = (
  client: KeyClient | undefined,
  record: KeyRecord,
  refusals: ReadonlyMap<string, number>,
  now: number
): Document["anonymous"] => {
  const count = (...codes: ReadonlyArray<string>) => codes.reduce((sum, code) => sum + (refusals.get(code) ?? 0), 0)
  const left = client === undefined ? undefined : remaining(client, now)
  return {
    requests: record.requests,
    failures: record.outcomes.failed,
    refused: {
      requests: count("rate_limited"),
      tokens: count("tokens_exhausted"),
      concurrency: count("too_many_concurrent"),
      model: count("model_not_allowed", "model_required")
    },
    in_flight: client?.use.inFlight ?? 0,
    tokens_in: record.tokensIn,
    tokens_cached: record.tokensCached,
    tokens_out: record.tokensOut,
    tokens_estimated: record.tokensEstimated,
    last_used: record.lastUsed === 0 ? null : timestamp(record.lastUsed),
    limits: {
      requests_per_minute: limit(client?.rules.requestsPerMinute ?? 0),
      requests_remaining: left?.requests ?? null,
      tokens_per_minute: limit(client?.rules.tokensPerMinute ?? 0),
      tokens_remaining: left?.tokens ?? null,
      max_concurrent: limit(client?.rules.maxConcurrent ?? 0)
    },
    models: Object.fromEntries(
      [...record.models].map(([model, { requests, tokensIn, tokensOut }]) => [
        model,
        { requests, tokens_in: tokensIn, tokens_out: tokensOut }
      ])
    )
  }
}

const none: ReadonlyMap<string, number> = new Map()

/** `wall`: epoch milliseconds; `now`: of the clock that limits go by. */
export const keysDocument = (
  access: Access,
  inForce: AccessInForce,
  statistics: KeyStatistics | undefined,
  { wall, now, since }: { readonly wall: number; readonly now: number; readonly since: number }
): Document => {
  const recordOf = (name: string) => statistics?.records.get(name) ?? nothing
  return {
    timestamp: timestamp(wall),
    since: timestamp(since),
    keys: inForce.loaded.table.entries.map((entry) => ({
      name: entry.name,
      group: entry.group ?? null,
      state: stateOf(entry, wall),
      expires: entry.expires === undefined ? null : timestamp(entry.expires),
      ...figuresOf(inForce.clients.get(entry.name), recordOf(entry.name), access.refusalsOf.get(entry.name) ?? none, now)
    })),
    anonymous: figuresOf(inForce.anonymous, recordOf("anonymous"), access.refusalsOf.get("anonymous") ?? none, now),
    refused: Object.fromEntries(access.refusals)
  }
}

export const accessStatus = (access: Access): (typeof StatusDocument.Type)["access"] => {
  const { current, lastError } = access
  if (current === undefined) return undefined
  const { anonymous, source, table } = current.loaded
  return {
    keys: table.entries.length,
    anonymous: typeof anonymous === "string" ? anonymous : "limited",
    source,
    generation: current.generation,
    loaded_at: timestamp(current.loadedAt),
    last_error: lastError ?? null
  }
}

export const tlsStatus = (store: CertificateStore | undefined, minVersion: "1.2" | "1.3"): (typeof StatusDocument.Type)["tls"] =>
  store === undefined
    ? undefined
    : {
        min_version: minVersion,
        certificates: store.current.pairs.map(({ names, notAfter, fingerprint }) => ({
          names,
          not_after: timestamp(notAfter),
          fingerprint_sha256: fingerprint,
          loaded_at: timestamp(store.loadedAt),
          last_error: store.lastError ?? null
        }))
      }
