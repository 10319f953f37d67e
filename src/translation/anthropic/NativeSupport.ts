/** What servers that speak Messages have been seen to refuse of them. */
import type { Features } from "./MessagesRequest.ts"

/** What of a native request a server has refused. */
export type NativeRefusal = "system" | "neighbours" | "template" | "typedTools" | "schemas"

/** What a refusal says that it cannot take, if the request has it at all. */
export const refusalOf = (status: number, sentence: string, features: Features): NativeRefusal | undefined => {
  if (status !== 400 && status !== 422 && status !== 500) return undefined
  const text = sentence.toLowerCase()
  const named: ReadonlyArray<NativeRefusal> = [
    ...(/\bsystem\b/.test(text) || text.includes("must be at the beginning") ? (["system"] as const) : []),
    ...(text.includes("alternate") ? (["neighbours"] as const) : []),
    ...(text.includes("input_schema") ? (["schemas"] as const) : []),
    ...(/\btools?\b.*\btype\b|\btype\b.*\btools?\b/.test(text) ? (["typedTools"] as const) : []),
    ...(/chat template|jinja/.test(text) ? (["template"] as const) : [])
  ]
  return named.find((refusal) => hasWhatIsRefused(features, refusal))
}

export const hasWhatIsRefused = (features: Features, refusal: NativeRefusal): boolean => {
  switch (refusal) {
    case "system":
      return features.system
    case "neighbours":
      return features.neighbours || features.system
    // Templates stumble over any of these.
    case "template":
      return features.system || features.neighbours || features.tools
    case "typedTools":
      return features.typedTools
    case "schemas":
      return features.tools
  }
}
