/** All entries at one moment, for look-ups: never changed, swapped whole. */
import type { KeyEntry, KeyGroup } from "./KeyEntry.ts"

export interface Recognised {
  readonly entry: KeyEntry
  /** Epoch milliseconds from which this key is no longer good, though its entry is; `undefined`: for ever. */
  readonly until: number | undefined
}

export interface KeyTable {
  readonly entries: ReadonlyArray<KeyEntry>
  readonly byName: ReadonlyMap<string, KeyEntry>
  readonly byDigest: ReadonlyMap<string, Recognised>
  readonly groups: ReadonlyMap<string, KeyGroup>
  /** Those that can be recognised without a key, in the order in which they stand. */
  readonly byNetwork: ReadonlyArray<KeyEntry>
  readonly byUser: ReadonlyArray<KeyEntry>
  readonly byCertificate: ReadonlyArray<KeyEntry>
}

export const tableOf = (entries: ReadonlyArray<KeyEntry>, groups: ReadonlyMap<string, KeyGroup> = new Map()): KeyTable => ({
  entries,
  groups,
  byName: new Map(entries.map((entry) => [entry.name, entry])),
  byDigest: new Map(entries.flatMap((entry) => entry.digests.map(({ digest, until }) => [digest, { entry, until }] as const))),
  byNetwork: entries.filter(({ networks, unix }) => unix || networks.length > 0),
  byUser: entries.filter(({ users }) => users.length > 0),
  byCertificate: entries.filter(({ certificates }) => certificates.length > 0)
})
