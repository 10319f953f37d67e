/**
 * The small expression language of `metrics.extraction.calculations`: numbers, texts, `null`,
 * variables, arithmetic, comparisons, `&& || !`, `?:`, parentheses, `len()`. Compiled once; missing variables count as
 * nothing (0, empty), so that a fallback branch can run.
 */

export type Value = number | string | boolean | null

/** By place. */
export type Values = ReadonlyArray<Value | undefined>

export interface Expression {
  /** Places of the variables that it names. */
  readonly variables: ReadonlyArray<number>
  readonly evaluate: (variables: Values) => Value
}

type Node = (variables: Values) => Value

const tokenPattern =
  /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([A-Za-z_]\w*)|(==|!=|<=|>=|&&|\|\||[-+*/%<>!?:(),]))/y

type Token = { readonly kind: "number" | "text" | "name" | "sign"; readonly text: string }

const tokens = (source: string): ReadonlyArray<Token> => {
  const out: Array<Token> = []
  tokenPattern.lastIndex = 0
  while (tokenPattern.lastIndex < source.trimEnd().length) {
    const at = tokenPattern.lastIndex
    const match = tokenPattern.exec(source)
    if (match === null) throw new SyntaxError(`unexpected "${source.slice(at, at + 10).trim()}"`)
    const [, number, double, single, name, sign] = match
    if (number !== undefined) out.push({ kind: "number", text: number })
    else if (double !== undefined || single !== undefined) out.push({ kind: "text", text: double ?? single ?? "" })
    else if (name !== undefined) out.push({ kind: "name", text: name })
    else out.push({ kind: "sign", text: sign ?? "" })
  }
  return out
}

const asNumber = (value: Value): number => (typeof value === "number" ? value : typeof value === "boolean" ? Number(value) : 0)
const isTrue = (value: Value): boolean => value !== null && value !== false && value !== 0 && value !== ""

const binary: ReadonlyArray<Readonly<Record<string, (a: Value, b: Value) => Value>>> = [
  { "==": (a, b) => a === b, "!=": (a, b) => a !== b },
  {
    "<": (a, b) => asNumber(a) < asNumber(b),
    ">": (a, b) => asNumber(a) > asNumber(b),
    "<=": (a, b) => asNumber(a) <= asNumber(b),
    ">=": (a, b) => asNumber(a) >= asNumber(b)
  },
  { "+": (a, b) => asNumber(a) + asNumber(b), "-": (a, b) => asNumber(a) - asNumber(b) },
  { "*": (a, b) => asNumber(a) * asNumber(b), "/": (a, b) => asNumber(a) / asNumber(b), "%": (a, b) => asNumber(a) % asNumber(b) }
]

class Parser {
  readonly #tokens: ReadonlyArray<Token>
  readonly #places: Map<string, number>
  readonly variables = new Set<number>()
  #at = 0

  constructor(source: string, places: Map<string, number>) {
    this.#tokens = tokens(source)
    this.#places = places
  }

  parse(): Node {
    const node = this.#choice()
    if (this.#at < this.#tokens.length) throw new SyntaxError(`unexpected "${this.#tokens[this.#at]?.text}"`)
    return node
  }

  #take(sign: string): boolean {
    const token = this.#tokens[this.#at]
    if (token?.kind !== "sign" || token.text !== sign) return false
    this.#at++
    return true
  }

  #expect(sign: string): void {
    if (!this.#take(sign)) throw new SyntaxError(`"${sign}" expected`)
  }

  #choice(): Node {
    const condition = this.#or()
    if (!this.#take("?")) return condition
    const yes = this.#choice()
    this.#expect(":")
    const no = this.#choice()
    return (variables) => (isTrue(condition(variables)) ? yes(variables) : no(variables))
  }

  #or(): Node {
    let left = this.#and()
    while (this.#take("||")) {
      const [a, b] = [left, this.#and()]
      left = (variables) => isTrue(a(variables)) || isTrue(b(variables))
    }
    return left
  }

  #and(): Node {
    let left = this.#level(0)
    while (this.#take("&&")) {
      const [a, b] = [left, this.#level(0)]
      left = (variables) => isTrue(a(variables)) && isTrue(b(variables))
    }
    return left
  }

  #level(level: number): Node {
    const operators = binary[level]
    if (operators === undefined) return this.#unary()
    let left = this.#level(level + 1)
    for (;;) {
      const token = this.#tokens[this.#at]
      const apply = token?.kind === "sign" ? operators[token.text] : undefined
      if (apply === undefined) return left
      this.#at++
      const [a, b] = [left, this.#level(level + 1)]
      left = (variables) => apply(a(variables), b(variables))
    }
  }

  #unary(): Node {
    if (this.#take("-")) {
      const node = this.#unary()
      return (variables) => -asNumber(node(variables))
    }
    if (this.#take("!")) {
      const node = this.#unary()
      return (variables) => !isTrue(node(variables))
    }
    if (this.#take("(")) {
      const node = this.#choice()
      this.#expect(")")
      return node
    }
    const token = this.#tokens[this.#at++]
    if (token === undefined) throw new SyntaxError("unexpected end")
    if (token.kind === "number") return () => Number(token.text)
    if (token.kind === "text") return () => token.text
    if (token.kind === "sign") throw new SyntaxError(`unexpected "${token.text}"`)
    if (token.text === "null" || token.text === "nil") return () => null
    if (token.text === "true" || token.text === "false") return () => token.text === "true"
    if (token.text === "len") {
      this.#expect("(")
      const node = this.#choice()
      this.#expect(")")
      return (variables) => {
        const value = node(variables)
        return typeof value === "string" ? value.length : 0
      }
    }
    const place = this.#places.get(token.text) ?? this.#places.size
    this.#places.set(token.text, place)
    this.variables.add(place)
    return (variables) => variables[place] ?? null
  }
}

/** `places`: of variables; names that are new get the next one. Throws a SyntaxError that says what is wrong. */
export const compileExpression = (source: string, places = new Map<string, number>()): Expression => {
  const parser = new Parser(source, places)
  const evaluate = parser.parse()
  return { variables: [...parser.variables], evaluate }
}
