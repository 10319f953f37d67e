/**
 * Puts the tool call fragments of a stream back together. Servers number calls by `index`, or by `id` only, or give
 * several calls one index; names and ids may come late; arguments may be JSON text of JSON text.
 */

import type { ChatEvent } from "../ChatEvent.ts"
import { JsonCompleteness } from "../JsonCompleteness.ts"
import { isRecord, numberOf, parseJson, recordOf, textOf } from "../JsonValue.ts"
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
  /** Arguments that begin as a text: whether it holds an object is known once it is whole. `undefined`: they do not. */
  quoted: string | undefined
  /** Nothing but white space came so far. */
  blank: boolean
  readonly input: JsonCompleteness
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
    call.input.push(fragment)
    if (call.name === "" && name !== undefined) {
      call.name = name
      if (call.id === "") {
        call.id = randomId("toolu_01")
        call.idIsOurs = true
      }
      out.push({ _tag: "ToolStart", call: call.number, id: call.id, name })
      const held = call.held
      call.held = ""
      if (held !== "") this.#say(call, held, out)
    }
    if (fragment === "") return
    if (call.name !== "") this.#say(call, fragment, out)
    else call.held += fragment
  }

  /** Nothing more follows: what waited to become whole is said as it is. */
  end(out: Array<ChatEvent>): void {
    for (const call of this.#calls) {
      if (call.quoted !== undefined && call.quoted !== "") out.push({ _tag: "ToolArguments", call: call.number, fragment: call.quoted })
      call.quoted = undefined
    }
  }

  /** The arguments of some call have begun and not ended. */
  get open(): boolean {
    return this.#calls.some((call) => call.name !== "" && !call.blank && !call.input.whole)
  }

  #say(call: Call, fragment: string, out: Array<ChatEvent>): void {
    if (call.blank) {
      const first = fragment.trimStart().charAt(0)
      if (first !== "") {
        call.blank = false
        if (first === '"') call.quoted = ""
      }
    }
    if (call.quoted === undefined) {
      out.push({ _tag: "ToolArguments", call: call.number, fragment })
      return
    }
    call.quoted += fragment
    if (!call.input.whole) return
    const inner = parseJson(call.quoted)
    const unwrapped = typeof inner === "string" && isRecord(parseJson(inner)) ? inner : call.quoted
    call.quoted = undefined
    out.push({ _tag: "ToolArguments", call: call.number, fragment: unwrapped })
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
      const call = known ?? (more ? last : undefined) ?? this.#open(index)
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
    // One that says neither id nor name goes on with a call: some servers count what they send instead of the calls.
    const stray = there === undefined && id === undefined && name === undefined ? this.#unfinished() : undefined
    const call = there === undefined || other ? (known ?? stray ?? this.#open(index)) : there
    this.#byIndex.set(index, call)
    this.#last = call
    return call
  }

  /** The last call whose arguments are not whole, else the last one. */
  #unfinished(): Call | undefined {
    return this.#calls.findLast(({ input }) => !input.whole) ?? this.#calls.at(-1)
  }

  #open(index: number | undefined): Call {
    const call: Call = {
      number: this.#calls.length,
      id: "",
      idIsOurs: false,
      name: "",
      held: "",
      quoted: undefined,
      blank: true,
      input: new JsonCompleteness()
    }
    this.#calls.push(call)
    if (index !== undefined) this.#byIndex.set(index, call)
    return call
  }
}

/** A fragment that repeats the name and has no id: some servers say the name with every piece of one call's arguments. */
const isMoreOf = (call: Call, name: string, fragment: string): boolean =>
  call.name === name && (call.input.whole !== true || fragment.trim() === "")
