/**
 * Limits of a client and of its group: requests, requests at a time, tokens. All are looked at before anything is taken, so a refusal
 * costs nobody anything. Pure over the client's use; times are milliseconds of a clock that nobody sets, `wall` is epoch milliseconds.
 */
import { type Bucket, hasToken, millisUntil, newBucket, type Rate, refill, wholeTokens } from "../TokenBuckets.ts"
import type { KeyClient, Limited } from "./KeyClient.ts"

export interface KeyRefusal {
  readonly code: "rate_limited" | "too_many_concurrent" | "tokens_exhausted"
  readonly whose: Limited["whose"]
  readonly name: string
  /** The limit's figure. */
  readonly limit: number
  /** Seconds, at least 1. */
  readonly retryAfter: number
}

const requestRate = ({ rules }: Limited): Rate => ({ perMinute: rules.requestsPerMinute, burst: rules.burst })
const tokenRate = ({ rules }: Limited): Rate => ({ perMinute: rules.tokensPerMinute, burst: rules.tokensPerMinute })

const requestsOf = (limited: Limited, now: number): Bucket => {
  const { use } = limited
  use.requests ??= newBucket(limited.rules.burst, now)
  refill(use.requests, requestRate(limited), now)
  return use.requests
}

const tokensOf = (limited: Limited, now: number): Bucket => {
  const { use } = limited
  use.tokens ??= newBucket(limited.rules.tokensPerMinute, now)
  refill(use.tokens, tokenRate(limited), now)
  return use.tokens
}

const seconds = (millis: number): number => Math.max(1, Math.ceil(millis / 1000 - 1e-6))

const refusal = (code: KeyRefusal["code"], { whose, name }: Limited, limit: number, retryAfter: number): KeyRefusal => ({
  code,
  whose,
  name,
  limit,
  retryAfter
})

/** Above nothing: the level at which a bucket of tokens admits again. */
const above = 1e-3

/** Of requests alone: they come before the limit of all clients. */
export const requestsRefusal = ({ limited }: KeyClient, now: number): KeyRefusal | undefined => {
  for (const one of limited) {
    const { requestsPerMinute } = one.rules
    if (requestsPerMinute <= 0) continue
    const bucket = requestsOf(one, now)
    if (!hasToken(bucket)) return refusal("rate_limited", one, requestsPerMinute, seconds(millisUntil(bucket, requestRate(one), 1)))
  }
  return undefined
}

/** Of requests at a time, then of tokens: they come after it. */
export const useRefusal = ({ limited }: KeyClient, now: number): KeyRefusal | undefined => {
  for (const one of limited) {
    const { maxConcurrent } = one.rules
    if (maxConcurrent > 0 && one.use.inFlight >= maxConcurrent) return refusal("too_many_concurrent", one, maxConcurrent, 1)
  }
  for (const one of limited) {
    const { tokensPerMinute } = one.rules
    if (tokensPerMinute <= 0) continue
    const bucket = tokensOf(one, now)
    if (bucket.tokens <= 0) return refusal("tokens_exhausted", one, tokensPerMinute, seconds(millisUntil(bucket, tokenRate(one), above)))
  }
  return undefined
}

/** Takes a request and a place among those under way. */
export const take = ({ limited }: KeyClient): void => {
  for (const { rules, use } of limited) {
    if (rules.requestsPerMinute > 0 && use.requests !== undefined) use.requests.tokens -= 1
    use.inFlight++
  }
}

/** It was refused for another reason after all. */
export const giveRequestBack = ({ limited }: KeyClient): void => {
  for (const { rules, use } of limited) if (rules.requestsPerMinute > 0 && use.requests !== undefined) use.requests.tokens += 1
}

export const leave = ({ limited }: KeyClient): void => {
  for (const { use } of limited) use.inFlight--
}

/** `tokens`: taken; negative: given back. */
export const spend = (client: KeyClient, tokens: number, now: number): void => {
  for (const one of client.limited) {
    if (one.rules.tokensPerMinute <= 0) continue
    const bucket = tokensOf(one, now)
    bucket.tokens = Math.min(one.rules.tokensPerMinute, bucket.tokens - tokens)
  }
}

const fullAt = (bucket: Bucket, rate: Rate, wall: number): string =>
  String(Math.ceil((wall + millisUntil(bucket, rate, rate.burst)) / 1000))

/** What every answer says: of the client's own limits, else of its group's. `refused`: nothing is left. */
export const limitHeaders = ({ limited }: KeyClient, now: number, wall: number, refused: boolean): Array<string> => {
  const byRequests = limited.find(({ rules }) => rules.requestsPerMinute > 0)
  const out: Array<string> = []
  if (byRequests === undefined)
    out.push("X-RateLimit-Limit", "0", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", String(Math.ceil(wall / 1000)))
  else {
    const bucket = requestsOf(byRequests, now)
    out.push(
      "X-RateLimit-Limit",
      String(byRequests.rules.requestsPerMinute),
      "X-RateLimit-Remaining",
      refused ? "0" : String(Math.max(0, wholeTokens(bucket))),
      "X-RateLimit-Reset",
      fullAt(bucket, requestRate(byRequests), wall)
    )
  }
  const byTokens = limited.find(({ rules }) => rules.tokensPerMinute > 0)
  if (byTokens === undefined) return out
  const bucket = tokensOf(byTokens, now)
  out.push(
    "X-RateLimit-Limit-Tokens",
    String(byTokens.rules.tokensPerMinute),
    "X-RateLimit-Remaining-Tokens",
    String(Math.max(0, wholeTokens(bucket))),
    "X-RateLimit-Reset-Tokens",
    fullAt(bucket, tokenRate(byTokens), wall)
  )
  return out
}

/** What is left now, for documents; `undefined`: there is no limit. */
export const remaining = (
  { limited }: KeyClient,
  now: number
): { readonly requests: number | undefined; readonly tokens: number | undefined } => {
  const [own] = limited
  return {
    requests: own === undefined || own.rules.requestsPerMinute <= 0 ? undefined : Math.max(0, wholeTokens(requestsOf(own, now))),
    tokens: own === undefined || own.rules.tokensPerMinute <= 0 ? undefined : Math.max(0, wholeTokens(tokensOf(own, now)))
  }
}
