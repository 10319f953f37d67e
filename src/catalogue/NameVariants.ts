/** Other ways in which clients write the name of a model. */

const tag = ":latest"
/** Claude Code asks so for a longer context window of the model before it. */
const longContext = "[1m]"

/** A name has one tag, behind its last slash. */
const hasTag = (low: string): boolean => low.lastIndexOf(":") > low.lastIndexOf("/")

const withOrWithoutTag = (low: string): ReadonlyArray<string> => {
  if (!hasTag(low)) return [`${low}${tag}`]
  const untagged = low.endsWith(tag) ? low.slice(0, -tag.length) : ""
  return untagged === "" || hasTag(untagged) ? [] : [untagged]
}

/** What a lower-cased name that nobody has may mean, closest first. */
export const variantsOf = (low: string): ReadonlyArray<string> => {
  const plain = low.endsWith(longContext) ? low.slice(0, -longContext.length).trimEnd() : ""
  return [...withOrWithoutTag(low), ...(plain === "" ? [] : [plain, ...withOrWithoutTag(plain)])]
}
