/**
 * What happens in one assistant turn, in no dialect: the neutral middle between "read that server's answer" and "write
 * this client's answer". A further dialect adds one reader or one writer, not a branch.
 */
export type ChatEvent =
  | { readonly _tag: "Model"; readonly model: string }
  | { readonly _tag: "Thinking"; readonly text: string }
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Refusal"; readonly text: string }
  /** A tool call whose name is known; `call` numbers calls of this turn from 0. */
  | { readonly _tag: "ToolStart"; readonly call: number; readonly id: string; readonly name: string }
  | { readonly _tag: "ToolArguments"; readonly call: number; readonly fragment: string }
  | { readonly _tag: "Usage"; readonly usage: Usage }
  /** What follows is another item of the answer, even if it is of the kind of the one before. */
  | { readonly _tag: "Boundary" }
  /** What Anthropic's servers want back with the reasoning before it. */
  | { readonly _tag: "Signature"; readonly signature: string }
  /** Elements of OpenAI's `logprobs.content`, for the text that comes with them. */
  | { readonly _tag: "Logprobs"; readonly content: ReadonlyArray<unknown> }
  /** How the turn ended; the last one counts. An answer that failed ends with `Error` instead. */
  | { readonly _tag: "Finish"; readonly reason: FinishReason; readonly matchedStop: string | undefined }
  /** The server says that it failed, in the middle of an answer or instead of one. */
  | { readonly _tag: "Error"; readonly message: string; readonly status: number | undefined }
  /** Nothing more follows. */
  | { readonly _tag: "End" }

/**
 * - `stop`: the model had said everything, or said what it was to stop at
 * - `length`: no room for more
 * - `calls`: it waits for the results of its calls
 * - `filter`: what it says is withheld
 */
export type FinishReason = "stop" | "length" | "calls" | "filter"

/** Tokens; 0: not said. */
export interface Usage {
  /** Of the whole prompt, cached part included. */
  readonly prompt: number
  readonly completion: number
  readonly cached: number
  /** Of `completion`, those of reasoning. */
  readonly reasoning: number
}
