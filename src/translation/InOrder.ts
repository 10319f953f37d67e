/**
 * The content of a turn, one item after the other, for dialects in which only one can be open. Servers mix the fragments of
 * parallel calls; what arrives while a call's arguments are still incomplete waits its turn, so nothing is lost.
 */
import type { ChatEvent } from "./ChatEvent.ts"
import { JsonCompleteness } from "./JsonCompleteness.ts"

export type Content = Extract<
  ChatEvent,
  { readonly _tag: "Thinking" | "Text" | "Refusal" | "ToolStart" | "ToolArguments" | "Boundary" | "Signature" }
>

/** Characters that may wait for a call's arguments to become whole. */
const maxWaiting = 32 * 1024 * 1024

export class InOrder {
  /** The open call; -1: none. */
  #call = -1
  #input = new JsonCompleteness()
  readonly #closed = new Set<number>()
  #waiting: Array<Content> = []
  #waitingSize = 0
  /** Why no more of the turn can be told. */
  problem: string | undefined
  /** The call that was open last ended in the middle of its arguments. */
  callIsCut = false

  /** What can be told now is appended to `out`. */
  push(event: Content, out: Array<Content>): void {
    if (this.problem !== undefined) return
    if (event._tag === "ToolArguments") this.#arguments(event, out)
    // Behind something that waits, everything waits: the order is kept.
    else if (this.#waiting.length > 0 || (this.#call >= 0 && !this.#input.whole)) this.#wait(event)
    else {
      this.#close()
      if (event._tag === "ToolStart") {
        this.#call = event.call
        this.#input = new JsonCompleteness()
      }
      out.push(event)
    }
  }

  /** Nothing more comes: what waited is told. */
  finish(out: Array<Content>): void {
    while (this.#waiting.length > 0 && this.problem === undefined) {
      this.#close()
      this.#replay(out)
    }
    this.#close()
  }

  #arguments(event: Extract<Content, { readonly _tag: "ToolArguments" }>, out: Array<Content>): void {
    if (this.#call === event.call) {
      this.#input.push(event.fragment)
      out.push(event)
      if (this.#waiting.length > 0 && this.#input.whole) this.#replay(out)
    } else if (!this.#closed.has(event.call)) this.#wait(event)
    // White space behind a whole input is nothing that could be lost.
    else if (event.fragment.trim() !== "") this.problem = `arguments came for tool call ${event.call} after its block was closed`
  }

  #wait(event: Content): void {
    this.#waiting.push(event)
    this.#waitingSize += event._tag === "ToolArguments" ? event.fragment.length : "text" in event ? event.text.length : 100
    if (this.#waitingSize > maxWaiting) this.problem = "too much content came behind a tool call whose arguments are incomplete"
  }

  /** What waited, each event anew and in order; what cannot go yet waits again. */
  #replay(out: Array<Content>): void {
    const before = this.#waiting
    this.#waiting = []
    this.#waitingSize = 0
    for (const event of before) this.push(event, out)
  }

  #close(): void {
    if (this.#call < 0) return
    this.#closed.add(this.#call)
    this.callIsCut = this.#input.begun && !this.#input.whole
    this.#call = -1
  }
}
