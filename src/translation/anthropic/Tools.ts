/** Anthropic's tool definitions, what its messages say about them in between, and `tool_choice`. */
import type { Choice, Tool } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { fieldsBeside } from "../DroppedNames.ts"
import { isRecord, type JsonRecord, listOf, recordOf, textOf } from "../JsonValue.ts"
import { serverTool } from "./MessagesRequest.ts"

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

/** Carried over, or without effect for whoever answers: all tools are sent at once. */
const knownFields = new Set([
  "type",
  "name",
  "description",
  "input_schema",
  "strict",
  "cache_control",
  "defer_loading",
  "eager_input_streaming"
])
const knownOfFixed = new Set([...knownFields, "display_width_px", "display_height_px", "display_number", "max_characters"])

/** Toolsets that stand for more tools than a name and a schema can say. */
const unknownToolset = /^(?:computer|browser)_toolset_/

export interface ReadTools {
  readonly tools: ReadonlyArray<Tool>
  readonly choice: Choice | undefined
  readonly parallel: boolean | undefined
  /** What was left out because only Anthropic's servers can run it, as paths. */
  readonly dropped: ReadonlyArray<string>
}

/** `changes`: the `tool_addition` and `tool_removal` blocks of the conversation, in order. */
export const readTools = (request: JsonRecord, changes: ReadonlyArray<JsonRecord>): ReadTools | Complaint => {
  const tools: Array<Tool> = []
  const dropped: Array<{ readonly name: string; readonly path: string }> = []
  const left = new Set<string>()
  const add = (value: JsonRecord, where: string): Complaint | undefined => {
    const type = textOf(value["type"])
    const name = textOf(value["name"])
    if (type !== undefined && serverTool.test(type)) {
      dropped.push({ name: name ?? type, path: `tools.${name ?? type}` })
      return undefined
    }
    const fixed = type === undefined ? undefined : clientTools.find((tool) => tool.type.test(type))
    const schema = recordOf(value["input_schema"]) ?? fixed?.schema
    if (type !== undefined && ((schema === undefined && type !== "custom") || unknownToolset.test(type)))
      return new Complaint(`${where}: tool type '${type}' is not supported`)
    if (name === undefined) return new Complaint(`${where}.name: a tool needs a name`)
    const description = textOf(value["description"]) ?? fixed?.description ?? ""
    for (const path of fieldsBeside(value, fixed === undefined ? knownFields : knownOfFixed, "tools.")) left.add(path)
    tools.push({ name, description, schema: schema ?? { type: "object", properties: {} }, strict: value["strict"] === true })
    return undefined
  }
  for (const [index, value] of (listOf(request["tools"]) ?? []).entries()) {
    const complaint = isRecord(value) ? add(value, `tools.${index}`) : undefined
    if (complaint !== undefined) return complaint
  }
  for (const { type, tool } of changes) {
    const change = recordOf(tool)
    const definition = recordOf(change?.["definition"])
    // One that is defined anew takes the place of the old; one that is only named again is there already.
    const gone = type === "tool_removal" ? textOf(change?.["name"]) : textOf(definition?.["name"])
    for (let at = tools.length - 1; at >= 0; at--) if (gone !== undefined && tools[at]?.name === gone) tools.splice(at, 1)
    const complaint = type === "tool_addition" && definition !== undefined ? add(definition, "tool_addition") : undefined
    if (complaint !== undefined) return complaint
  }
  const paths = [...new Set(dropped.map(({ path }) => path)), ...left]
  if (tools.length === 0) return { tools: [], choice: undefined, parallel: undefined, dropped: paths }
  const choice = readChoice(request["tool_choice"], new Set(dropped.map(({ name }) => name)))
  if (choice instanceof Complaint) return choice
  const parallel = recordOf(request["tool_choice"])?.["disable_parallel_tool_use"] === true ? false : undefined
  return { tools, choice, parallel, dropped: paths }
}

const readChoice = (choice: unknown, dropped: ReadonlySet<string>): Choice | Complaint | undefined => {
  if (choice === undefined || choice === null) return undefined
  const kind = typeof choice === "string" ? choice : recordOf(choice)?.["type"]
  if (kind === "any") return "required"
  if (kind === "none") return "none"
  if (kind !== "tool" || typeof choice === "string") return "auto"
  const name = textOf(recordOf(choice)?.["name"])
  if (name === undefined) return new Complaint("failed to convert tool_choice: tool_choice type 'tool' requires 'name' field")
  return dropped.has(name) ? undefined : { name }
}
