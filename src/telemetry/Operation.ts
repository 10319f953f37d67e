/** What a path of an inference API asks for, in the words of the OpenTelemetry conventions for generative AI. */

const operations: ReadonlyArray<readonly [ending: string, operation: string]> = [
  ["/chat/completions", "chat"],
  ["/messages", "chat"],
  ["/responses", "chat"],
  ["/api/chat", "chat"],
  ["/completions", "text_completion"],
  ["/api/generate", "text_completion"],
  ["/embeddings", "embeddings"],
  ["/api/embed", "embeddings"]
]

/** `undefined`: it is none of those. */
export const operationOf = (path: string): string | undefined => operations.find(([ending]) => path.endsWith(ending))?.[1]
