/** Items of a Responses answer: what each kind is called, and its fields while it opens and when it is whole. */
import type { JsonRecord } from "../JsonValue.ts"
import { objectOf } from "./InputItems.ts"
import { customInput, type Declared } from "./ResponsesTools.ts"

export type ItemStatus = "in_progress" | "completed" | "incomplete"

/** The item that is being written. `said`: its text, or its arguments. */
export interface OpenItem {
  readonly kind: "reasoning" | "text" | "refusal" | "call"
  readonly id: string
  readonly index: number
  said: string
  readonly logprobs: Array<unknown>
  /** Of a call. */
  readonly callId: string
  readonly name: string
  readonly declared: Declared | undefined
}

const prefixes = {
  function: "fc",
  custom: "ctc",
  local_shell: "lsh",
  shell: "sh",
  apply_patch: "apc",
  tool_search: "ts"
} as const

export const prefixOf = (kind: OpenItem["kind"], declared: Declared | undefined): string =>
  kind === "reasoning" ? "rs" : kind === "call" ? prefixes[declared?.kind ?? "function"] : "msg"

/** Content of a message. */
export const partOf = ({ kind, said, logprobs }: OpenItem): JsonRecord =>
  kind === "refusal" ? { type: "refusal", refusal: said } : { type: "output_text", text: said, annotations: [], logprobs }

/** `encrypted`: the client wants reasoning in the field that it sends back. It is plain text: whoever answers the next turn can read it. */
export const itemOf = (item: OpenItem, status: ItemStatus, encrypted: boolean): JsonRecord => {
  const { id, said } = item
  const opening = status === "in_progress"
  switch (item.kind) {
    case "reasoning":
      return {
        type: "reasoning",
        id,
        status,
        summary: opening ? [] : [{ type: "summary_text", text: said }],
        content: [],
        ...(encrypted && !opening ? { encrypted_content: said } : {})
      }
    case "text":
    case "refusal":
      return { type: "message", id, status, role: "assistant", content: opening ? [] : [partOf(item)] }
    case "call":
      return callOf(item, status)
  }
}

const callOf = ({ id, said, callId, name, declared }: OpenItem, status: ItemStatus): JsonRecord => {
  const common = { id, status, call_id: callId }
  const named = { name: declared?.name ?? name, ...(declared?.namespace === undefined ? {} : { namespace: declared.namespace }) }
  switch (declared?.kind) {
    case "custom":
      return { type: "custom_tool_call", ...common, ...named, input: said === "" ? "" : customInput(said, objectOf(said)) }
    case "local_shell":
      return { type: "local_shell_call", ...common, action: { type: "exec", env: {}, ...objectOf(said) } }
    case "shell":
      return { type: "shell_call", ...common, action: objectOf(said) ?? {} }
    case "apply_patch":
      return { type: "apply_patch_call", ...common, operation: objectOf(said) ?? {} }
    case "tool_search":
      return { type: "tool_search_call", ...common, arguments: objectOf(said) ?? {}, execution: "client" }
    default:
      return { type: "function_call", ...common, ...named, arguments: said }
  }
}

/** Calls of these kinds have no fragments: they are told when they are whole. */
export const isToldWhole = (declared: Declared | undefined): boolean =>
  declared !== undefined && declared.kind !== "function" && declared.kind !== "custom"
