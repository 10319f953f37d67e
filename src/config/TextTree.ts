/** A part of a configuration that another room reads by rules of its own: every scalar as it is written. */
import type { YamlNode } from "./YamlTree.ts"

/** `null`: nothing was written. */
export type TextTree = string | null | ReadonlyArray<TextTree> | { readonly [name: string]: TextTree }

export const textTreeOf = (node: YamlNode): TextTree => {
  if (node.kind === "scalar") return node.value === null && !node.quoted ? null : node.text
  if (node.kind === "list") return node.items.map(textTreeOf)
  return Object.fromEntries([...node.entries].map(([name, entry]) => [name, textTreeOf(entry.node)]))
}
