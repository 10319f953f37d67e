/** Labels of models: clients choose what they ask for, and a series for each name would be theirs to make. */

/** The spelling of a name or alias that the fleet offers now; `undefined`: nobody does. */
export type Offered = (model: string) => string | undefined

/** Stands for names that nobody offers, and for those that came too late. */
export const otherModel = "other"
/** Names that get series of their own in the life of a process. */
export const mostNames = 200
/** The same for pairs of model and endpoint. */
export const mostPairs = 300
