/** What a client hears that has used up a limit: which one it was, its number and its key. */
import { type Admission, type Guard, type LimitScope, limitKeys } from "../guard/Guard.ts"
import { errorTable, fill } from "./ErrorTable.ts"
import { dressRefusal, limitSentence } from "./KeyLimitSentence.ts"
import type { RequestContext } from "./RequestContext.ts"

const whose: Readonly<Record<LimitScope, string>> = {
  ip: "for each client address",
  global: "for all clients together",
  health: "for each client address"
}

/** The answer's `code`, and the reason on record. */
export const rateCode = ({ refusedBy, key }: Admission): string =>
  key !== undefined ? key.code : refusedBy === "global" ? "rate_limited_global" : "rate_limited_ip"

/** 429. `X-Olla-Limit` and `Retry-After` are among the admission's headers, which every answer of the request carries. */
export const refuseRate = (context: RequestContext, admission: Admission): void => {
  const { refusedBy = "ip", limit, key } = admission
  if (key !== undefined) {
    dressRefusal(context)
    context.fail(errorTable.keyRate.status, limitSentence(key), key.code)
    return
  }
  const values = { limit: String(limit), whose: whose[refusedBy], key: limitKeys[refusedBy] }
  context.fail(errorTable.rateLimited.status, fill("rateLimited", values), rateCode(admission))
}

/** For a document that is answered here and limited like the proxied routes; false: it has been refused. */
export const admitLocal = (guard: Guard["Service"], context: RequestContext): boolean => {
  // A list takes nothing from who is known.
  if (context.exchange.client?.isAnonymous === false) return true
  const admission = guard.admitAddress(context.exchange)
  for (const part of admission.headers) context.extra.push(part)
  if (!admission.allowed) refuseRate(context, admission)
  return admission.allowed
}
