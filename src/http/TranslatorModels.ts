/** Models in the form of Anthropic's list: every one that somebody can serve, and the aliases that lead to one. */
import { modelsOfInventory } from "../catalogue/Listing.ts"
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import { displayId } from "../catalogue/ModelOrder.ts"
import { accepts } from "../endpoint/Endpoint.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import { answerDocument } from "./DocumentAnswer.ts"
import { AnthropicModel, AnthropicModels } from "./documents/ListingDocuments.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { Services } from "./Services.ts"
import { keepPrivate, permitOf, visibleSnapshot } from "./VisibleModels.ts"

type Entry = (typeof AnthropicModel)["Type"]

export interface Page<A> {
  readonly data: ReadonlyArray<A>
  /** Entries remain in the direction that was asked for. */
  readonly more: boolean
}

/** One page of entries that ascend by id. `limit`: as asked, `undefined` when absent; `undefined`: it is no usable number. */
export const pageOf = <A extends { readonly id: string }>(
  entries: ReadonlyArray<A>,
  asked: { readonly limit: string | null; readonly after: string | null; readonly before: string | null }
): Page<A> | undefined => {
  const limit = asked.limit === null ? Number.POSITIVE_INFINITY : Number(asked.limit === "" ? "none" : asked.limit)
  if (asked.limit !== null && !(Number.isInteger(limit) && limit >= 1 && limit <= 1000)) return undefined
  const { after, before } = asked
  if (before !== null) {
    // Both ends given: what lies between them.
    const from = after === null ? 0 : entries.findIndex((entry) => compareBytes(entry.id, after) > 0)
    const end = entries.findIndex((entry) => compareBytes(entry.id, before) >= 0)
    const below = entries.slice(from < 0 ? entries.length : from, end < 0 ? entries.length : end)
    return { data: below.slice(-Math.min(limit, below.length || 1)), more: below.length > limit }
  }
  // An id that has gone meanwhile still marks its place.
  const above = after === null ? entries : entries.filter((entry) => compareBytes(entry.id, after) > 0)
  return { data: above.slice(0, limit), more: above.length > limit }
}

export const modelsPage = (services: Services, context: RequestContext): void => {
  const query = new URLSearchParams(context.exchange.query)
  const page = pageOf(entriesOf(services, context), {
    limit: query.get("limit"),
    after: query.get("after_id"),
    before: query.get("before_id")
  })
  if (page === undefined) {
    context.error("badPage")
    return
  }
  const { data } = page
  answerDocument(context, AnthropicModels, {
    data: [...data],
    has_more: page.more,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null
  })
}

/** `path`: what stands behind the list's own path; may contain slashes. */
export const modelById = (services: Services, context: RequestContext, path: string): void => {
  const id = decoded(path)
  const entries = entriesOf(services, context)
  const entry = entries.find((one) => one.id === id) ?? entries.find((one) => one.id.toLowerCase() === id.toLowerCase())
  if (entry === undefined) context.error("noSuchModel", { model: id })
  else answerDocument(context, AnthropicModel, entry)
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const entriesOf = (services: Services, context: RequestContext): ReadonlyArray<Entry> => {
  keepPrivate(context)
  const config = services.settings.current()
  const permit = permitOf(context)
  const whole = services.catalogue.snapshot()
  const snapshot = visibleSnapshot(whole, permit)
  const unified = config.model_registry.enable_unifier ? snapshot.unified : modelsOfInventory(snapshot.inventory)
  const served = (model: UnifiedModel) => model.sources.some((source) => accepts(source.endpoint))
  const aliases = Object.keys(config.model_aliases).filter(
    (alias) =>
      permit?.mayAsk(whole, alias) !== false && whole.alias(alias)?.offer.holders.some(({ endpoint }) => accepts(endpoint)) === true
  )
  const created = new Date(Math.floor(services.statistics.startedAt / 1000) * 1000).toISOString().replace(".000Z", "Z")
  return [...new Set([...unified.filter(served).map(displayId), ...aliases])]
    .sort(compareBytes)
    .map((id) => ({ type: "model", id, display_name: id, created_at: created }))
}
