/** The name under which a model is shown. */
import type { UnifiedModel } from "./ModelOffer.ts"

/** The name that listings show and clients can send. */
export const displayId = (model: UnifiedModel): string => model.aliases[0]?.name ?? model.id
