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
  /** `reason` in OpenAI's words; the last one counts. */
  | { readonly _tag: "Finish"; readonly reason: string; readonly matchedStop: string | undefined }
  /** The server says that it failed, in the middle of an answer or instead of one. */
  | { readonly _tag: "Error"; readonly message: string; readonly status: number | undefined }
  /** Nothing more follows. */
  | { readonly _tag: "End" }

/** Tokens; 0: not said. */
export interface Usage {
  /** Of the whole prompt, cached part included. */
  readonly prompt: number
  readonly completion: number
  readonly cached: number
}
