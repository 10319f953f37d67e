/** The body of an operator's action: none, or one JSON object of known fields. Pure. */
import { parseDuration } from "../config/Duration.ts"
import { nearest } from "../config/NearestWord.ts"

export type Action = "drain" | "resume" | "probe" | "reload"

export interface ActionOrder {
  /** Milliseconds; `undefined`: until it is resumed. */
  readonly time: number | undefined
  readonly force: boolean
  readonly reason: string
}

/** `problem` names the field and says how it would be right. */
export type ActionBody =
  | { readonly _tag: "Order"; readonly order: ActionOrder }
  | { readonly _tag: "Problem"; readonly problem: string; readonly reason: string }

/** Characters of a reason that are kept. */
const longestReason = 200

const fields = ["for", "force", "reason"]

const kept = (reason: unknown): string =>
  typeof reason === "string" ? [...reason.slice(0, 2 * longestReason)].slice(0, longestReason).join("") : ""

const problemOf = (action: Action, [name, value]: readonly [string, unknown]): string | undefined => {
  switch (name) {
    case "for": {
      if (action !== "drain") return `"for" belongs to drain, not to ${action}`
      const time = typeof value === "string" ? parseDuration(value) : undefined
      return time !== undefined && time > 0 ? undefined : '"for" needs a duration above 0 as text, such as "10m" or "1h30m"'
    }
    case "force":
      return typeof value === "boolean" ? undefined : '"force" needs true or false'
    case "reason":
      return typeof value === "string" ? undefined : '"reason" needs a text'
    default: {
      const near = nearest(name, fields)
      return `unknown field ${JSON.stringify(name.slice(0, 80))}${near === undefined ? "" : `; did you mean "${near}"?`}`
    }
  }
}

export const readAction = (action: Action, text: string): ActionBody => {
  let value: unknown = {}
  if (text.trim() !== "")
    try {
      value = JSON.parse(text)
    } catch {
      return { _tag: "Problem", problem: "the body is no JSON: leave it out, or send an object", reason: "" }
    }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { _tag: "Problem", problem: `the body is no JSON object: send none, or one such as {"reason": "new driver"}`, reason: "" }
  const given = value as { readonly for?: string; readonly force?: boolean; readonly reason?: unknown }
  const reason = kept(given.reason)
  for (const entry of Object.entries(value)) {
    const problem = problemOf(action, entry)
    if (problem !== undefined) return { _tag: "Problem", problem, reason }
  }
  return {
    _tag: "Order",
    order: { time: given.for === undefined ? undefined : parseDuration(given.for), force: given.force === true, reason }
  }
}
