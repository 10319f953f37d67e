/** A turn in no dialect as the body of Ollama's `/api/chat`, for servers that speak nothing else. */
import type { ChatTurn, Droppable, Part, Turn } from "../ChatTurn.ts"
import { Complaint } from "../Complaint.ts"
import { type JsonRecord, parseJson, recordOf } from "../JsonValue.ts"

export interface OllamaWriting {
  /** Everything but `model`, which has another name on each endpoint. */
  readonly fields: JsonRecord
  /** What the API has no place for, as paths in the client's dialect. */
  readonly dropped: ReadonlyArray<string>
}

export const writeOllama = (turn: ChatTurn): OllamaWriting | Complaint => {
  const { sampling, output, thinking, stops } = turn
  const messages: Array<JsonRecord> = turn.system.length === 0 ? [] : [{ role: "system", content: turn.system.join("\n\n") }]
  for (const each of turn.turns) {
    const message = messageOf(each)
    if (message instanceof Complaint) return message
    messages.push(message)
  }
  // The API knows no choice; without tools none is called.
  const tools = turn.choice === "none" ? [] : turn.tools
  const options = Object.fromEntries(
    Object.entries({
      temperature: sampling.temperature,
      top_p: sampling.topP,
      top_k: sampling.topK,
      min_p: sampling.minP,
      seed: sampling.seed,
      stop: stops.length === 0 ? undefined : stops,
      frequency_penalty: sampling.frequencyPenalty,
      presence_penalty: sampling.presencePenalty,
      repeat_penalty: sampling.repeatPenalty,
      num_predict: sampling.maxTokens
    }).filter(([, value]) => value !== undefined)
  )
  const fields = {
    stream: turn.stream,
    messages,
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, schema }) => ({
            type: "function",
            function: { name, ...(description === "" ? {} : { description }), parameters: schema }
          }))
        }),
    ...(output.kind === "text" ? {} : { format: output.kind === "json" ? "json" : output.schema }),
    ...(thinking === "unset" ? {} : { think: thinkOf(thinking) }),
    ...(sampling.logprobs === undefined ? {} : { logprobs: sampling.logprobs }),
    ...(sampling.topLogprobs === undefined ? {} : { top_logprobs: sampling.topLogprobs }),
    ...(Object.keys(options).length === 0 ? {} : { options })
  }
  return { fields, dropped: droppedOf(turn).map((name) => turn.names[name]) }
}

const droppedOf = ({ choice, parallel, tools }: ChatTurn): ReadonlyArray<Droppable> => [
  ...(choice === undefined || choice === "none" || choice === "auto" ? [] : (["choice"] as const)),
  ...(parallel === undefined ? [] : (["parallel"] as const)),
  ...(tools.some(({ strict }) => strict) ? (["strict"] as const) : [])
]

const thinkOf = (thinking: Exclude<ChatTurn["thinking"], "unset">): boolean | string => {
  switch (thinking) {
    case "off":
      return false
    case "on":
      return true
    case "minimal":
      return "low"
    case "xhigh":
      return "max"
    default:
      return thinking
  }
}

const messageOf = (turn: Turn): JsonRecord | Complaint => {
  switch (turn.role) {
    case "user":
      return withImages({ role: "user" }, turn.parts)
    case "tool": {
      const text = turn.failed && !/^error/i.test(turn.text) ? `Error: ${turn.text}` : turn.text
      return withImages({ role: "tool", tool_call_id: turn.call, ...(turn.name === "" ? {} : { tool_name: turn.name }) }, [
        { kind: "text", text },
        ...turn.media
      ])
    }
    case "assistant":
      return {
        role: "assistant",
        content: turn.text,
        ...(turn.reasoning === "" ? {} : { thinking: turn.reasoning }),
        ...(turn.calls.length === 0
          ? {}
          : {
              tool_calls: turn.calls.map(({ id, name, input }) => ({ id, function: { name, arguments: recordOf(parseJson(input)) ?? {} } }))
            })
      }
  }
}

/** Images stand beside the text there, as bare Base64. */
const withImages = (message: JsonRecord, parts: ReadonlyArray<Part>): JsonRecord | Complaint => {
  const texts: Array<string> = []
  const images: Array<string> = []
  for (const part of parts) {
    if (part.kind === "text") texts.push(part.text)
    else if (part.kind !== "image")
      return new Complaint(`${part.kind === "file" ? "files are" : "audio is"} not supported by the endpoints of this model`)
    else {
      const data = /^data:[^,]*;base64,(.*)$/s.exec(part.url)?.[1]
      if (data === undefined) return new Complaint("images by URL are not supported by the endpoints of this model: send their data")
      images.push(data)
    }
  }
  return { ...message, content: texts.join("\n\n"), ...(images.length === 0 ? {} : { images }) }
}
