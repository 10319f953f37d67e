/** What Ollama servers of the fleet say of themselves: what they have in memory, and which version they are. All are asked at once. */
import * as Effect from "effect/Effect"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import { isRecord, type JsonRecord, listOf, parseJson, textOf } from "../translation/JsonValue.ts"
import type { Services } from "./Services.ts"

type Rooms = Pick<Services, "fleet">

const asked = <A>({ fleet }: Rooms, path: string, read: (document: JsonRecord, endpoint: Endpoint) => A): Effect.Effect<ReadonlyArray<A>> =>
  Effect.forEach(
    fleet.endpoints.filter((endpoint) => endpoint.profile?.ollama === true && accepts(endpoint)),
    (endpoint) =>
      Effect.map(fleet.document(endpoint, path), (text): ReadonlyArray<A> => {
        const value = text === undefined ? undefined : parseJson(text)
        return isRecord(value) ? [read(value, endpoint)] : []
      }),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((all) => all.flat()))

/** May the reader see it? */
type Shown = (model: string, endpoint: Endpoint) => boolean

/** Entries of their own `ps`, as far as the models are offered here. */
const loadedThere = (document: JsonRecord, endpoint: Endpoint, isShown: Shown): ReadonlyArray<JsonRecord> => {
  const offered = new Set(endpoint.models.map(({ name }) => name))
  return (listOf(document["models"]) ?? []).filter(
    (entry): entry is JsonRecord =>
      isRecord(entry) && offered.has(textOf(entry["name"]) ?? "") && isShown(textOf(entry["name"]) ?? "", endpoint)
  )
}

/** `others`: what the rest of the fleet has in memory, in the same form. Each name once. */
export const loadedEverywhere = (
  services: Rooms,
  others: ReadonlyArray<JsonRecord>,
  isShown: Shown = () => true
): Effect.Effect<JsonRecord> =>
  Effect.map(
    asked(services, "/api/ps", (document, endpoint) => loadedThere(document, endpoint, isShown)),
    (lists) => {
      const byName = new Map<string, JsonRecord>()
      for (const entry of [...lists.flat(), ...others]) {
        const name = textOf(entry["name"]) ?? ""
        if (!byName.has(name)) byName.set(name, entry)
      }
      return { models: [...byName].sort(([a], [b]) => compareBytes(a, b)).map(([, entry]) => entry) }
    }
  )

/** What clients ask for at least: VS Code wants 0.6.4, Codex 0.13.4. */
const leastVersion = "0.20.0"

const numbersOf = (version: string): ReadonlyArray<number> | undefined => {
  const [, ...numbers] = /^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})/.exec(version) ?? []
  return numbers.length === 3 ? numbers.map(Number) : undefined
}

/** The highest; what is no version counts for nothing. */
export const highestVersion = (versions: ReadonlyArray<string>): string => {
  let [best, known] = [leastVersion, numbersOf(leastVersion) ?? []]
  for (const version of versions) {
    const numbers = numbersOf(version)
    const differs = numbers?.findIndex((number, i) => number !== known[i]) ?? -1
    if (numbers === undefined || differs < 0 || (numbers[differs] ?? 0) < (known[differs] ?? 0)) continue
    best = version
    known = numbers
  }
  return best
}

export const versionEverywhere = (services: Rooms): Effect.Effect<JsonRecord> =>
  Effect.map(
    asked(services, "/api/version", ({ version }) => textOf(version) ?? ""),
    (versions) => ({ version: highestVersion(versions) })
  )
