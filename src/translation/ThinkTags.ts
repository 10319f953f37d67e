/**
 * Reasoning inside the text: models whose server does not know their form say `<think>…</think>` before the answer. What stands
 * between the tags at the very beginning is reasoning, wherever reads were cut; later tags are text like any other.
 */
import type { ChatEvent } from "./ChatEvent.ts"

const opening = "<think>"
const closing = "</think>"

export class ThinkTags {
  /** `begin`: nothing but white space and maybe a part of the tag was said. */
  #at: "begin" | "thinking" | "text" = "begin"
  #held = ""

  /** One fragment of text as events. */
  push(text: string, out: Array<ChatEvent>): void {
    if (this.#at === "text") {
      out.push({ _tag: "Text", text })
      return
    }
    let rest = this.#held + text
    this.#held = ""
    if (this.#at === "begin") {
      const said = rest.trimStart()
      if (said.length < opening.length && opening.startsWith(said)) {
        this.#held = rest
        return
      }
      if (!said.startsWith(opening)) {
        this.#at = "text"
        out.push({ _tag: "Text", text: rest })
        return
      }
      this.#at = "thinking"
      rest = said.slice(opening.length)
    }
    const end = rest.indexOf(closing)
    if (end >= 0) {
      this.#at = "text"
      if (end > 0) out.push({ _tag: "Thinking", text: rest.slice(0, end) })
      const after = rest.slice(end + closing.length)
      if (after !== "") out.push({ _tag: "Text", text: after })
      return
    }
    const kept = partOfTag(rest)
    this.#held = rest.slice(rest.length - kept)
    if (kept < rest.length) out.push({ _tag: "Thinking", text: rest.slice(0, rest.length - kept) })
  }

  /** Something else follows, or nothing: what waited for the rest of a tag was none. */
  flush(out: Array<ChatEvent>): void {
    const held = this.#held
    this.#held = ""
    if (held === "") return
    out.push({ _tag: this.#at === "thinking" ? "Thinking" : "Text", text: held })
    if (this.#at === "begin") this.#at = "text"
  }

  /** Reasoning has begun and not ended. */
  get isThinking(): boolean {
    return this.#at === "thinking"
  }
}

/** How many characters at the end may be the beginning of the closing tag. */
const partOfTag = (text: string): number => {
  for (let length = Math.min(closing.length - 1, text.length); length > 0; length--)
    if (closing.startsWith(text.slice(text.length - length))) return length
  return 0
}
