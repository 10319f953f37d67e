/** Items of a Responses request's input as turns. What a run of the assistant's items says is one turn. */
import type { Call, Part, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { isRecord, type JsonRecord, kindOf, listOf, parseJson, recordOf, textOf, wordOf } from "../JsonValue.ts"
import type { SystemText } from "../SystemTexts.ts"
import { type DeclaredTools, wireName } from "./ResponsesTools.ts"

/** What was done by OpenAI's own servers: nobody else can go on with it. */
const serverItems = new Set([
  "web_search_call",
  "file_search_call",
  "code_interpreter_call",
  "image_generation_call",
  "computer_call",
  "computer_call_output",
  "mcp_list_tools",
  "mcp_approval_request",
  "mcp_approval_response"
])

interface Saying {
  reasoning: string
  text: string
  calls: Array<Call>
}

const invalid = (param: string, message: string, code = "invalid_value"): Complaint => new Complaint(message, { code, param })
const unsupported = (param: string, what: string): Complaint => invalid(param, `${param}: ${what} is not supported`, "unsupported_item")

export class InputItems {
  readonly #turns: Array<Turn | SystemText> = []
  readonly #dropped: Array<string>
  readonly #tools: DeclaredTools
  #saying: Saying | undefined

  constructor(tools: DeclaredTools, dropped: Array<string>) {
    this.#tools = tools
    this.#dropped = dropped
  }

  read(items: ReadonlyArray<unknown>): ReadonlyArray<Turn | SystemText> | Complaint {
    for (const [index, item] of items.entries()) {
      const param = `input[${index}]`
      if (!isRecord(item)) return invalid(param, `${param} must be an object, got ${kindOf(item)}`)
      const complaint = this.#item(item, param)
      if (complaint !== undefined) return complaint
    }
    this.#say()
    return this.#turns
  }

  #item(item: JsonRecord, param: string): Complaint | undefined {
    const type = textOf(item["type"]) ?? (item["role"] === undefined ? "" : "message")
    switch (type) {
      case "message":
        return this.#message(item, param)
      case "reasoning":
        this.#reasoning(item)
        return undefined
      case "function_call":
        this.#call(item, wireName(textOf(item["name"]) ?? "", textOf(item["namespace"])), argumentsOf(item["arguments"]))
        return undefined
      case "custom_tool_call":
        this.#call(
          item,
          wireName(textOf(item["name"]) ?? "", textOf(item["namespace"])),
          JSON.stringify({ input: typeof item["input"] === "string" ? item["input"] : "" })
        )
        return undefined
      case "local_shell_call":
      case "shell_call":
        this.#call(item, type.slice(0, -"_call".length), JSON.stringify(recordOf(item["action"]) ?? {}))
        return undefined
      case "apply_patch_call":
        this.#call(item, "apply_patch", JSON.stringify(recordOf(item["operation"]) ?? {}))
        return undefined
      case "tool_search_call":
        this.#call(item, "tool_search", argumentsOf(item["arguments"]))
        return undefined
      case "function_call_output":
      case "custom_tool_call_output":
      case "local_shell_call_output":
      case "shell_call_output":
      case "apply_patch_call_output":
        return this.#result(item, param, item["output"])
      case "tool_search_output": {
        const complaint = this.#tools.add(item["tools"], `${param}.tools`)
        const names = (listOf(item["tools"]) ?? []).map((tool) => textOf(recordOf(tool)?.["name"]) ?? "").filter((name) => name !== "")
        return complaint ?? this.#result(item, param, names.join("\n"))
      }
      case "additional_tools":
        return this.#tools.add(item["tools"], `${param}.tools`)
      case "mcp_call": {
        this.#call(item, textOf(item["name"]) ?? "", argumentsOf(item["arguments"]))
        return this.#result(item, param, item["output"] ?? item["error"] ?? "")
      }
      case "compaction":
      case "compaction_summary": {
        const summary = textOf(item["encrypted_content"]) ?? ""
        if (!isReadable(summary)) return unsupported(param, `a ${type} of another server`)
        this.#say()
        this.#turns.push({ role: "user", parts: [{ kind: "text", text: `<summary>${summary}</summary>` }] })
        return undefined
      }
      default:
        if (!serverItems.has(type)) return unsupported(param, `an item of type '${type}'`)
        this.#dropped.push(`input.${type}`)
        return undefined
    }
  }

  #message(item: JsonRecord, param: string): Complaint | undefined {
    const role = item["role"]
    const { content } = item
    const parts: Array<Part> = []
    if (typeof content === "string") parts.push({ kind: "text", text: content })
    else
      for (const [index, part] of (listOf(content) ?? []).entries()) {
        const read = isRecord(part) ? readPart(part, `${param}.content[${index}]`) : undefined
        if (read instanceof Complaint) return read
        if (read !== undefined) parts.push(read)
      }
    // How closely to look is the business of one company's models.
    if ((listOf(content) ?? []).some((part) => (recordOf(part)?.["detail"] ?? "auto") !== "auto"))
      this.#dropped.push("input.content.detail")
    const texts = parts.flatMap((part) => (part.kind === "text" && part.text !== "" ? [part.text] : []))
    switch (role) {
      case "user":
        this.#say()
        if (parts.some(({ kind }) => kind !== "text")) this.#turns.push({ role: "user", parts })
        else if (texts.length > 0) this.#turns.push({ role: "user", parts: [{ kind: "text", text: texts.join("\n\n") }] })
        return undefined
      case "system":
      case "developer":
        this.#say()
        this.#turns.push({ role: "system", text: texts.join("\n\n") })
        return undefined
      case "assistant":
        this.#open().text += texts.join("")
        return undefined
      default:
        return invalid(`${param}.role`, `${param}.role: must be 'user', 'assistant', 'system' or 'developer'`)
    }
  }

  #reasoning(item: JsonRecord): void {
    const textsOf = (list: unknown) => (listOf(list) ?? []).flatMap((part) => textOf(recordOf(part)?.["text"]) ?? [])
    const said = textsOf(item["content"]).join("")
    const summed = textsOf(item["summary"]).join("\n\n")
    const sealed = textOf(item["encrypted_content"]) ?? ""
    const text = said || summed || (isReadable(sealed) ? sealed : "")
    if (text === "" && sealed !== "") this.#dropped.push("input.reasoning.encrypted_content")
    if (text === "") return
    const saying = this.#open()
    saying.reasoning = saying.reasoning === "" ? text : `${saying.reasoning}\n\n${text}`
  }

  #call(item: JsonRecord, name: string, input: string): void {
    this.#open().calls.push({ id: idOf(item), name, input })
  }

  /** Right behind its call, wherever it stands: servers want nothing in between. */
  #result(item: JsonRecord, param: string, output: unknown): Complaint | undefined {
    this.#say()
    const id = idOf(item)
    const at = this.#turns.findLastIndex((turn) => turn.role === "assistant" && turn.calls.some((call) => call.id === id))
    const from = this.#turns[at]
    if (from?.role !== "assistant") return invalid(param, `No tool call found for function call output with call_id ${id}`)
    const read = readOutput(output, `${param}.output`)
    if (read instanceof Complaint) return read
    let behind = at + 1
    while (this.#turns[behind]?.role === "tool") behind++
    const name = from.calls.find((call) => call.id === id)?.name ?? ""
    this.#turns.splice(behind, 0, { role: "tool", call: id, name, ...read, failed: item["status"] === "failed" })
    return undefined
  }

  #open(): Saying {
    this.#saying ??= { reasoning: "", text: "", calls: [] }
    return this.#saying
  }

  #say(): void {
    if (this.#saying !== undefined) this.#turns.push({ role: "assistant", ...this.#saying })
    this.#saying = undefined
  }
}

/** Ciphers have no white space; what Olla put there is the text itself. */
const isReadable = (text: string): boolean => /\s/.test(text)

const idOf = (item: JsonRecord): string => textOf(item["call_id"]) ?? textOf(item["id"]) ?? ""

const argumentsOf = (value: unknown): string => (typeof value === "string" ? (value === "" ? "{}" : value) : JSON.stringify(value ?? {}))

const readPart = (part: JsonRecord, param: string): Part | Complaint | undefined => {
  switch (part["type"]) {
    case "input_text":
    case "output_text":
    case "text":
    case "summary_text":
    case "reasoning_text":
      return { kind: "text", text: textOf(part["text"]) ?? "" }
    case "refusal":
      return { kind: "text", text: textOf(part["refusal"]) ?? "" }
    case "input_image": {
      const url = textOf(part["image_url"]) ?? textOf(recordOf(part["image_url"])?.["url"])
      return url === undefined ? unsupported(param, "an image by file id") : { kind: "image", url }
    }
    case "input_file": {
      const data = textOf(part["file_data"])
      if (data === undefined) return unsupported(param, "a file by its id or URL")
      const name = textOf(part["filename"]) ?? "file"
      return { kind: "file", name, data: data.startsWith("data:") ? data : `data:application/pdf;base64,${data}` }
    }
    case "input_audio": {
      const audio = recordOf(part["input_audio"])
      return { kind: "audio", format: textOf(audio?.["format"]) ?? "wav", data: textOf(audio?.["data"]) ?? "" }
    }
    default:
      return unsupported(param, `content of type '${wordOf(part["type"])}'`)
  }
}

const partTypes = new Set<unknown>(["input_text", "output_text", "text", "input_image", "input_file"])

const readOutput = (output: unknown, param: string): { readonly text: string; readonly media: ReadonlyArray<Part> } | Complaint => {
  if (typeof output === "string") return { text: output, media: [] }
  if (output === undefined || output === null) return { text: "", media: [] }
  const list = listOf(output)
  if (list === undefined || !list.every((part) => partTypes.has(recordOf(part)?.["type"])))
    return { text: JSON.stringify(output), media: [] }
  const texts: Array<string> = []
  const media: Array<Part> = []
  for (const [index, part] of list.entries()) {
    const read = readPart(part as JsonRecord, `${param}[${index}]`)
    if (read instanceof Complaint) return read
    if (read?.kind === "text") texts.push(read.text)
    else if (read !== undefined) media.push(read)
  }
  return { text: texts.join("\n"), media }
}

/** A call's arguments as an object, where they are one. */
export const objectOf = (argumentsText: string): JsonRecord | undefined => recordOf(parseJson(argumentsText))
