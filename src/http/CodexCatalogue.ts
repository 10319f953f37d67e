/**
 * What Codex reads of models beside OpenAI's list. An entry replaces Codex's own system prompt, and one that lacks a field spoils the whole
 * list: without instructions there are no entries.
 */
import type { UnifiedModel } from "../catalogue/ModelOffer.ts"
import { names, withoutTwins } from "../profile/ListingEntries.ts"
import { compareBytes } from "../profile/NameOrder.ts"
import { capabilitiesOf } from "./OllamaDocuments.ts"

export interface CatalogueView {
  /** System prompt of every model; empty: none. */
  readonly instructions: string
  readonly models: ReadonlyArray<UnifiedModel>
  /** Configured names, each with the model behind it. */
  readonly aliases: ReadonlyArray<readonly [name: string, model: UnifiedModel]>
  /** Context length of models of which none is known. */
  readonly assumedContext: number
}

const levels = [
  { effort: "low", description: "Fast, with little reasoning" },
  { effort: "medium", description: "As much reasoning as most tasks need" },
  { effort: "high", description: "Much reasoning for hard tasks" }
]

const entryOf = (slug: string, model: UnifiedModel, priority: number, { instructions, assumedContext }: CatalogueView) => {
  const capabilities = capabilitiesOf(model)
  const thinks = capabilities.includes("thinking")
  const context = model.maxContextLength ?? assumedContext
  return {
    slug,
    display_name: slug,
    description: null,
    default_reasoning_level: thinks ? "medium" : null,
    supported_reasoning_levels: thinks ? levels : [],
    shell_type: "shell_command",
    visibility: "list",
    supported_in_api: true,
    priority,
    availability_nux: null,
    upgrade: null,
    base_instructions: instructions,
    model_messages: null,
    supports_reasoning_summaries: thinks,
    supports_reasoning_summary_parameter: thinks,
    default_reasoning_summary: "auto",
    support_verbosity: false,
    default_verbosity: null,
    // No other word is accepted.
    apply_patch_tool_type: "freeform",
    web_search_tool_type: "text",
    truncation_policy: { mode: "bytes", limit: 10_000 },
    supports_parallel_tool_calls: true,
    context_window: context,
    max_context_window: context,
    effective_context_window_percent: 95,
    experimental_supported_tools: [],
    input_modalities: capabilities.includes("vision") ? ["text", "image"] : ["text"]
  }
}

/** One entry for each name of a model that chats, by bytes. */
export const codexCatalogue = (view: CatalogueView): ReadonlyArray<Readonly<Record<string, unknown>>> => {
  if (view.instructions === "") return []
  const named = new Map<string, UnifiedModel>(view.aliases)
  for (const model of view.models) for (const name of withoutTwins(names(model), model.sources)) named.set(name, model)
  return [...named]
    .filter(([, model]) => capabilitiesOf(model).includes("completion"))
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([name, model], n) => entryOf(name, model, n, view))
}
