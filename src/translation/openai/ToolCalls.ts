/**
 * Puts the tool call fragments of a stream back together. Servers number calls by `index`, or by `id` only, or give
 * several calls one index; names and ids may come late (anthropic.md B6).
 */

import type { ChatEvent } from "../ChatEvent.ts"
import { JsonCompleteness } from "../JsonCompleteness.ts"
import { numberOf, recordOf, textOf } from "../JsonValue.ts"
import { randomId } from "../RandomId.ts"

interface Call {
  readonly number: number
  id: string
  /** The id is ours: the backend had not said one when the call began. */
  idIsOurs: boolean
  /** Empty until it is known; then the call has started. */
  name: string
  /** Arguments that came before the name. */
  held: string
  /** Of a call that came without index or id: only its whole arguments tell that the same name again is another call. */
  readonly input: JsonCompleteness | undefined
}

export class ToolCalls {
  readonly #byIndex = new Map<number, Call>()
  readonly #byId = new Map<string, Call>()
  readonly #calls: Array<Call> = []
  #last: Call | undefined

  /** One element of `delta.tool_calls`. */
  push(delta: unknown, out: Array<ChatEvent>): void {
    const record = recordOf(delta)
    if (record === undefined) return
    const fn = recordOf(record["function"])
    const index = numberOf(record["index"])
    const id = textOf(record["id"])
    const name = textOf(fn?.["name"])
    const raw = fn?.["arguments"]
    const fragment = typeof raw === "string" ? raw : raw === undefined || raw === null ? "" : JSON.stringify(raw)
    const call = this.#find(index, id, name, fragment)
    if (id !== undefined && (call.id === "" || call.idIsOurs)) {
      if (call.id === "") call.id = id
      call.idIsOurs = false
      this.#byId.set(id, call)
    }
    call.input?.push(fragment)
    if (call.name === "" && name !== undefined) {
      call.name = name
      if (call.id === "") {
        call.id = randomId("toolu_01")
        call.idIsOurs = true
      }
      out.push({ _tag: "ToolStart", call: call.number, id: call.id, name })
      if (call.held !== "") {
        out.push({ _tag: "ToolArguments", call: call.number, fragment: call.held })
        call.held = ""
      }
    }
    if (fragment === "") return
    if (call.name !== "") out.push({ _tag: "ToolArguments", call: call.number, fragment })
    else call.held += fragment
  }

  /** Calls that never got a name: their arguments are lost. */
  get nameless(): number {
    return this.#calls.reduce((count, call) => (call.name === "" ? count + 1 : count), 0)
  }

  #find(index: number | undefined, id: string | undefined, name: string | undefined, fragment: string): Call {
    const known = id !== undefined ? this.#byId.get(id) : undefined
    if (index === undefined) {
      const last = this.#last
      const more =
        name === undefined
          ? id === undefined || last?.idIsOurs === true
          : id === undefined && last !== undefined && isMoreOf(last, name, fragment)
      const call = known ?? (more ? last : undefined) ?? this.#open(index, id)
      this.#last = call
      return call
    }
    const there = this.#byIndex.get(index)
    // Some servers number all calls 0: another id with a name, or without an id another name or the same one behind whole
    // arguments, is another call.
    const other =
      there !== undefined &&
      name !== undefined &&
      (id === undefined ? there.name !== "" && !isMoreOf(there, name, fragment) : there.id !== "" && there.id !== id)
    const call = there === undefined || other ? (known ?? this.#open(index, id)) : there
    this.#byIndex.set(index, call)
    this.#last = call
    return call
  }

  #open(index: number | undefined, id: string | undefined): Call {
    const input = index === undefined || id === undefined ? new JsonCompleteness() : undefined
    const call: Call = { number: this.#calls.length, id: "", idIsOurs: false, name: "", held: "", input }
    this.#calls.push(call)
    if (index !== undefined) this.#byIndex.set(index, call)
    return call
  }
}

/** A fragment that repeats the name and has no id: some servers say the name with every piece of one call's arguments. */
const isMoreOf = (call: Call, name: string, fragment: string): boolean =>
  call.name === name && (call.input?.whole !== true || fragment.trim() === "")
