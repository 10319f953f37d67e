/** Reads the Schema back as a tree of keys: what coercion, the environment table and the docs walk along. */
import * as Schema from "effect/Schema"
import type { KeyInfo } from "./ConfigKey.ts"
import { configSchema } from "./ConfigSchema.ts"
import { aliasPolicy } from "./TrafficSchema.ts"

export type KeyTree =
  | { readonly kind: "section"; readonly keys: ReadonlyMap<string, KeyTree> }
  | { readonly kind: "key"; readonly info: KeyInfo }
  | { readonly kind: "list"; readonly item: KeyTree & { readonly kind: "section" } }

interface Walkable {
  readonly to?: Walkable
  readonly schema?: Walkable
  readonly fields?: Schema.Struct.Fields
  /** What a list is of. */
  readonly value?: { readonly fields?: Schema.Struct.Fields }
}

/** Annotations of a checked schema (`Int`) sit on its last check: the library knows where. */
const infoOf = (schema: Walkable): KeyInfo | undefined =>
  (Schema.resolveAnnotations(schema as unknown as Schema.Top) as { readonly ollaKey?: KeyInfo } | undefined)?.ollaKey

/** Unwraps defaults and optional keys. */
const unwrap = (schema: Walkable): Walkable => {
  if (schema.fields !== undefined || infoOf(schema) !== undefined) return schema
  const inner = schema.to ?? schema.schema
  return inner === undefined ? schema : unwrap(inner)
}

const sectionOf = (fields: Schema.Struct.Fields): KeyTree & { readonly kind: "section" } => {
  const keys = new Map<string, KeyTree>()
  for (const [name, field] of Object.entries(fields)) {
    const schema = unwrap(field as unknown as Walkable)
    const info = infoOf(schema)
    if (info !== undefined) keys.set(name, { kind: "key", info })
    else if (schema.fields !== undefined) keys.set(name, sectionOf(schema.fields))
    else keys.set(name, { kind: "list", item: sectionOf(schema.value?.fields ?? {}) })
  }
  return { kind: "section", keys }
}

export const keyTree: KeyTree & { readonly kind: "section" } = sectionOf(configSchema.fields)

/** Keys of an alias that is no list. */
export const aliasTree = sectionOf(aliasPolicy.fields)

/** Every key with its full path; keys of an endpoint under `discovery.static.endpoints[]`. */
export const allKeys = (tree: KeyTree = keyTree, path = ""): ReadonlyArray<{ readonly path: string; readonly info: KeyInfo }> => {
  if (tree.kind === "key") return [{ path, info: tree.info }]
  const [keys, prefix] = tree.kind === "list" ? [tree.item.keys, `${path}[]`] : [tree.keys, path]
  return [...keys].flatMap(([name, child]) => allKeys(child, prefix === "" ? name : `${prefix}.${name}`))
}
