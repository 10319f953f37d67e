/** Who answers Responses natively, and what such an answer looks like when it is none. */
import type { ResponsesSupport } from "../../profile/Profile.ts"
import { type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"
import type { NativeForm } from "../NativeAnswer.ts"
import { codeOf } from "../openai/OpenAiErrors.ts"
import { isHosted } from "./ResponsesTools.ts"

export const responsesForm: NativeForm = {
  marks: ["object", "id"],
  streamType: "text/event-stream",
  eventEnd: "\n\n",
  // Numbers are the server's.
  ping: () => 'event: keepalive\ndata: {"type":"keepalive"}\n\n',
  // Servers say a missing route in OpenAI's form as well; but only who has it speaks of a response that is not there.
  isOwnError: (body) => /\bresp_|previous_response|\bresponse\b[^"]{0,40}\bnot found/i.test(body),
  broken: (status, message) => {
    const error = { type: "error", code: codeOf(status, message) ?? "server_error", message, param: null, sequence_number: 0 }
    return `event: error\ndata: ${JSON.stringify(error)}\n\n`
  }
}

/** What of a native request a server has refused. */
export type ResponsesRefusal = "tools" | "items"

export interface ResponsesFeatures {
  /** Tools that are neither functions nor run by OpenAI's own servers, or items of their calls. */
  readonly beyondFunctions: boolean
  /** It goes on from an answer that the server has kept. */
  readonly continues: boolean
  readonly tools: boolean
  readonly items: boolean
}

const beyond = /^(?:custom_tool_call|local_shell_call|shell_call|apply_patch_call|tool_search_|additional_tools)/

const typesOf = (list: unknown, otherwise: string): ReadonlyArray<string> =>
  (listOf(list) ?? []).map((each) => textOf(recordOf(each)?.["type"]) ?? otherwise)

export const responsesFeatures = (request: JsonRecord): ResponsesFeatures => {
  const tools = typesOf(request["tools"], "function")
  const items = typesOf(request["input"], "message")
  return {
    beyondFunctions: tools.some((type) => type !== "function" && !isHosted(type)) || items.some((type) => beyond.test(type)),
    continues: [request["previous_response_id"], request["conversation"]].some((given) => given !== undefined && given !== null),
    tools: tools.length > 0,
    items: items.some((type) => type !== "message")
  }
}

export const hasRefused = (features: ResponsesFeatures, refusal: ResponsesRefusal): boolean =>
  refusal === "tools" ? features.tools : features.items

/** Can an endpoint of this kind do natively what is asked? */
export const speaksResponses = (support: ResponsesSupport | undefined, features: ResponsesFeatures): boolean =>
  support?.enabled === true &&
  (support.stateful || !features.continues) &&
  !(features.beyondFunctions && support.limitations.includes("functions_only"))

/** What a refusal says that it cannot take, if the request has it at all. */
export const responsesRefusalOf = (status: number, sentence: string, features: ResponsesFeatures): ResponsesRefusal | undefined => {
  if (status !== 400 && status !== 422 && status !== 500) return undefined
  const text = sentence.toLowerCase()
  if (features.tools && /\btools?\b.*\btype\b|\btype\b.*\btools?\b/.test(text)) return "tools"
  return features.items && /\b(?:input|item)\b.*\btype\b|\btype\b.*\b(?:input|item)\b/.test(text) ? "items" : undefined
}
