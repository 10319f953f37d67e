/** Lists as their reader may see them: his models, at his endpoints, and no word of others. */
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import type { Snapshot } from "../catalogue/Snapshot.ts"
import { keyClientOf } from "../guard/keys/Access.ts"
import type { ModelPermit } from "../guard/keys/ModelPermit.ts"
import type { RequestContext } from "./RequestContext.ts"

/** `undefined`: everything. */
export const permitOf = ({ exchange }: RequestContext): ModelPermit | undefined => keyClientOf(exchange)?.permit

/** A list that is one reader's must not come to another out of a cache. */
export const keepPrivate = (context: RequestContext): void => {
  const { exchange, extra } = context
  if (exchange.client === undefined || extra.includes(keyHeaders)) return
  const at = extra.indexOf("Vary")
  if (at < 0) extra.push("Vary", keyHeaders)
  else if (!(extra[at + 1] as string).includes(keyHeaders)) extra[at + 1] += `, ${keyHeaders}`
  else return
  extra.push("Cache-Control", "private, no-cache")
}

const keyHeaders = "Authorization, X-Api-Key, Api-Key"

const narrowed = (model: UnifiedModel, permit: ModelPermit): UnifiedModel | undefined => {
  const sources = model.sources.filter(
    ({ endpoint, nativeName }) => permit.allowsEndpoint(endpoint) && permit.allowsModel(model.id, nativeName)
  )
  if (sources.length === model.sources.length) return model
  if (sources.length === 0) return undefined
  const names = new Set(sources.flatMap(({ nativeName, otherNames, ownAliases }) => [nativeName, ...otherNames, ...ownAliases]))
  return {
    ...model,
    sources,
    aliases: model.aliases.filter(({ name }) => names.has(name)),
    diskSize: sources.reduce((sum, { diskSize }) => sum + diskSize, 0)
  }
}

export const visible = (models: ReadonlyArray<UnifiedModel>, permit: ModelPermit | undefined): ReadonlyArray<UnifiedModel> =>
  permit === undefined ? models : models.flatMap((model) => narrowed(model, permit) ?? [])

/** The snapshot with what lists are made of narrowed. */
export const visibleSnapshot = (snapshot: Snapshot, permit: ModelPermit | undefined): Snapshot =>
  permit === undefined
    ? snapshot
    : {
        ...snapshot,
        unified: visible(snapshot.unified, permit),
        inventory: snapshot.inventory
          .filter(({ endpoint }) => permit.allowsEndpoint(endpoint))
          .map((entry) => ({ ...entry, models: entry.models.filter(({ name }) => permit.allowsModel(name, "")) }))
      }
