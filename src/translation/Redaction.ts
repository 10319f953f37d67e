/** A conversation's shape without what was said in it, for the inspector's files. */
import { isRecord } from "./JsonValue.ts"

/** Whose texts are words of the API, not of a conversation. */
const ofTheApi = new Set(["type", "role", "model", "id", "name", "tool_use_id", "request_id", "media_type", "stop_reason", "ttl", "effort"])

/** Below these everything is the client's own, whatever its fields are called. */
const ofTheClient = new Set(["input", "input_schema", "schema", "metadata", "details"])

/** What lies deeper is left out whole. */
const maxDepth = 64

/** Texts become their length; below the client's own fields numbers go too. Field names, flags and counts stay. */
export const redacted = (value: unknown, key = "", own = false, depth = 0): unknown => {
  if (depth > maxDepth) return "[nested too deeply]"
  if (typeof value === "string") return !own && ofTheApi.has(key) ? value : `[${value.length} characters]`
  if (typeof value === "number") return own ? "[number]" : value
  if (Array.isArray(value)) return value.map((item) => redacted(item, key, own, depth + 1))
  if (!isRecord(value)) return value
  // A tool's result may be any object; a block says what it is.
  const inside = own || ofTheClient.has(key) || (key === "content" && typeof value["type"] !== "string")
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, redacted(inner, name, inside, depth + 1)]))
}
