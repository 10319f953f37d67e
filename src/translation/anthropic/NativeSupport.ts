/** Which endpoints answer Messages natively: what their profile says, less what they have shown since. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Lessons } from "../Lessons.ts"
import { type Features, speaksNatively } from "./MessagesRequest.ts"

const dialect = "anthropic"

/** What of a native request a server has refused; `route`: all of it, as it turned out not to have the route. */
export type NativeRefusal = "route" | "system" | "neighbours" | "template" | "typedTools" | "schemas"

/** The route is a matter of the endpoint, not of a model. */
const anyModel = ""

export class NativeSupport {
  readonly #lessons: Lessons<NativeRefusal>

  constructor(lessons: Lessons<NativeRefusal>) {
    this.#lessons = lessons
  }

  /** Not asked so again for a while; a missing route no longer than until its status changes, when another server may stand there. */
  refused(endpoint: Endpoint, model: string, refusal: NativeRefusal): void {
    if (refusal === "route") endpoint.refusedDialects.add(dialect)
    this.#lessons.learn(endpoint, refusal === "route" ? anyModel : model, refusal)
  }

  answers(endpoint: Endpoint, model: string, features: Features): boolean {
    const support = endpoint.profile?.anthropic
    if (support?.enabled !== true || !speaksNatively(support, features)) return false
    if (endpoint.refusedDialects.has(dialect) && this.#lessons.of(endpoint, anyModel).has("route")) return false
    for (const refusal of this.#lessons.of(endpoint, model)) if (hasWhatIsRefused(features, refusal)) return false
    return true
  }
}

/** What a refusal says that it cannot take, if the request has it at all. */
export const refusalOf = (status: number, sentence: string, features: Features): NativeRefusal | undefined => {
  if (status !== 400 && status !== 422 && status !== 500) return undefined
  const text = sentence.toLowerCase()
  const named: ReadonlyArray<NativeRefusal> = [
    ...(/\bsystem\b/.test(text) || text.includes("must be at the beginning") ? (["system"] as const) : []),
    ...(text.includes("alternate") ? (["neighbours"] as const) : []),
    ...(text.includes("input_schema") ? (["schemas"] as const) : []),
    ...(/\btools?\b.*\btype\b|\btype\b.*\btools?\b/.test(text) ? (["typedTools"] as const) : []),
    ...(/chat template|jinja/.test(text) ? (["template"] as const) : [])
  ]
  return named.find((refusal) => hasWhatIsRefused(features, refusal))
}

const hasWhatIsRefused = (features: Features, refusal: NativeRefusal): boolean => {
  switch (refusal) {
    case "route":
      return true
    case "system":
      return features.system
    case "neighbours":
      return features.neighbours || features.system
    // Templates stumble over any of these.
    case "template":
      return features.system || features.neighbours || features.tools
    case "typedTools":
      return features.typedTools
    case "schemas":
      return features.tools
  }
}
