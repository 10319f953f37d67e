/** Refusals by a client's own limits in words, and in the form that the path's clients read. */
import type { KeyRefusal } from "../guard/keys/KeyAdmission.ts"
import { fill, renderError, wantsJson } from "./ErrorTable.ts"
import { type ErrorRenderer, isPlain, type RequestContext } from "./RequestContext.ts"

const nativeOllama =
  /^\/olla\/[^/]+\/api\/(?:chat|generate|embed|embeddings|show|tags|ps|version|pull|push|create|copy|delete|blobs)(?:\/|$)/

const wantsLines = (accept: string): boolean => /application\/x-ndjson/i.test(accept)

const ollamaErrors: ErrorRenderer = (context, status, message, code) => {
  const accept = context.headers("accept")
  return wantsJson(accept) || wantsLines(accept)
    ? { contentType: "application/json", body: JSON.stringify({ error: message }) }
    : renderError(status, message, code, accept)
}

/** Ollama's clients read errors of their own form below the prefixes of backends too. */
export const dressRefusal = (context: RequestContext): void => {
  if (isPlain(context) && nativeOllama.test(context.exchange.path)) context.errors = ollamaErrors
}

const whose = ({ whose: kind, name }: KeyRefusal): string =>
  kind === "anonymous" ? "for all without an API key together" : kind === "group" ? `for the group "${name}"` : `for the API key "${name}"`

export const limitSentence = (refusal: KeyRefusal): string =>
  fill(({ rate_limited: "keyRate", too_many_concurrent: "keyConcurrency", tokens_exhausted: "keyTokens" } as const)[refusal.code], {
    limit: String(refusal.limit),
    whose: whose(refusal),
    seconds: String(refusal.retryAfter)
  })
