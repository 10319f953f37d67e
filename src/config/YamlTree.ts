/**
 * A YAML document as a tree that remembers where everything stands and how it was written: what diagnostics need and a
 * plain parse forgets. Anchors, aliases and `<<` merges are resolved; of several documents only the first is read.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  visit,
  type YAMLMap
} from "yaml"
import { complaintsOf } from "./YamlProblems.ts"

/** 1-based. */
export interface Position {
  readonly line: number
  readonly column: number
}

export type YamlNode =
  | {
      readonly kind: "scalar"
      /** As written, without quotes. */
      readonly text: string
      readonly value: unknown
      readonly quoted: boolean
      readonly at: Position
    }
  | { readonly kind: "list"; readonly items: ReadonlyArray<YamlNode>; readonly at: Position }
  | { readonly kind: "map"; readonly entries: ReadonlyMap<string, YamlEntry>; readonly at: Position }

export interface YamlEntry {
  /** Where the key stands. */
  readonly at: Position
  readonly node: YamlNode
}

export interface YamlProblem extends Position {
  readonly message: string
}

export interface YamlReading {
  /** `undefined`: an empty document. */
  readonly root: YamlNode | undefined
  readonly problems: ReadonlyArray<YamlProblem>
}

/** What each alias stands for: the last such anchor before it. In one pass; the library's own search is one for each alias. */
const aliasTargets = (document: Document.Parsed): ReadonlyMap<Alias, Node> => {
  const anchors = new Map<string, Node>()
  const targets = new Map<Alias, Node>()
  visit(document, {
    Alias: (_key, node) => {
      const target = anchors.get(node.source)
      if (target !== undefined) targets.set(node, target)
    },
    Value: (_key, node) => {
      if (node.anchor) anchors.set(node.anchor, node)
    }
  })
  return targets
}

/** Nodes after aliases are expanded: an alias bomb ends here. */
const usualNodes = 200_000
const maxDepth = 100

/** `maxNodes`: more for files that are long lists by their nature. */
export const readYaml = (source: string, maxNodes = usualNodes): YamlReading => {
  const text = source.replace(/^\uFEFF/, "")
  const lines = new LineCounter()
  const problems: Array<YamlProblem> = []
  const position = (offset: number | undefined): Position => {
    const at = lines.linePos(offset ?? 0)
    return { line: Math.max(1, at.line), column: Math.max(1, at.col) }
  }
  const documents = parseAllDocuments(text, { lineCounter: lines, uniqueKeys: false, prettyErrors: false, merge: false })
  const document = Array.isArray(documents) ? documents[0] : undefined
  if (document === undefined) return { root: undefined, problems }
  for (const { offset, message } of complaintsOf(document, text)) problems.push({ ...position(offset), message })
  if (problems.length > 0 || document.contents === null) return { root: undefined, problems }

  const targets = aliasTargets(document)
  let count = 0
  let stopped = false
  const stop = (node: Node, message: string): YamlNode => {
    if (!stopped) problems.push({ ...position(node.range?.[0]), message })
    stopped = true
    return { kind: "scalar", text: "", value: null, quoted: false, at: position(node.range?.[0]) }
  }
  const convert = (node: Node | null | undefined, depth: number, after: number): YamlNode => {
    if (node === null || node === undefined) return { kind: "scalar", text: "", value: null, quoted: false, at: position(after) }
    if (stopped) return { kind: "scalar", text: "", value: null, quoted: false, at: position(node.range?.[0]) }
    if (++count > maxNodes) return stop(node, "the document expands to too many values")
    if (depth > maxDepth) return stop(node, "the document is nested too deeply")
    const at = position(node.range?.[0])
    if (isAlias(node)) {
      const target = targets.get(node)
      return target === undefined ? stop(node, `unknown anchor '${node.source}'`) : { ...convert(target, depth + 1, after), at }
    }
    if (isScalar(node)) {
      const scalar = node as Scalar
      const quoted = scalar.type !== "PLAIN" && scalar.type !== undefined
      return { kind: "scalar", text: quoted ? String(scalar.value ?? "") : (scalar.source ?? ""), value: scalar.value, quoted, at }
    }
    if (isSeq(node))
      return { kind: "list", items: node.items.map((item) => convert(item as Node | null, depth + 1, node.range?.[0] ?? 0)), at }
    if (isMap(node)) return { kind: "map", entries: convertMap(node, depth), at }
    return stop(node, "unsupported YAML node")
  }
  const convertMap = (map: YAMLMap, depth: number): Map<string, YamlEntry> => {
    const entries = new Map<string, YamlEntry>()
    const merged: Array<Node> = []
    for (const pair of map.items) {
      const key = pair.key as Node | null
      if (!isScalar(key)) {
        problems.push({ ...position(key?.range?.[0] ?? map.range?.[0]), message: "a key must be a plain name" })
        continue
      }
      const at = position(key.range?.[0])
      const name = key.type === "PLAIN" ? (key.source ?? String(key.value)) : String(key.value)
      if (name === "<<" && key.type === "PLAIN") {
        const value = pair.value as Node | null
        if (isSeq(value)) merged.push(...(value.items as Array<Node>))
        else if (value !== null) merged.push(value)
        continue
      }
      const earlier = entries.get(name)
      if (earlier !== undefined) {
        problems.push({ ...at, message: `mapping key "${name}" already defined at line ${earlier.at.line}` })
        continue
      }
      entries.set(name, { at, node: convert(pair.value as Node | null, depth + 1, key.range?.[1] ?? 0) })
    }
    for (const node of merged) {
      const value = convert(node, depth + 1, 0)
      if (value.kind !== "map") problems.push({ ...value.at, message: "a merge (<<) needs a mapping" })
      else for (const [name, entry] of value.entries) if (!entries.has(name)) entries.set(name, entry)
    }
    return entries
  }
  const root = convert(document.contents as Node, 0, 0)
  if (root.kind === "scalar" && root.value === null) return { root: undefined, problems }
  return { root, problems }
}

/** The plain value of a tree, for data files whose spelling does not matter. */
export const plainOf = (node: YamlNode): unknown => {
  if (node.kind === "scalar") return node.value
  if (node.kind === "list") return node.items.map(plainOf)
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, plainOf(entry.node)]))
}

/**
 * The node at a path such as `discovery.static.endpoints[0].url`, or the deepest one on the way to it. Names may hold dots
 * themselves (`model_aliases.gpt-4.1`): where several names fit, the longest is meant.
 */
export const nodeAt = (root: YamlNode | undefined, path: string): YamlPlace | undefined => {
  if (root === undefined) return undefined
  let place: YamlPlace = { at: root.at, node: root, whole: path === "" }
  let rest = path
  while (rest !== "") {
    const next = step(place.node, rest)
    if (next === undefined) return { ...place, whole: false }
    rest = next.rest
    place = { at: next.at, node: next.node, whole: rest === "" }
  }
  return place
}

export interface YamlPlace {
  /** Of the key; of the item itself in a list. */
  readonly at: Position
  readonly node: YamlNode
  /** The whole path was found, not only its first steps. */
  readonly whole: boolean
}

const step = (node: YamlNode, path: string): { readonly at: Position; readonly node: YamlNode; readonly rest: string } | undefined => {
  if (node.kind === "list") {
    const [all = "", index] = /^\[(\d+)\]\.?/.exec(path) ?? []
    const item = index === undefined ? undefined : node.items[Number(index)]
    return item === undefined ? undefined : { at: item.at, node: item, rest: path.slice(all.length) }
  }
  if (node.kind !== "map") return undefined
  let found: string | undefined
  for (const name of node.entries.keys())
    if (path.startsWith(name) && name.length > (found?.length ?? -1) && /^(?:[.[]|$)/.test(path.slice(name.length))) found = name
  const entry = found === undefined ? undefined : node.entries.get(found)
  return found === undefined || entry === undefined
    ? undefined
    : { at: entry.at, node: entry.node, rest: path.slice(found.length).replace(/^\./, "") }
}
