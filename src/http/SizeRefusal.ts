/** What a client hears whose request is larger than a limit, or for whose body there is no room: the limit, its key and its variable. */
import { variableOf } from "../config/Environment.ts"
import type { Oversize } from "../guard/Guard.ts"
import { type BodyLimit, budgetKey, headerSizeKey, mostHeaders } from "../guard/SizeLimits.ts"
import type { LastWords } from "./listener/ListenerRefusal.ts"
import type { RequestContext, UploadRefusal } from "./RequestContext.ts"

/** Seconds: bodies go as fast as backends take them. */
const tryAgainAfter = "1"

const orVariable = (key: string): string => {
  const variable = variableOf(key)
  return variable === undefined ? "" : `, ${variable}`
}

/** `name`: the sentence of this surface. */
export const bodyRefusal = (
  name: "tooLarge" | "messageTooLarge" | "bodiesFull",
  { bytes, key }: BodyLimit,
  { head }: RequestContext
): UploadRefusal => {
  const values = {
    limit: String(bytes),
    key,
    variable: orVariable(key),
    unpacked: head.contentEncoding === "" ? "" : " once it is unpacked"
  }
  return { name, values, headers: ["X-Olla-Limit", key] }
}

/** For a body that would fit, were it alone. */
export const fullRefusal = (budget: number, context: RequestContext): UploadRefusal => {
  const { name, values = {}, headers = [] } = bodyRefusal("bodiesFull", { bytes: budget, key: budgetKey }, context)
  return { name, values, headers: [...headers, "Retry-After", tryAgainAfter], code: "bodies_full" }
}

const headerLimitText = (bytes: number): string => `the limit is ${bytes} bytes (${headerSizeKey}${orVariable(headerSizeKey)})`

/** For a head that the parser gives up on: no request is left to answer it in the words of its surface. */
export const overflowWords = (bytes: number): LastWords => ({
  headers: `X-Olla-Limit: ${headerSizeKey}\r\n`,
  detail: `: ${headerLimitText(bytes)}, and ${mostHeaders} header lines`
})

export const oversizeRefusal = (over: Oversize, context: RequestContext): UploadRefusal => {
  if (over.reason === "body") return bodyRefusal("tooLarge", over.limit, context)
  if ("lines" in over.limit) return { name: "headersTooLarge", values: { limit: `the limit is ${over.limit.lines} header lines` } }
  return {
    name: "headersTooLarge",
    values: { limit: headerLimitText(over.limit.bytes) },
    headers: ["X-Olla-Limit", headerSizeKey]
  }
}
