/** The names by which a form of model lists is asked for. */
import { listingFormats, type WrittenFormat } from "./ListingFormats.ts"
import type { ProfileSet } from "./Profiles.ts"

/** The form behind a name: its own word, or that of a kind or one of its prefixes. Empty is `unified`; `undefined`: there is none. */
export const formatNamed = (profiles: ProfileSet, name: string): WrittenFormat | undefined =>
  name === "" || name === "unified"
    ? "unified"
    : (listingFormats.find((format) => format === name) ?? profiles.resolveType(name)?.listingFormat)

/** All names that `formatNamed` knows, sorted. */
export const formatNames = (profiles: ProfileSet): ReadonlyArray<string> =>
  [...new Set(["unified", ...listingFormats, ...profiles.all.flatMap(({ name, prefixes }) => [name, ...prefixes])])].sort()

/** Names of the kinds that list their models in this form: what such a list calls a model, they call it. */
export const kindsThatList = (profiles: ProfileSet, format: WrittenFormat): ReadonlySet<string> =>
  new Set(profiles.all.filter(({ listingFormat }) => listingFormat === format).map(({ name }) => name))
