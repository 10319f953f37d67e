/** Requests of translators' routes as they come in: a limit of their own, and what is wrong with them in the dialect's words. */
import type { BodyLimit } from "../../guard/SizeLimits.ts"
import { type BodyInspector, withoutOrderMark } from "../../routing/Inspecting.ts"
import { isRecord, type JsonRecord, parseJson } from "../../translation/JsonValue.ts"
import type { Translator } from "../../translation/Translator.ts"
import type { Body, BodyProblem } from "../listener/RequestBody.ts"
import type { RequestContext, UploadRefusal } from "../RequestContext.ts"
import type { Services } from "../Services.ts"
import { bodyRefusal } from "../SizeRefusal.ts"
import { copiesInTranslation } from "./Surface.ts"

const defaultSize = 32 * 1024 * 1024
/** Nesting that is parsed, as Go's servers limit it: some megabytes of opening brackets would block the daemon for half a minute. */
const maxNesting = 10_000
/**
 * The most that one parse and one translation may hold everybody else up for: 120,000 messages of one word. Anthropic takes 100,000
 * messages; a conversation of a megabyte has some ten thousand values.
 */
const mostValues = 600_000

/** Largest request. */
export const messageLimit = ({ settings, guard }: Services, { name }: Pick<Translator, "name">): BodyLimit => {
  const { max_message_size: size } = settings.current().translators[name]
  const own = { bytes: size > 0 ? size : defaultSize, key: `translators.${name}.max_message_size` }
  const general = guard.bodyLimit(copiesInTranslation)
  return general.bytes < own.bytes ? general : own
}

/** What is told of a body that is no good. */
export const problemOf = ({ guard }: Services, context: RequestContext, problem: BodyProblem, limit: BodyLimit): UploadRefusal => {
  if (problem !== "tooLarge") return { name: problem }
  if (limit.key === guard.bodyLimit(copiesInTranslation).key) guard.bodyOverflow(context.exchange, limit.bytes + 1)
  return bodyRefusal("messageTooLarge", limit, context)
}

/** Why a body is not parsed, which nothing can interrupt; `undefined`: it is. */
export const shapeProblem = (seen: BodyInspector): string | undefined => {
  if (seen.nesting > maxNesting) return `the body is nested deeper than ${maxNesting} levels`
  return seen.values > mostValues
    ? `the body has more than ${mostValues} values and keys (texts, lists and objects together), which are not translated`
    : undefined
}

export const textOfBody = (body: Body): string => withoutOrderMark(Buffer.concat(body.chunks).toString("utf8"))

/** The parsed request, or what is wrong with it or its model. */
export const parseTurn = (body: Body): JsonRecord | string => {
  if (body.size === 0) return "empty request body"
  const value = parseJson(textOfBody(body))
  if (!isRecord(value) || value["model"] === undefined) return "model field is required (body may not be valid JSON)"
  const { model } = value
  if (typeof model !== "string") return `model field must be a string, got ${nameOf(model)}`
  return model.trim() === "" ? "model field must not be empty" : value
}

/** What a model is when it is no string, in the words of the Go program that clients may know. */
const nameOf = (value: unknown): string =>
  value === null ? "Null" : value === true ? "True" : value === false ? "False" : typeof value === "number" ? "Number" : "JSON"
