/** What clients hear whose key is none, or is not for what they ask. Nothing of what they sent is in it. */

import { headersOf } from "../exchange/RawHeaders.ts"
import type { Asking, IdentityRefusal } from "../guard/keys/Access.ts"
import { keyClientOf } from "../guard/keys/Access.ts"
import type { KeyClient } from "../guard/keys/KeyClient.ts"
import { cutAfterFlush } from "../proxy/ClientSocket.ts"
import { type ErrorName, errorTable, fill } from "./ErrorTable.ts"
import { dressRefusal } from "./KeyLimitSentence.ts"
import { certificateOf } from "./listener/ClientCertificate.ts"
import { refuseRate } from "./RateRefusal.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { Services } from "./Services.ts"

const names: Readonly<Record<IdentityRefusal["code"], ErrorName>> = {
  missing_api_key: "missingKey",
  invalid_api_key: "unknownKey",
  key_disabled: "keyDisabled",
  key_expired: "keyExpired",
  conflicting_api_keys: "conflictingKeys",
  key_in_query: "keyInQuery"
}

/** Characters of a user's name that are believed. */
const longestUser = 256

/** The one value of the header; empty: none that is believed. */
const userOf = (context: RequestContext, header: string): string => {
  if (header === "" || !context.trustedPeer) return ""
  const [value = "", ...others] = headersOf(context.req.rawHeaders, header)
  return others.length === 0 && value.length <= longestUser && /^[\x21-\x7e]+$/.test(value) ? value : ""
}

/** Finds out who asks. False: nobody who may, and it has been answered. `dress`: puts errors into the form of the route. */
export const identifyClient = (services: Services, context: RequestContext, dress: () => void): boolean => {
  const { guard } = services
  const { exchange, head } = context
  const found = guard.identify((identityHeader): Asking => {
    exchange.user = userOf(context, identityHeader)
    return {
      headers: head,
      path: exchange.path,
      query: exchange.query,
      clientIp: exchange.clientIp,
      certificate: certificateOf(context.req.socket),
      user: exchange.user
    }
  })
  if (found === undefined) return true
  if (!("_tag" in found)) {
    exchange.client = found
    if (!found.isAnonymous) context.extra.push("X-Olla-Client", found.name)
    return true
  }
  dress()
  dressRefusal(context)
  const { code, name, since, isBroken, hasKey } = found
  const admission = guard.stranger(exchange)
  if (!admission.allowed) {
    for (const part of admission.headers) context.extra.push(part)
    refuseRate(context, admission)
    return false
  }
  guard.keyRefused(exchange, code, name)
  const error = isBroken ? "brokenKey" : names[code]
  const challenge = hasKey ? 'Bearer realm="olla", error="invalid_token"' : 'Bearer realm="olla"'
  const text = fill(error, { key: name, since: since === "" ? "" : ` since ${since}` })
  context.fail(errorTable[error].status, text, code, ["WWW-Authenticate", challenge])
  return false
}

const whoOf = ({ isAnonymous, name }: KeyClient): string => (isAnonymous ? "who sends no API key" : `the API key "${name}"`)

export type ModelRefusal = "model_not_allowed" | "model_required"

/** 403. `model`: the one that may not be used; empty: none was named. */
export const refuseModel = (services: Services, context: RequestContext, code: ModelRefusal, model: string): void => {
  const client = keyClientOf(context.exchange)
  if (client === undefined) return
  services.guard.keyRefused(context.exchange, code, client.name)
  dressRefusal(context)
  const error = code === "model_required" ? "modelRequired" : "modelNotAllowed"
  context.fail(errorTable[error].status, fill(error, { who: whoOf(client), model: model.slice(0, 200) }), code)
}

/** May something be written behind what was sent of a relayed stream? Only at the end of an event, and of the frame around it. */
const isBetweenEvents = ({ translator, lastAttempt }: RequestContext["exchange"]): boolean => {
  const piece = lastAttempt?.lastPiece ?? ""
  // Written event by event, and not as the backend's pieces came.
  if (translator !== undefined && piece.length === 0) return true
  const end = typeof piece === "string" ? piece.slice(-4) : Buffer.from(piece.subarray(-4)).toString("latin1")
  return end.endsWith("\n\n") || end === "\n\n\r\n"
}

/** The end of what a revoked key had begun: Messages' streams say why, all others break off. */
export const endRevoked = (context: RequestContext, name: string): void => {
  const { exchange, res } = context
  const error = "keyDisabled"
  const text = fill(error, { key: name, since: "" })
  if (!res.headersSent || context.early?.isAlone === true) {
    dressRefusal(context)
    context.fail(errorTable[error].status, text, "key_disabled", ["WWW-Authenticate", 'Bearer realm="olla", error="invalid_token"'])
    return
  }
  const { body } = context.renderError(errorTable[error].status, text, "key_disabled")
  if (exchange.stream === true && body.startsWith('{"type":"error"') && isBetweenEvents(exchange)) {
    res.write(`event: error\ndata: ${body}\n\n`)
    res.end()
  } else cutAfterFlush(res)
}
