/**
 * Puts the tool call fragments of a stream back together. Servers number calls by `index`, or by `id` only, or give
 * several calls one index; names and ids may come late (anthropic.md B6).
 */

import type { ChatEvent } from "../ChatEvent.ts"
import { numberOf, recordOf, textOf } from "../JsonValue.ts"
import { randomId } from "../RandomId.ts"

interface Call {
  readonly number: number
  id: string
  started: boolean
  /** Arguments that came before the name. */
  held: string
}

export class ToolCalls {
  readonly #byIndex = new Map<number, Call>()
  readonly #byId = new Map<string, Call>()
  #last: Call | undefined
  #count = 0

  /** One element of `delta.tool_calls`. */
  push(delta: unknown, out: Array<ChatEvent>): void {
    const record = recordOf(delta)
    if (record === undefined) return
    const fn = recordOf(record["function"])
    const index = numberOf(record["index"])
    const id = textOf(record["id"])
    const name = textOf(fn?.["name"])
    const call = this.#find(index, id, name)
    if (id !== undefined && call.id === "") {
      call.id = id
      this.#byId.set(id, call)
    }
    const raw = fn?.["arguments"]
    const fragment = typeof raw === "string" ? raw : raw === undefined || raw === null ? "" : JSON.stringify(raw)
    if (!call.started && name !== undefined) {
      call.started = true
      if (call.id === "") call.id = randomId("toolu_01")
      out.push({ _tag: "ToolStart", call: call.number, id: call.id, name })
      if (call.held !== "") {
        out.push({ _tag: "ToolArguments", call: call.number, fragment: call.held })
        call.held = ""
      }
    }
    if (fragment === "") return
    if (call.started) out.push({ _tag: "ToolArguments", call: call.number, fragment })
    else call.held += fragment
  }

  /** Calls that never got a name: their arguments are lost. */
  get nameless(): number {
    let count = 0
    for (const call of new Set([...this.#byIndex.values(), ...this.#byId.values()])) if (!call.started) count++
    return count
  }

  #find(index: number | undefined, id: string | undefined, name: string | undefined): Call {
    const known = id !== undefined ? this.#byId.get(id) : undefined
    if (index === undefined) {
      const call = known ?? (id === undefined && name === undefined ? this.#last : undefined) ?? this.#open(undefined)
      this.#last = call
      return call
    }
    const there = this.#byIndex.get(index)
    // Another id under a known index, with a name of its own, is another call: some servers number all calls 0.
    const call =
      there === undefined || (id !== undefined && name !== undefined && there.id !== "" && there.id !== id)
        ? (known ?? this.#open(index))
        : there
    this.#byIndex.set(index, call)
    this.#last = call
    return call
  }

  #open(index: number | undefined): Call {
    const call: Call = { number: this.#count++, id: "", started: false, held: "" }
    if (index !== undefined) this.#byIndex.set(index, call)
    return call
  }
}
