/**
 * Tools of OpenAI's Responses as functions, which is all that other servers know, and what each was, so that its calls are written
 * back as the client declared it.
 */
import { createHash } from "node:crypto"
import type { Choice, Tool } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"

export type ToolKind = "function" | "custom" | "local_shell" | "shell" | "apply_patch" | "tool_search"

/** What a function stands for. */
export interface Declared {
  readonly kind: ToolKind
  /** As the client wrote it, without its namespace. */
  readonly name: string
  readonly namespace: string | undefined
}

/** Run by OpenAI's own servers; no other can. */
const hosted = /^(?:web_search|file_search|code_interpreter|image_generation|computer|mcp$|programmatic_tool_calling$)/

export const isHosted = (type: string): boolean => hosted.test(type)

const integer = { type: "integer" }
const string = { type: "string" }
const strings = { type: "array", items: string }

const custom: JsonRecord = { type: "object", properties: { input: string }, required: ["input"], additionalProperties: false }

const fixed: Readonly<Record<"local_shell" | "shell" | "apply_patch", { readonly description: string; readonly schema: JsonRecord }>> = {
  local_shell: {
    description: "Run a command on the user's machine.",
    schema: {
      type: "object",
      properties: {
        command: { ...strings, description: "The program and its arguments." },
        timeout_ms: integer,
        working_directory: string,
        env: { type: "object", additionalProperties: string }
      },
      required: ["command"]
    }
  },
  shell: {
    description: "Run shell commands on the user's machine.",
    schema: {
      type: "object",
      properties: { commands: strings, timeout_ms: integer, max_output_length: integer },
      required: ["commands"]
    }
  },
  apply_patch: {
    description: "Create, update or delete a file by a patch.",
    schema: {
      type: "object",
      properties: {
        type: { type: "string", enum: ["create_file", "update_file", "delete_file"] },
        path: string,
        diff: { type: "string", description: "The change as a V4A diff; absent when the file is deleted." }
      },
      required: ["type", "path"]
    }
  }
}

/** Servers take names of letters, digits, `_` and `-`, 64 at most. */
const longestName = 64

/** The function's name for a member of a namespace. */
export const wireName = (name: string, namespace: string | undefined): string => {
  if (namespace === undefined || namespace === "") return name
  const full = `${namespace}__${name}`
  if (full.length <= longestName && /^[A-Za-z0-9_-]+$/.test(full)) return full
  const digest = createHash("sha256").update(full).digest("hex").slice(0, 8)
  return `${full.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, longestName - 9)}_${digest}`
}

export class DeclaredTools {
  readonly tools: Array<Tool> = []
  /** By the function's name. */
  readonly declared = new Map<string, Declared>()
  readonly dropped: Array<string> = []

  /** A list of tools, as in the request or an item of its input. */
  add(list: unknown, where: string, namespace?: string): Complaint | undefined {
    for (const [index, value] of (listOf(list) ?? []).entries()) {
      const complaint = isRecord(value) ? this.#add(value, `${where}[${index}]`, namespace) : undefined
      if (complaint !== undefined) return complaint
    }
    return undefined
  }

  #add(tool: JsonRecord, where: string, namespace: string | undefined): Complaint | undefined {
    const type = textOf(tool["type"]) ?? "function"
    const name = textOf(tool["name"])
    switch (type) {
      case "function":
      case "custom":
        if (name === undefined)
          return new Complaint(`${where}.name: a tool needs a name`, { code: "invalid_value", param: `${where}.name` })
        if (type === "custom") this.#declare("custom", name, namespace, customDescription(tool), custom)
        else this.#declare("function", name, namespace, textOf(tool["description"]) ?? "", schemaOf(tool), tool["strict"] === true)
        return undefined
      case "namespace":
        if (textOf(tool["description"]) !== undefined) this.dropped.push("tools.namespace.description")
        return this.add(tool["tools"], `${where}.tools`, name ?? "")
      case "local_shell":
      case "apply_patch":
        this.#declare(type, type, undefined, fixed[type].description, fixed[type].schema)
        return undefined
      case "shell": {
        const environment = textOf(recordOf(tool["environment"])?.["type"]) ?? "local"
        if (environment !== "local") this.dropped.push("tools.shell")
        else this.#declare("shell", "shell", undefined, fixed.shell.description, fixed.shell.schema)
        return undefined
      }
      case "tool_search":
        if (textOf(tool["execution"]) !== "client") this.dropped.push("tools.tool_search")
        else
          this.#declare(
            "tool_search",
            "tool_search",
            undefined,
            textOf(tool["description"]) ?? "Find tools by what they do.",
            schemaOf(tool)
          )
        return undefined
      default:
        if (hosted.test(type)) {
          this.dropped.push(`tools.${type}`)
          return undefined
        }
        return new Complaint(`${where}: type '${type}' is not supported`, { code: "invalid_value", param: where })
    }
  }

  /** Declared twice: what comes last counts, in its place. */
  #declare(kind: ToolKind, name: string, namespace: string | undefined, description: string, schema: JsonRecord, strict = false): void {
    const wire = wireName(name, namespace)
    const tool = { name: wire, description, schema, strict }
    const at = this.tools.findIndex((each) => each.name === wire)
    if (at >= 0) this.tools[at] = tool
    else this.tools.push(tool)
    this.declared.set(wire, { kind, name, namespace })
  }

  /** `tool_choice`; one that names a tool which was left out says nothing. `only`: the tools that it leaves. */
  choice(value: unknown): { readonly choice: Choice | undefined; readonly only: ReadonlyArray<Tool> } {
    const all = { choice: undefined, only: this.tools }
    if (value === "auto" || value === "none" || value === "required") return { choice: value, only: this.tools }
    const record = recordOf(value)
    if (record === undefined) return all
    if (record["type"] === "allowed_tools") {
      const names = new Set((listOf(record["tools"]) ?? []).map((tool) => this.#named(recordOf(tool))))
      const only = this.tools.filter((tool) => names.has(tool.name))
      return { choice: only.length === 0 ? undefined : record["mode"] === "required" ? "required" : "auto", only }
    }
    const name = this.#named(record)
    return this.declared.has(name) ? { choice: { name }, only: this.tools } : all
  }

  #named(record: JsonRecord | undefined): string {
    const name = textOf(record?.["name"]) ?? textOf(record?.["type"]) ?? ""
    const wire = wireName(name, textOf(record?.["namespace"]))
    if (this.declared.has(wire)) return wire
    // A member of a namespace by its bare name.
    for (const [full, declared] of this.declared) if (declared.name === name) return full
    return ""
  }
}

const schemaOf = (tool: JsonRecord): JsonRecord => recordOf(tool["parameters"]) ?? { type: "object", properties: {} }

const customDescription = (tool: JsonRecord): string => {
  const format = recordOf(tool["format"])
  const description = textOf(tool["description"]) ?? ""
  if (format?.["type"] !== "grammar") return description
  const grammar = `The input follows this ${textOf(format["syntax"]) ?? ""} grammar:\n${textOf(format["definition"]) ?? ""}`
  return description === "" ? grammar : `${description}\n${grammar}`
}

/** The text that a custom tool is called with, from the arguments of its function. */
export const customInput = (argumentsText: string, parsed: unknown): string => {
  const record = recordOf(parsed)
  const input = record?.["input"]
  if (typeof input === "string") return input
  const texts = Object.values(record ?? {}).filter((value) => typeof value === "string")
  return texts.length === 1 ? (texts[0] as string) : argumentsText
}
