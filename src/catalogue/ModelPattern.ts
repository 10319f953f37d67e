/**
 * Patterns of `models.yaml`: RE2's dialect, run by the host's regular expressions. What RE2 has and the host lacks is
 * translated, what RE2 refuses is refused, and so is what a backtracking engine may never finish: names come from backends.
 */
import { runInNewContext } from "node:vm"

/** Longest name that patterns are tried on, in UTF-16 units. */
export const maxPatternSubject = 256

/** Probes that take longer than this together, in milliseconds, mark a pattern as too slow; a good one needs one. */
const probeBudget = 200

export type CompiledPattern =
  | { readonly _tag: "ok"; readonly test: RegExp; readonly groups: number }
  | { readonly _tag: "error"; readonly why: string }

class Refused extends Error {}

const posixClasses: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7F",
  blank: "\\t ",
  cntrl: "\\x00-\\x1F\\x7F",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`\\{-~",
  space: "\\t\\n\\v\\f\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f"
}

const hex = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`

/** RE2 source to the host's, in its strict (`u`) mode. */
class Translator {
  readonly #source: string
  #at = 0
  #out = ""
  groups = 0
  flags = "u"

  constructor(source: string) {
    this.#source = source
  }

  run(): string {
    const inline = /^\(\?([a-zA-Z]+)\)/.exec(this.#source)
    if (inline !== null) {
      this.#at = inline[0].length
      for (const flag of inline[1] ?? "") this.#flag(flag)
    }
    while (this.#at < this.#source.length) this.#next()
    return this.#out
  }

  #flag(flag: string): void {
    if (!"ims".includes(flag)) throw new Refused(`unsupported flag (?${flag})`)
    if (!this.flags.includes(flag)) this.flags += flag
  }

  #next(): void {
    const source = this.#source
    const c = source.charAt(this.#at)
    if (c === "\\") {
      this.#out += this.#escape(false)
      return
    }
    if (c === "[") {
      this.#class()
      return
    }
    if (c === "(") {
      this.#group()
      return
    }
    this.#at++
    if (c === "{") {
      const count = /^\{(\d+)(?:,(\d*))?\}/.exec(source.slice(this.#at - 1))
      if (count === null) this.#out += "\\{"
      else {
        if (Number(count[1]) > 1000 || Number(count[2] ?? 0) > 1000) throw new Refused(`repetition over 1000: ${count[0]}`)
        this.#out += count[0]
        this.#at += count[0].length - 1
      }
    } else if (c === "}" || c === "]") this.#out += `\\${c}`
    else this.#out += c
  }

  #group(): void {
    const rest = this.#source.slice(this.#at)
    const opening = /^\((?:\?(?:P?<([A-Za-z_]\w*)>|([ims]*(?:-[ims]+)?):|(?=<?[=!])))?/.exec(rest)
    const text = opening?.[0] ?? "("
    if (/^\(\?<?[=!]/.test(rest)) throw new Refused("look-around is not supported")
    if (text === "(" && rest.startsWith("(?")) throw new Refused(`unsupported group ${rest.slice(0, 5)}`)
    const name = opening?.[1]
    const flags = opening?.[2]
    if (flags === undefined) this.groups++
    this.#out += name !== undefined ? `(?<${name}>` : flags !== undefined ? `(?${flags}:` : "("
    this.#at += text.length
  }

  #class(): void {
    const source = this.#source
    this.#out += "["
    this.#at++
    if (source.charAt(this.#at) === "^") {
      this.#out += "^"
      this.#at++
    }
    for (let first = true; ; first = false) {
      const c = source.charAt(this.#at)
      if (c === "") throw new Refused("missing closing ]")
      if (c === "]" && !first) {
        this.#out += "]"
        this.#at++
        return
      }
      const posix = /^\[:(\^?)(\w+):\]/.exec(source.slice(this.#at))
      if (posix !== null) {
        const members = posixClasses[posix[2] ?? ""]
        if (members === undefined || posix[1] === "^") throw new Refused(`unsupported class ${posix[0]}`)
        this.#out += members
        this.#at += posix[0].length
      } else if (c === "\\") this.#out += this.#escape(true)
      else {
        this.#out += "[]()|/{}".includes(c) ? `\\${c}` : c
        this.#at++
      }
    }
  }

  #escape(inClass: boolean): string {
    const source = this.#source
    const c = source.charAt(this.#at + 1)
    if (c === "") throw new Refused("trailing backslash")
    this.#at += 2
    if (/[1-9]/.test(c)) throw new Refused("back-references are not supported")
    if (/[dDwWsS]/.test(c) || /[tnvfr]/.test(c)) return `\\${c}`
    if (c === "a") return "\\x07"
    if (!inClass && /[bB]/.test(c)) return `\\${c}`
    if (!inClass && c === "A") return "(?<![\\s\\S])"
    if (!inClass && c === "z") return "(?![\\s\\S])"
    if (!inClass && c === "Q") {
      const end = source.indexOf("\\E", this.#at)
      const literal = source.slice(this.#at, end < 0 ? undefined : end)
      this.#at = end < 0 ? source.length : end + 2
      return [...literal].map((one) => (/[A-Za-z0-9_]/.test(one) || one > "\x7f" ? one : hex(one))).join("")
    }
    if (c === "x" || c === "p" || c === "P") {
      const tail = (c === "x" ? /^(?:\{[0-9A-Fa-f]{1,6}\}|[0-9A-Fa-f]{2})/ : /^(?:\{\^?\w+\}|[A-Z])/).exec(source.slice(this.#at))
      if (tail === null || tail[0].includes("^")) throw new Refused(`unsupported escape \\${c}`)
      this.#at += tail[0].length
      if (c === "x") return tail[0].startsWith("{") ? `\\u${tail[0]}` : `\\x${tail[0]}`
      const property = tail[0].replace(/[{}]/g, "")
      return `\\${c}{${property.length > 2 ? `Script=${property}` : property}}`
    }
    if (c === "0") return "\\x00"
    if (/[A-Za-z]/.test(c)) throw new Refused(`unsupported escape \\${c}`)
    return c > "\x7f" ? c : hex(c)
  }
}

/** Is a repetition without end applied to a group that holds one? `(a+)+` doubles its work with each character. */
const nestsRepetition = (source: string): boolean => {
  const open: Array<boolean> = []
  let inner = false
  let closed = false
  for (let at = 0; at < source.length; at++) {
    const c = source.charAt(at)
    if (c === "\\") {
      at++
      closed = false
    } else if (c === "[") {
      while (at < source.length && source.charAt(at) !== "]") at += source.charAt(at) === "\\" ? 2 : 1
      closed = false
    } else if (c === "(") {
      open.push(inner)
      inner = false
      closed = false
    } else if (c === ")") {
      closed = inner
      inner = inner || (open.pop() ?? false)
    } else if (c === "*" || c === "+" || /^\{\d+,\}/.test(source.slice(at))) {
      if (closed) return true
      inner = true
      closed = false
    } else closed = false
  }
  return false
}

/** Names that make the pattern work hardest: long runs of what it mentions, ending in what it does not. */
const probes = (source: string): ReadonlyArray<string> => {
  const letters = [...new Set(source.replace(/\\[A-Za-z]/g, "").match(/[A-Za-z0-9_.:/-]/g) ?? [])].slice(0, 40)
  const runs = [...letters, "a", "0", "-", letters.join("")].filter((run) => run !== "")
  return runs.map((run) => `${run.repeat(maxPatternSubject).slice(0, maxPatternSubject - 1)}\n`)
}

const isSlow = (test: RegExp): boolean => {
  try {
    runInNewContext(
      "for (const name of names) new RegExp(source, flags).test(name)",
      { source: test.source, flags: test.flags, names: probes(test.source) },
      { timeout: probeBudget }
    )
    return false
  } catch {
    return true
  }
}

/** `ignoreCase`: as capability patterns are matched. A `trusted` pattern is not tried out on hard names. */
export const compilePattern = (source: string, options: { readonly ignoreCase: boolean; readonly trusted: boolean }): CompiledPattern => {
  const translator = new Translator(source)
  try {
    const translated = translator.run()
    if (nestsRepetition(translated)) throw new Refused("nested repetition: a long name could take for ever")
    const flags = options.ignoreCase && !translator.flags.includes("i") ? `${translator.flags}i` : translator.flags
    const test = new RegExp(translated, flags)
    if (!options.trusted && isSlow(test)) throw new Refused("too slow on long names")
    return { _tag: "ok", test, groups: translator.groups }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return { _tag: "error", why: `error parsing regexp: ${why}: \`${source}\`` }
  }
}
