/** The key that was probably meant: the same last part somewhere else, or a small typo in it. */
import { nearest } from "./NearestWord.ts"
import { allKeys } from "./SchemaTree.ts"

/** Every key and section; a list of endpoints with and without its `[]`. */
const known: ReadonlyArray<string> = (() => {
  const paths = new Set<string>()
  for (const { path } of allKeys()) {
    const steps = path.split(".")
    for (let i = 1; i <= steps.length; i++) {
      const section = steps.slice(0, i).join(".")
      if (section.endsWith("[]")) paths.add(section.slice(0, -2))
      else paths.add(section)
    }
  }
  return [...paths]
})()

/** `path` with list indexes, as written; the answer has the same indexes. */
export const suggestKey = (path: string): string | undefined => {
  const index = /\[(\d+)\]/.exec(path)?.[1]
  const wanted = path.replace(/\[\d+\]/g, "[]")
  const parent = wanted.slice(0, Math.max(0, wanted.lastIndexOf(".")))
  const last = wanted.slice(wanted.lastIndexOf(".") + 1)
  const lastOf = (other: string) => other.slice(other.lastIndexOf(".") + 1)
  const parentOf = (other: string) => other.slice(0, Math.max(0, other.lastIndexOf(".")))
  const paths = known.filter((other) => index !== undefined || !other.includes("[]"))
  const sibling = nearest(last, paths.filter((other) => parentOf(other) === parent).map(lastOf))
  const found =
    sibling !== undefined
      ? paths.find((other) => parentOf(other) === parent && lastOf(other) === sibling)
      : // Elsewhere: the same word, nearest by shared beginning; else a typo of one.
        (closest(
          wanted,
          paths.filter((other) => lastOf(other) === last)
        ) ??
        closest(
          wanted,
          paths.filter((other) => nearest(last, [lastOf(other)]) !== undefined && last.length > 4)
        ))
  return found?.replace("[]", `[${index ?? 0}]`)
}

const closest = (wanted: string, paths: ReadonlyArray<string>): string | undefined => {
  const shared = (other: string) => {
    const a = wanted.split(".")
    const b = other.split(".")
    return a.filter((step, i) => b[i] === step).length
  }
  return [...paths].sort((a, b) => shared(b) - shared(a) || a.length - b.length || (a < b ? -1 : 1))[0]
}
