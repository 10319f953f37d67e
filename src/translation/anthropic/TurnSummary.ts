/** What both writers, whole and streamed, keep about one assistant turn: usage, how it ended, what was said. */
import type { TurnOptions } from "../AnswerWriter.ts"
import type { ChatEvent, Usage as Counts, FinishReason } from "../ChatEvent.ts"
import type { StopReason, Usage } from "./MessagesSchema.ts"

export class TurnSummary {
  model = ""
  #usage: Counts | undefined
  #reason: FinishReason | undefined
  #matchedStop: string | undefined
  #refused = false
  /** Tool blocks that the client has been or will be shown. */
  toolBlocks = 0
  /** The last of them ended in the middle of its input. */
  callIsCut = false
  #bytes = 0
  readonly #estimate: number
  readonly #stops: ReadonlyArray<string>

  readonly #maxTokens: number

  constructor(options: TurnOptions) {
    this.#maxTokens = options.maxTokens ?? Number.POSITIVE_INFINITY
    this.#estimate = options.estimate
    this.#stops = options.stops
  }

  note(event: ChatEvent): void {
    switch (event._tag) {
      case "Model":
        if (this.model === "") this.model = event.model
        break
      case "Usage":
        this.#usage = event.usage
        break
      case "Finish":
        this.#reason = event.reason
        if (event.matchedStop !== undefined) this.#matchedStop = event.matchedStop
        break
      case "Refusal":
        this.#refused = true
        this.#bytes += Buffer.byteLength(event.text)
        break
      case "Text":
      case "Thinking":
        this.#bytes += Buffer.byteLength(event.text)
        break
      case "ToolArguments":
        this.#bytes += Buffer.byteLength(event.fragment)
        break
    }
  }

  /** In Anthropic's words: a cut counts before a refusal, that before tool calls, and those before a stop sequence. */
  get stopReason(): StopReason {
    if (this.#reason === "length" || this.#cutInCall) return "max_tokens"
    if (this.#refused || this.#reason === "filter") return "refusal"
    if (this.toolBlocks > 0) return "tool_use"
    return this.stopSequence === null ? "end_turn" : "stop_sequence"
  }

  /** Some servers say that they wait for results where a call was cut off by the limit. */
  get #cutInCall(): boolean {
    return this.callIsCut && this.#reason === "calls" && (this.#usage?.completion ?? 0) >= this.#maxTokens
  }

  get stopSequence(): string | null {
    return this.#matchedStop !== undefined && this.#stops.includes(this.#matchedStop) ? this.#matchedStop : null
  }

  /** All four fields, always. `started`: for `message_start`, where no output counts yet. */
  usage(started: boolean): Usage {
    const known = this.#usage
    const cached = known?.cached ?? 0
    const estimated = this.#bytes === 0 ? 0 : Math.max(1, Math.floor(this.#bytes / 4))
    return {
      input_tokens: known !== undefined && known.prompt > 0 ? known.prompt - cached : this.#estimate,
      output_tokens: started ? 0 : known !== undefined && known.completion > 0 ? known.completion : estimated,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: cached
    }
  }
}
