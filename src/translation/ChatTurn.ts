/**
 * What a client asks for, in no dialect: the neutral middle between "read this client's request" and "write that server's
 * request". Each dialect has one reader into it and one writer from it, and there are no direct pairs; so it has room for
 * everything that two dialects share. What only one of them knows is refused by its reader or named in `dropped`.
 */

export type Part =
  | { readonly kind: "text"; readonly text: string }
  /** An `http(s):` address, or a `data:` URL with Base64. */
  | { readonly kind: "image"; readonly url: string }
  /** `data`: a `data:` URL with Base64. */
  | { readonly kind: "file"; readonly name: string; readonly data: string }
  /** `format`: `wav`, `mp3`, ...; `data`: Base64. */
  | { readonly kind: "audio"; readonly format: string; readonly data: string }

/** A call of a tool as the assistant made it; `input` is JSON text. */
export interface Call {
  readonly id: string
  readonly name: string
  readonly input: string
}

export interface UserTurn {
  readonly role: "user"
  /** Never empty. Texts that nothing stands between are one part already: the reader knows how its dialect joins them. */
  readonly parts: ReadonlyArray<Part>
}

export interface AssistantTurn {
  readonly role: "assistant"
  /** Empty: none was said. */
  readonly reasoning: string
  /** What Anthropic's servers want back with reasoning of theirs. */
  readonly signature?: string
  readonly text: string
  readonly calls: ReadonlyArray<Call>
}

export interface ToolTurn {
  readonly role: "tool"
  /** Id of the call that this answers. */
  readonly call: string
  /** Name of the tool, where it is known; else empty. */
  readonly name: string
  readonly text: string
  /** Images and files that came with the text. */
  readonly media: ReadonlyArray<Part>
  readonly failed: boolean
}

export type Turn = UserTurn | AssistantTurn | ToolTurn

export interface Tool {
  readonly name: string
  /** Empty: none. */
  readonly description: string
  /** JSON Schema of the arguments; always an object. */
  readonly schema: { readonly [key: string]: unknown }
  readonly strict: boolean
}

export type Choice = "auto" | "required" | "none" | { readonly name: string }

export type Level = "minimal" | "low" | "medium" | "high" | "xhigh" | "max"
export type Thinking = "unset" | "off" | "on" | Level

/** `undefined`: not asked for, and then not sent either. */
export interface Sampling {
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly minP?: number | undefined
  readonly seed?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly repeatPenalty?: number | undefined
  readonly maxTokens?: number | undefined
  readonly logprobs?: boolean | undefined
  readonly topLogprobs?: number | undefined
}

/** What the answer's text has to be. */
export type Output =
  | { readonly kind: "text" }
  | { readonly kind: "json" }
  | { readonly kind: "schema"; readonly name: string; readonly schema: unknown; readonly strict: boolean }

/** Fields that some servers do not take; a writer that leaves one out names it by what the client called it. */
export type Droppable =
  | "topK"
  | "minP"
  | "seed"
  | "stops"
  | "frequencyPenalty"
  | "presencePenalty"
  | "repeatPenalty"
  | "logprobs"
  | "thinking"
  | "strict"
  | "parallel"
  | "choice"
  | "output"
  | "reasoning"

/** Text to be gone on with as it stands, without a chat's template around it. */
export interface RawPrompt {
  /** What the client asked for it by. */
  readonly field: string
  readonly prompt: string
  /** What stands behind the place to be filled; empty: nothing. */
  readonly suffix: string
}

export interface ChatTurn {
  /** As the client spelt it. */
  readonly model: string
  /** Texts before the first turn, in order. */
  readonly system: ReadonlyArray<string>
  readonly turns: ReadonlyArray<Turn>
  /** Instead of what `turns` say. */
  readonly raw?: RawPrompt
  readonly tools: ReadonlyArray<Tool>
  readonly choice: Choice | undefined
  /** May several tools be called at once? `undefined`: not said. */
  readonly parallel: boolean | undefined
  readonly sampling: Sampling
  readonly stops: ReadonlyArray<string>
  readonly output: Output
  readonly thinking: Thinking
  readonly stream: boolean
  readonly user: string | undefined
  readonly cacheKey: string | undefined
  /** Fields of the request that no server behind a translation gets, as paths in the client's dialect without indexes. */
  readonly dropped: ReadonlyArray<string>
  /** What the client calls the fields that a writer may have to drop. */
  readonly names: Readonly<Record<Droppable, string>>
}
