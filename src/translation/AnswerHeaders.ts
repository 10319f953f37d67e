/** Headers of translated answers: Olla's own and nothing of the backend's, but for what an error says about limits. */

/** The first value of a header in a flat name/value list; empty when absent. */
export const headerOf = (headers: ReadonlyArray<string>, name: string): string => {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i]?.toLowerCase() === name) return headers[i + 1] ?? ""
  return ""
}

const ours = /^(?:x-olla-|request-id$|x-ratelimit-(?:limit|remaining|reset)$|access-control-|vary$)/
/** Answers that cannot be sent in one piece must not be held back on the way. */
const isStream = (contentType: string): boolean => contentType !== "application/json"
const limits = /^(?:retry-after$|x-ratelimit-|anthropic-ratelimit-)/

/** `head`: what Olla would send with a relayed answer. `limited`: it is the backend's own error, whose limits the client should see. */
export const answerHeaders = (head: ReadonlyArray<string>, contentType: string, requestId: string, limited = false): Array<string> => {
  const out = ["content-type", contentType]
  for (let i = 0; i + 1 < head.length; i += 2) {
    const name = (head[i] ?? "").toLowerCase()
    if (ours.test(name) || (limited && limits.test(name))) out.push(head[i] ?? "", head[i + 1] ?? "")
  }
  if (isStream(contentType)) out.push("cache-control", "no-cache", "x-accel-buffering", "no")
  if (requestId !== "" && headerOf(out, "request-id") === "") out.push("request-id", requestId)
  return out
}
