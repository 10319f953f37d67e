/**
 * Finds a few top-level fields of a JSON body while its chunks arrive, without copying it and without a parse. For valid
 * JSON it answers what JSON.parse would: the last duplicate wins, escaped keys count, nested keys do not (it never stops
 * early, or it would route by one `model` and the backend run another). It does not validate: the backend does.
 * Below about 8 KB JSON.parse is cheaper.
 */

const Q = 34
const BS = 92
/** Bytes of a string that are looked at by hand before memchr is asked. */
const NEAR = 48
/** Bytes of the longest key that can be a wanted one, each character escaped as `\\u006d`. */
const maxKey = 21 * 6
/** How often wanted keys may come in one object: no honest client repeats one a thousand times, and each one costs. */
const mostWanted = 1000
/** Bytes of a wanted value that are kept: no model has a longer name, and its beginning is enough to find that out. */
const maxValue = 4096

export type Field = "model" | "stream" | "limit" | PromptField

/** Whose values a server reads as the prompt. */
export type PromptField = "tools" | "system" | "messages" | "prompt" | "input"

/** Bytes from `start` to `end` of a body. */
export type Span = readonly [start: number, end: number]

const fieldNames: ReadonlyMap<string, Field> = new Map([
  ["stream", "stream"],
  ["messages", "messages"],
  ["prompt", "prompt"],
  ["input", "input"],
  ["tools", "tools"],
  ["system", "system"],
  ["instructions", "system"],
  ["max_tokens", "limit"],
  ["max_completion_tokens", "limit"],
  ["max_output_tokens", "limit"]
])

/** The wanted fields; `model` in any case, as some servers read it. */
const fieldOf = (key: string): Field | undefined =>
  fieldNames.get(key) ?? (key.length === 5 && key.toLowerCase() === "model" ? "model" : undefined)

/** Could a key of these bytes, without escapes, be a wanted one? Most are told from them by their length, or by their first byte. */
const mayBeWanted = (b: Buffer, from: number, length: number): boolean => {
  const first = b[from]! | 0x20
  const second = b[from + 1]!
  // model, tools, input
  if (length === 5)
    return (
      (first === 109 && (second | 0x20) === 111 && (b[from + 2]! | 0x20) === 100) ||
      (first === 116 && second === 111) ||
      (first === 105 && second === 110)
    )
  // stream, system, prompt
  if (length === 6) return (first === 115 && (second === 116 || second === 121)) || (first === 112 && second === 114)
  // messages
  if (length === 8) return first === 109 && second === 101
  // instructions
  if (length === 12) return first === 105 && second === 110
  // max_tokens, max_output_tokens, max_completion_tokens
  return (length === 10 || length === 17 || length === 21) && first === 109 && second === 97 && b[from + 3] === 95
}

/** Does a text begin here as only images do: a data URL, a media type, or one of the words by which the dialects name them? */
const beginsAsImage = (b: Buffer, at: number): boolean => {
  if (b[at] === 100) return b[at + 1] === 97 && b[at + 4] === 58 && b[at + 5] === 105 && b[at + 6] === 109
  if (b[at + 1] !== 109 || b[at + 2] !== 97 || b[at + 3] !== 103 || b[at + 4] !== 101) return false
  const next = b[at + 5]
  // image" image/ image_ images"
  return next === Q || next === 47 || next === 95 || (next === 115 && b[at + 6] === Q)
}

/** Of the UTF-8 byte order mark (EF BB BF) that some programs put in front of everything they write. */
const isOrderMark = (offset: number, byte: number): boolean => offset < 3 && byte === (offset === 0 ? 0xef : offset === 1 ? 0xbb : 0xbf)

const hasEscape = (b: Buffer, from: number, to: number): boolean => {
  for (let i = from; i < to; i++) if (b[i] === BS) return true
  return false
}

export class BodyScan {
  /** The last value of each wanted field, as JSON.parse would have it; objects and lists as `nested`. */
  readonly found = new Map<Field, unknown>()
  /** The first non-empty model, trimmed, one of the exact key before others: what counts when the body is not whole. */
  firstModel = ""
  /** The last value of the key `model` in just this spelling. */
  #exactModel: unknown
  #firstIsExact = false
  #isExact = false
  /** Byte offsets of every top-level model value that is a string, quotes included. */
  readonly spans: Array<readonly [start: number, end: number]> = []
  /** Byte offset of the last top-level `messages` list; -1: there is none. */
  messagesAt = -1
  /** Byte offset of the last top-level `prompt` that is a text, a list or an object; -1: there is none. */
  promptAt = -1
  /** An image lies in it, as far as the words that name one tell; where the chunks part such a word, its next one does. */
  hasImage = false
  readonly #prompt = new Map<PromptField, Span>()
  #openedAt = -1
  #opened: PromptField | undefined
  /** Lists and objects that lie in one another, at most. */
  deepest = 0
  /** Lists, objects and texts, keys among them: what a parse would make objects of. */
  values = 0
  ok = true
  done = false
  #base = 0
  #spanStart = 0
  #field: Field | undefined
  #mode = 0 // 0 structure, 1 string nobody wants, 2 a top-level key, 3 a wanted string value, 4 a wanted scalar
  #depth = 0
  #isKey = false
  #colon = false
  #esc = false
  #wanted = false
  #wantedKeys = 0
  #part: Buffer[] = []
  #partLen = 0
  #cut = false

  push(b: Buffer): void {
    const L = b.length
    let i = 0,
      from = 0
    let depth = this.#depth
    let { values } = this
    if (!this.ok) return
    for (;;) {
      if (this.#mode === 0) {
        let c = 0
        // structure: only quotes, brackets and, on level one, commas and colons matter
        for (; i < L; i++) {
          c = b[i]!
          if (c === Q) break
          if (c <= 32) continue
          if (c === 123 || c === 91) {
            if (depth === 0 && (c !== 123 || this.done)) return this.#bad()
            if (depth === 1) {
              if (this.#isKey || !this.#colon) return this.#bad()
              if (c === 91 && this.#wanted && this.#field === "messages") this.messagesAt = this.#base + i
              if (this.#wanted && this.#field === "prompt") this.promptAt = this.#base + i
              if (this.#wanted) this.#open(this.#base + i)
              this.#value(null, "{")
            }
            depth++
            values++
            if (depth > this.deepest) this.deepest = depth
            if (depth === 1) this.#isKey = true
          } else if (c === 125 || c === 93) {
            if (depth === 0) return this.#bad()
            if (--depth === 0) {
              if (c !== 125) return this.#bad()
              this.done = true
            } else if (depth === 1 && this.#opened !== undefined) this.#close(this.#base + i + 1)
          } else if (depth === 1) {
            if (c === 44) {
              this.#isKey = true
              this.#colon = false
            } else if (c === 58) {
              if (this.#isKey || this.#colon) return this.#bad()
              this.#colon = true
            } else if (this.#isKey || !this.#colon) return this.#bad()
            else if (this.#wanted) {
              this.#mode = 4
              from = i
              break
            }
          } else if (depth === 0 && !isOrderMark(this.#base + i, c)) return this.#bad()
        }
        if (i >= L) break
        if (c !== Q) continue
        if (depth === 0) return this.#bad()
        i++
        values++
        if (depth > 1) {
          if ((b[i] === 100 || b[i] === 105) && !this.hasImage && beginsAsImage(b, i)) this.hasImage = true
          // most strings below level one are short and plain: skip them here
          const near = i + NEAR < L ? i + NEAR : L
          let j = i
          while (j < near) {
            c = b[j]!
            if (c === Q || c === BS) break
            j++
          }
          if (j < near && c === Q) {
            i = j + 1
            continue
          }
          i = j
          if (i >= L) {
            this.#mode = 1
            break
          }
        }
        from = i
        this.#spanStart = this.#base + i - 1
        this.#mode = depth !== 1 ? 1 : this.#isKey ? 2 : this.#wanted ? 3 : 1
        if (depth === 1 && !this.#isKey && !this.#colon) return this.#bad()
      } else if (this.#mode === 4) {
        while (i < L) {
          const c = b[i]!
          if (c === 44 || c === 125 || c <= 32) break
          i++
        }
        this.#keep(b, from, i)
        if (i >= L) break
        this.#value(this.#text(), "")
        if (!this.ok) return
        this.#mode = 0
      } else {
        // inside a string: look at a few bytes by hand, then let memchr run
        let end = -1,
          by = NEAR
        if (this.#esc && i < L) {
          this.#esc = false
          i++
        }
        while (i < L) {
          const near = i + by < L ? i + by : L
          while (i < near) {
            const c = b[i]!
            if (c === Q) {
              end = i
              break
            }
            i += c === BS ? 2 : 1
          }
          if (end >= 0 || i >= L) break
          const q = b.indexOf(Q, i)
          if (q < 0) {
            let k = L - 1
            while (k >= i && b[k] === BS) k--
            this.#esc = ((L - 1 - k) & 1) === 1
            i = L
            break
          }
          let k = q - 1
          while (k >= i && b[k] === BS) k--
          if (((q - 1 - k) & 1) === 0) {
            end = q
            break
          }
          by = q - i < 512 ? (by < 4096 ? by * 4 : by) : NEAR // many escaped quotes: memchr does not pay
          i = q + 1
        }
        if (end < 0) {
          if (i > L) this.#esc = true
          if (this.#mode !== 1) this.#keep(b, from, L)
          break
        }
        i = end + 1
        if (this.#mode === 3 && this.#field === "model") this.spans.push([this.#spanStart, this.#base + i])
        if (this.#mode === 3) {
          if (this.#field === "prompt") this.promptAt = this.#spanStart
          this.#open(this.#spanStart)
          this.#close(this.#base + i)
        }
        if (this.#mode === 1) {
          if (depth === 1) this.#wanted = false
        } else {
          if (this.#mode === 2) this.#key(b, from, end)
          else {
            this.#keep(b, from, end)
            this.#value(this.#text(), '"')
          }
          // Nothing after a fault counts, so that it does not matter where the chunks were cut.
          if (!this.ok) return
        }
        this.#mode = 0
      }
    }
    this.#depth = depth
    this.values = values
    this.#base += L
  }
  /** The last value of `model`; where that is no name, of a key that differs in case, as some servers read it. */
  get model(): unknown {
    const exact = this.#exactModel
    return typeof exact === "string" && exact.trim() !== "" ? exact : this.found.get("model")
  }

  /** It was given up, because it repeats a wanted key without end: what else is in it is not known. */
  get isRepetitive(): boolean {
    return this.#wantedKeys > mostWanted
  }

  /** After the last chunk: did a whole object go by? (Not a validation; the backend does that.) */
  end(): boolean {
    return this.ok && this.done && this.#depth === 0 && this.#mode === 0
  }

  /**
   * Where the prompt lies, in the order in which servers put it together; of fields that exclude one another the first. What the
   * next turn of a conversation adds comes before the end of the last one.
   */
  get prompt(): ReadonlyArray<Span> {
    const field = this.#prompt
    const last = field.get("messages") ?? field.get("prompt") ?? field.get("input")
    return [field.get("tools"), field.get("system"), last].filter((span) => span !== undefined)
  }

  /** Of the answer, as the request has it. */
  get limit(): unknown {
    return this.found.get("limit")
  }

  /** A wanted value begins. */
  #open(at: number) {
    const field = this.#field
    if (field === undefined || field === "model" || field === "stream" || field === "limit") return
    this.#opened = field
    this.#openedAt = at
  }
  #close(at: number) {
    if (this.#opened !== undefined) this.#prompt.set(this.#opened, [this.#openedAt, at])
    this.#opened = undefined
  }
  #bad() {
    this.ok = false
  }
  /** A key on level one, which begins in an earlier chunk where something of it is kept. */
  #key(b: Buffer, from: number, to: number) {
    this.#isKey = false
    this.#colon = false
    this.#field = undefined
    this.#wanted = false
    const length = this.#partLen + to - from
    if (length > maxKey) this.#drop()
    else if (this.#partLen > 0 || hasEscape(b, from, to) || mayBeWanted(b, from, length)) {
      this.#keep(b, from, to)
      const raw = this.#text()
      const key = raw.includes("\\") ? this.#unescape(raw) : raw
      this.#field = fieldOf(key)
      if (this.#field === undefined) return
      this.#isExact = key === "model"
      this.#wanted = true
      if (++this.#wantedKeys > mostWanted) this.#bad()
    }
  }
  #drop() {
    this.#part.length = 0
    this.#partLen = 0
  }
  #unescape(raw: string): string {
    try {
      return JSON.parse(`"${raw}"`) as string
    } catch {
      // A long value may have been cut inside an escape.
      if (this.#cut) return raw
      this.ok = false
      return ""
    }
  }
  #keep(b: Buffer, from: number, to: number) {
    if (to > from) {
      const room = maxValue - this.#partLen
      this.#partLen += to - from
      if (room > 0) this.#part.push(b.subarray(from, Math.min(to, from + room)))
    }
  }
  #text(): string {
    const p = this.#part
    const s = p.length === 0 ? "" : p.length === 1 ? p[0]!.toString("utf8") : Buffer.concat(p).toString()
    p.length = 0
    this.#cut = this.#partLen > maxValue
    this.#partLen = 0
    return s
  }
  #value(raw: string | null, kind: string) {
    if (!this.#wanted) return
    this.#wanted = false
    const field = this.#field
    if (field === undefined) return
    if (kind === '"') {
      const value = raw?.includes("\\") === true ? this.#unescape(raw) : (raw ?? "")
      this.found.set(field, value)
      if (field === "model") this.#named(value)
    } else if (kind === "{") {
      if (this.#isExact) this.#exactModel = undefined
      this.found.set(field, BodyScan.nested)
    } else {
      if (this.#isExact) this.#exactModel = undefined
      this.#prompt.delete(field as PromptField)
      try {
        this.found.set(field, JSON.parse(raw ?? ""))
      } catch {
        this.ok = false
      }
    }
  }
  #named(value: string) {
    if (this.#isExact) this.#exactModel = value
    const name = value.trim()
    if (name === "" || (this.firstModel !== "" && (this.#firstIsExact || !this.#isExact))) return
    this.firstModel = name
    this.#firstIsExact = this.#isExact
  }
  static readonly nested = Symbol("nested")
}
