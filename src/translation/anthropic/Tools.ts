/** Anthropic tool definitions and `tool_choice` in OpenAI's form (anthropic.md 5.6, 5.7, B19). */
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"
import type { ChatTool, ToolChoice } from "../openai/ChatSchema.ts"
import { Complaint } from "../Translator.ts"

/** Run by Anthropic's own servers; no backend can. */
const serverTool = /^(web_search|web_fetch|code_execution|tool_search|advisor)_|^mcp_toolset$/

const text = (description: string) => ({ type: "string", description })

/** Published schemas of the client tools whose definition carries only a version. */
const clientTools: ReadonlyArray<{ readonly type: RegExp; readonly description: string; readonly schema: JsonRecord }> = [
  {
    type: /^bash_/,
    description: "Run commands in a bash shell that keeps its state between calls.",
    schema: {
      type: "object",
      properties: { command: text("The command to run."), restart: { type: "boolean", description: "Restart the shell." } }
    }
  },
  {
    type: /^text_editor_/,
    description: "View, create and edit text files.",
    schema: {
      type: "object",
      properties: {
        command: { type: "string", enum: ["view", "create", "str_replace", "insert", "undo_edit"] },
        path: text("Path of the file or folder."),
        file_text: text("Content of the file to create."),
        old_str: text("Text to replace; it must be unique in the file."),
        new_str: text("Replacement, or the text to insert."),
        insert_line: { type: "integer", description: "Line after which to insert." },
        insert_text: text("Text to insert."),
        view_range: { type: "array", items: { type: "integer" }, description: "First and last line to view." }
      },
      required: ["command", "path"]
    }
  },
  {
    type: /^memory_/,
    description: "Keep notes in files below /memories.",
    schema: {
      type: "object",
      properties: {
        command: { type: "string", enum: ["view", "create", "str_replace", "insert", "delete", "rename"] },
        path: text("Path below /memories."),
        file_text: text("Content of the file to create."),
        old_str: text("Text to replace."),
        new_str: text("Replacement."),
        insert_line: { type: "integer" },
        insert_text: text("Text to insert."),
        old_path: text("Path to rename."),
        new_path: text("New path."),
        view_range: { type: "array", items: { type: "integer" } }
      },
      required: ["command"]
    }
  },
  {
    type: /^computer_/,
    description: "Control the screen, mouse and keyboard.",
    schema: {
      type: "object",
      properties: {
        action: text("What to do: screenshot, left_click, type, key, mouse_move, scroll, wait, ..."),
        coordinate: { type: "array", items: { type: "integer" }, description: "x and y in pixels." },
        start_coordinate: { type: "array", items: { type: "integer" } },
        text: text("Text to type or keys to press."),
        scroll_direction: { type: "string", enum: ["up", "down", "left", "right"] },
        scroll_amount: { type: "integer" },
        duration: { type: "number", description: "Seconds." }
      },
      required: ["action"]
    }
  }
]

export interface ConvertedTools {
  readonly tools: ReadonlyArray<ChatTool>
  readonly choice: ToolChoice | undefined
  readonly parallel: boolean | undefined
  /** Names of tools that were left out because only Anthropic's servers can run them. */
  readonly dropped: ReadonlyArray<string>
}

export const convertTools = (request: JsonRecord): ConvertedTools | Complaint => {
  const tools: Array<ChatTool> = []
  const dropped: Array<string> = []
  for (const [index, value] of (listOf(request["tools"]) ?? []).entries()) {
    if (!isRecord(value)) continue
    const type = textOf(value["type"])
    const name = textOf(value["name"])
    if (type !== undefined && serverTool.test(type)) {
      dropped.push(name ?? type)
      continue
    }
    const fixed = type === undefined ? undefined : clientTools.find((tool) => tool.type.test(type))
    const schema = recordOf(value["input_schema"]) ?? fixed?.schema
    if (schema === undefined && type !== undefined && type !== "custom")
      return new Complaint(`tools.${index}: tool type '${type}' is not supported`)
    if (name === undefined) return new Complaint(`tools.${index}.name: a tool needs a name`)
    const description = textOf(value["description"]) ?? fixed?.description
    tools.push({
      type: "function",
      function: { name, ...(description === undefined ? {} : { description }), parameters: schema ?? { type: "object", properties: {} } }
    })
  }
  if (tools.length === 0) return { tools, choice: undefined, parallel: undefined, dropped }
  const choice = convertChoice(request["tool_choice"], dropped)
  if (choice instanceof Complaint) return choice
  const parallel = recordOf(request["tool_choice"])?.["disable_parallel_tool_use"] === true ? false : undefined
  return { tools, choice, parallel, dropped }
}

const convertChoice = (choice: unknown, dropped: ReadonlyArray<string>): ToolChoice | Complaint | undefined => {
  if (choice === undefined || choice === null) return undefined
  const kind = typeof choice === "string" ? choice : recordOf(choice)?.["type"]
  if (kind === "any") return "required"
  if (kind === "none") return "none"
  if (kind !== "tool" || typeof choice === "string") return "auto"
  const name = textOf(recordOf(choice)?.["name"])
  if (name === undefined) return new Complaint("failed to convert tool_choice: tool_choice type 'tool' requires 'name' field")
  return dropped.includes(name) ? undefined : { type: "function", function: { name } }
}
