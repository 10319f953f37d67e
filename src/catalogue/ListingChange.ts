/** Did a backend's list change, or did it only say the same again? Most do, every few minutes, and then nothing need be rebuilt. */
import type { ListedModel } from "../profile/ListedModel.ts"

/**
 * Some servers put the moment of the answer into `created`: where no digest tells what changed, the first value stays, so
 * that lists do not differ from call to call.
 */
export const steadied = (before: ReadonlyArray<ListedModel>, after: ReadonlyArray<ListedModel>): ReadonlyArray<ListedModel> => {
  if (before.length === 0 || !after.some((model) => model.created !== undefined)) return after
  const known = new Map(before.map((model) => [model.name, model]))
  return after.map((model) => {
    const earlier = known.get(model.name)
    if (earlier?.created === undefined || model.created === undefined || earlier.created === model.created) return model
    if (model.details?.digest !== undefined) return model
    const modified = earlier.details?.modified_at
    const details = model.details === undefined || modified === undefined ? model.details : { ...model.details, modified_at: modified }
    return { ...model, created: earlier.created, ...(details === undefined ? {} : { details }) }
  })
}

/** Equal but for the time of arrival. */
export const sameListing = (a: ReadonlyArray<ListedModel>, b: ReadonlyArray<ListedModel>): boolean =>
  a === b || (a.length === b.length && a.every((model, i) => sameFields(model, b[i], "lastSeen")))

const sameFields = (a: unknown, b: unknown, except?: string): boolean => {
  if (Object.is(a, b)) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  const left = a as Readonly<Record<string, unknown>>
  const right = b as Readonly<Record<string, unknown>>
  const keys = Object.keys(left)
  if (keys.length !== Object.keys(right).length) return false
  return keys.every((key) => key === except || sameFields(left[key], right[key]))
}
