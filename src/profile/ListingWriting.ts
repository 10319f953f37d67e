/**
 * Model lists in every form. Pure: records in, plain objects out, ascending by the id that is shown. In steps: a list of a
 * hundred thousand models would hold the loop for long.
 */
import {
  type Availability,
  type Entry,
  type Listed,
  listedAs,
  names,
  openAi,
  unified,
  type WritableModel,
  withoutTwins
} from "./ListingEntries.ts"
import type { WrittenFormat } from "./ListingFormats.ts"
import { compareBytes, sortInSteps } from "./NameOrder.ts"

/** Ascending by id; equal ids in the order in which they came. `once`: what two models are both called stands there once. */
function* ordered(entries: ReadonlyArray<Listed>, isSorted: boolean, once: boolean): Generator<void, ReadonlyArray<Entry>> {
  const sorted = isSorted ? entries : yield* sortInSteps(entries, (a, b) => compareBytes(a.id, b.id))
  const out: Array<Entry> = []
  let last: string | undefined
  for (const { id, entry } of sorted) {
    if (!once || id !== last) out.push(entry)
    last = id
    if (out.length % 1024 === 0) yield
  }
  return out
}

/** What a list is to have, and how it names it. */
export interface ListingView<A extends WritableModel> {
  /** Those of some models that it is to have. */
  readonly select: (models: ReadonlyArray<A>) => ReadonlyArray<A>
  /** Whose names it shows where it shows all of a model's; absent: everybody's. */
  readonly names?: (source: A["sources"][number]) => boolean
  /** Kinds that list in this form: where one of them has a model, it is shown under that one's name for it. */
  readonly kinds: ReadonlySet<string>
  readonly availabilityOf: (model: A) => Availability
  /** Configured names that OpenAI's form has beside the models' own, each with the model behind it. */
  readonly aliases?: ReadonlyArray<readonly [name: string, model: A]>
  /** Context length told where none is known and the form always has one. */
  readonly assumedContext?: number
}

const namesShown = <A extends WritableModel>(model: A, { names: shows }: ListingView<A>): ReadonlyArray<string> =>
  shows === undefined ? withoutTwins(names(model), model.sources) : ofSources(model.sources.filter(shows))

const ofSources = (sources: WritableModel["sources"]): ReadonlyArray<string> =>
  withoutTwins([...new Set(sources.flatMap(({ nativeName, ownAliases = [] }) => [nativeName, ...ownAliases]))], sources)

/** What one model adds to a list. */
const entriesOf = <A extends WritableModel>(format: WrittenFormat, model: A, view: ListingView<A>): ReadonlyArray<Listed> => {
  switch (format) {
    case "unified":
      return [unified(model, view.availabilityOf(model))]
    case "openai":
      return namesShown(model, view).map((id) => openAi(id, model))
    default:
      return listedAs(format, model, view.kinds, view.assumedContext)
  }
}

/** Models that are selected at a time. */
const perStep = 16
/** Places of models between two steps: a fraction of a millisecond. */
const placesPerStep = 500

export function* writeListing<A extends WritableModel>(
  format: WrittenFormat,
  models: ReadonlyArray<A>,
  view: ListingView<A>
): Generator<void, Entry> {
  const entries: Array<Listed> = []
  // Mostly they come in order: as models are listed, so they are named.
  let isSorted = true
  let places = 0
  for (let i = 0; i < models.length; i += perStep) {
    for (const model of view.select(models.slice(i, i + perStep))) {
      for (const one of entriesOf(format, model, view)) {
        const last = entries[entries.length - 1]
        if (last !== undefined && compareBytes(last.id, one.id) > 0) isSorted = false
        entries.push(one)
      }
      places += model.sources.length
    }
    places += perStep
    if (places < placesPerStep) continue
    places = 0
    yield
  }
  // Of equal ids the first stays: the model that is called so.
  for (const [name, model] of format === "openai" ? (view.aliases ?? []) : []) {
    isSorted = false
    entries.push(openAi(name, model))
  }
  const data = yield* ordered(entries, isSorted, format !== "unified")
  switch (format) {
    case "ollama":
      return { models: data }
    case "llamacpp":
      return { object: "list", data, models: data }
    default:
      return { object: "list", data }
  }
}
