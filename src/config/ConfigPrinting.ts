/** The configuration in force as text: YAML that could be loaded again, every value with its origin, secrets masked. */

import type { KeyInfo } from "./ConfigKey.ts"
import type { LoadedConfig } from "./ConfigLoading.ts"
import { formatDuration } from "./Duration.ts"
import { type KeyTree, keyTree } from "./SchemaTree.ts"

export interface ShownValue {
  readonly path: string
  /** As it would be written in a file; a secret is `********`. */
  readonly value: unknown
  /** `default`, `<file>:<line>` or a variable. */
  readonly origin: string
}

const mask = "********"

type Visit = {
  readonly open: (path: string, name: string, depth: number, item: boolean) => void
  readonly value: (shown: ShownValue, name: string, depth: number, item: boolean) => void
}

const written = (info: KeyInfo, value: unknown, redact: (text: string) => string): unknown => {
  if (info.secret === true) return Array.isArray(value) ? value.map(() => mask) : mask
  if (info.kind === "duration" && typeof value === "number") return formatDuration(value)
  return typeof value === "string" ? redact(value) : value
}

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined

/** Keys in the order of the Schema; what is not set is left out. `item`: the first line of a list's entry. */
const walk = (tree: KeyTree, value: unknown, loaded: LoadedConfig, redact: (text: string) => string, visit: Visit): void => {
  const go = (node: KeyTree, at: unknown, path: string, name: string, depth: number, item: boolean): void => {
    if (at === undefined) return
    if (node.kind === "section") {
      if (name !== "") visit.open(path, name, depth, item)
      const inner = name === "" ? depth : depth + 1
      for (const [key, child] of node.keys) go(child, field(at, key), path === "" ? key : `${path}.${key}`, key, inner, false)
      return
    }
    if (node.kind === "list") {
      const list = at as ReadonlyArray<unknown>
      if (list.length === 0) visit.value({ path, value: [], origin: loaded.originOf(path) }, name, depth, item)
      else visit.open(path, name, depth, item)
      for (const [index, entry] of list.entries()) {
        let first = true
        for (const [key, child] of node.item.keys) {
          const inside = field(entry, key)
          if (inside === undefined) continue
          go(child, inside, `${path}[${index}].${key}`, key, depth + 2, first)
          first = false
        }
      }
      return
    }
    const { info } = node
    if (info.kind === "map" || info.kind === "aliases") {
      const names = Object.keys(at as object)
      if (names.length === 0) visit.value({ path, value: {}, origin: loaded.originOf(path) }, name, depth, item)
      else visit.open(path, name, depth, item)
      for (const key of names) {
        const inside = `${path}.${key}`
        visit.value({ path: inside, value: written(info, field(at, key), redact), origin: loaded.originOf(inside) }, key, depth + 1, false)
      }
      return
    }
    visit.value({ path, value: written(info, at, redact), origin: loaded.originOf(path) }, name, depth, item)
  }
  go(tree, value, "", "", 0, false)
}

const originColumn = 56

/** `redact` masks what looks like a secret inside other texts. */
export const printConfig = (loaded: LoadedConfig, redact: (text: string) => string): string => {
  const lines: Array<string> = []
  const start = (depth: number, item: boolean) => (item ? `${"  ".repeat(depth - 1)}- ` : "  ".repeat(depth))
  const key = (name: string) => (/^[A-Za-z_][\w-]*$/.test(name) ? name : JSON.stringify(name))
  walk(keyTree, loaded.config, loaded, redact, {
    open: (_path, name, depth, item) => lines.push(`${start(depth, item)}${key(name)}:`),
    value: ({ value, origin }, name, depth, item) =>
      lines.push(`${`${start(depth, item)}${key(name)}: ${JSON.stringify(value)}`.padEnd(originColumn)}  # ${origin}`)
  })
  return `${lines.join("\n")}\n`
}

/** The same as a list, for machines. */
export const shownValues = (loaded: LoadedConfig, redact: (text: string) => string): ReadonlyArray<ShownValue> => {
  const values: Array<ShownValue> = []
  walk(keyTree, loaded.config, loaded, redact, { open: () => {}, value: (shown) => values.push(shown) })
  return values
}
