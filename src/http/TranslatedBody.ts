/** Bodies of translator routes: their own limit, in the dialect's own words (anthropic.md 1, 3). */
import { BodyInspector } from "../routing/Inspecting.ts"
import { isRecord, type JsonRecord, parseJson } from "../translation/JsonValue.ts"
import type { Translator } from "../translation/Translator.ts"
import { errorTable, fill } from "./ErrorTable.ts"
import { reject } from "./ProxyRoutes.ts"
import { type Body, readBody } from "./RequestBody.ts"
import type { RequestContext } from "./RequestContext.ts"
import type { SystemServices } from "./SystemRoutes.ts"

const defaultSize = 10 * 1024 * 1024
/** As Go's servers have it. Some megabytes of opening brackets would hold the daemon for half a minute. */
const maxNesting = 10_000

/** The whole body, or an answered error. `counted`: an error is an exchange that failed. */
export const readTranslated = (
  services: SystemServices,
  translator: Translator,
  context: RequestContext,
  counted: boolean,
  then: (body: Body, inspector: BodyInspector) => void
): void => {
  const { max_message_size: size } = services.settings.current().translators[translator.name]
  const most = Math.min(size > 0 ? size : defaultSize, services.guard.maxBodySize())
  // The model counts whatever the content type says (B8).
  const seen = new BodyInspector("application/json")
  readBody(
    context,
    most,
    seen,
    (body) => {
      context.exchange.requestBytes = body.size
      context.exchange.timings.received = performance.now()
      if (seen.nesting <= maxNesting) {
        then(body, seen)
        return
      }
      if (counted) reject(services, context, errorTable.badMessage.status, "badMessage")
      context.error("badMessage", { what: `the body is nested deeper than ${maxNesting} levels` })
    },
    (problem) => {
      if (problem === "tooLarge" && most === services.guard.maxBodySize()) services.guard.bodyOverflow(context.exchange, most + 1)
      const name = problem === "tooLarge" ? "messageTooLarge" : problem
      const { status } = errorTable[name]
      const values = { limit: String(most) }
      if (counted) {
        reject(services, context, status, name)
        services.log.untranslated(context.exchange, status, fill(name, values))
      }
      context.error(name, values, ["Connection", "close"])
    }
  )
}

/** The parsed request, or what is wrong with its model (anthropic.md 3, step 2). */
export const parseTranslated = (body: Body): JsonRecord | string => {
  if (body.size === 0) return "empty request body"
  const value = parseJson(Buffer.concat(body.chunks).toString("utf8"))
  if (!isRecord(value) || value["model"] === undefined) return "model field is required (body may not be valid JSON)"
  const { model } = value
  if (typeof model !== "string") return `model field must be a string, got ${nameOf(model)}`
  return model.trim() === "" ? "model field must not be empty" : value
}

/** What a model is when it is no string, in the reference's words. */
const nameOf = (value: unknown): string =>
  value === null ? "Null" : value === true ? "True" : value === false ? "False" : typeof value === "number" ? "Number" : "JSON"
