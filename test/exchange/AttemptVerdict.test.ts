import { assert, describe, it } from "@effect/vitest"
import { type AttemptVerdict, judgeHead, verdictOfAnswer, verdictOfFailure } from "../../src/exchange/AttemptVerdict.ts"
import { type FailureKind, failureRules } from "../../src/exchange/Failure.ts"

const shown = ({ lane, again, reason, isFree }: AttemptVerdict) =>
  [lane._tag === "pause" ? `pause ${lane.time ?? "?"}` : lane._tag, again, reason, isFree ? "free" : ""]
    .filter((part) => part !== "")
    .join(" ")

describe("an attempt that failed", () => {
  const rows: ReadonlyArray<readonly [FailureKind, before: string, after: string]> = [
    ["refused", "nothing yes transport free", "nothing yes transport free"],
    ["unreachable", "nothing yes transport free", "nothing yes transport free"],
    ["dns", "nothing yes transport free", "nothing yes transport free"],
    ["connect_timeout", "nothing yes transport free", "nothing yes transport free"],
    ["tls_timeout", "nothing yes transport free", "nothing yes transport free"],
    ["tls", "nothing yes transport free", "nothing yes transport free"],
    ["closed", "failure yes transport", "failure no transport"],
    ["reset", "failure yes transport", "failure no transport"],
    ["malformed", "failure yes transport", "failure no transport"],
    ["truncated", "failure yes transport", "failure no transport"],
    ["header_timeout", "failure yes timeout", "failure no timeout"],
    ["first_token_timeout", "failure yes timeout", "failure no timeout"],
    ["idle_timeout", "failure yes timeout", "failure no timeout"],
    ["response_timeout", "failure no timeout", "failure no timeout"],
    ["untranslatable", "failure no transport", "failure no transport"],
    ["redirected", "failure yes transport", "failure no transport"],
    ["path_unknown", "nothing yes free", "nothing no"],
    ["withheld", "nothing yes free", "nothing no"],
    ["breaker_open", "nothing yes free", "nothing no"],
    ["descriptors", "nothing yes free", "nothing no"],
    ["client_gone", "nothing no", "nothing no"],
    ["client_write", "nothing no", "nothing no"],
    ["internal", "nothing no", "nothing no"]
  ]
  it.each(rows)("%s: before the client had anything, and after", (kind, before, after) => {
    assert.strictEqual(shown(verdictOfFailure(kind, false)), before)
    assert.strictEqual(shown(verdictOfFailure(kind, true)), after)
  })

  it("is judged whatever the kind of failure", () => {
    assert.deepStrictEqual(rows.map(([kind]) => kind).sort(), (Object.keys(failureRules) as Array<FailureKind>).sort())
  })
})

const statuses = [429, 500, 502, 503, 504, 529]
const request = { statuses, namesModel: true, hasChain: false }
const ollama = `{"error":"model 'qwen3:8b' not found"}`
const vllm = `{"object":"error","message":"The model \`qwen3:8b\` does not exist.","type":"NotFoundError","param":null,"code":404}`
const openai = `{"error":{"message":"The model 'x' does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`
const tooLong = `{"error":{"code":400,"message":"request (20019 tokens) exceeds the available context size (512 tokens)","type":"exceed_context_size_error"}}`

describe("an answer", () => {
  it.each([
    [200, undefined, "", "success no"],
    [204, undefined, "", "success no"],
    [302, undefined, "", "success no"],
    [400, undefined, "", "success no"],
    [401, undefined, "", "success no"],
    [404, undefined, "", "success no"],
    [422, undefined, "", "success no"],
    [501, undefined, "", "success no"],
    [505, undefined, "", "success no"],
    [429, undefined, "", "pause ? yes status_429"],
    [429, 7_000, "", "pause 7000 yes status_429"],
    [500, undefined, "", "failure yes status_5xx"],
    [502, undefined, "", "failure yes status_5xx"],
    [503, undefined, "", "failure yes status_5xx"],
    [503, 0, "", "pause 0 yes status_5xx"],
    [504, undefined, "", "failure yes status_5xx"],
    [529, undefined, "", "failure yes status_5xx"],
    [404, undefined, ollama, "missing yes missing"],
    [404, undefined, vllm, "missing yes missing"],
    [404, undefined, openai, "missing yes missing"],
    [404, undefined, `{"error":"model 'another' not found"}`, "success no"],
    [404, undefined, "<h1>Not Found</h1>", "success no"],
    [400, undefined, tooLong, "nothing chain context"],
    [413, undefined, `{"error":{"message":"prompt is too long: 9 tokens > 8"}}`, "nothing chain context"],
    [500, undefined, `{"error":{"message":"context size has been exceeded"}}`, "nothing chain context"],
    [400, undefined, `{"error":{"code":"context_length_exceeded","message":""}}`, "nothing chain context"],
    [400, undefined, `{"error":"This model's maximum context length is 8192 tokens"}`, "nothing chain context"],
    [503, undefined, tooLong, "failure yes status_5xx"]
  ] as const)("%i, Retry-After %s ms, %s", (status, retryAfter, body, expected) => {
    assert.strictEqual(shown(verdictOfAnswer({ status, retryAfter }, body, ["qwen3:8b"], request)), expected)
  })

  it("is as the configured statuses say", () => {
    const listed = { ...request, statuses: [401, 408] }
    const of = (status: number, retryAfter?: number) => shown(verdictOfAnswer({ status, retryAfter }, "", [], listed))
    assert.deepStrictEqual(
      [of(401), of(408, 2_000), of(429), of(503)],
      ["failure yes status_4xx", "pause 2000 yes status_4xx", "success no", "success no"]
    )
  })

  it("without a model is never about a missing one", () => {
    assert.strictEqual(
      shown(verdictOfAnswer({ status: 404, retryAfter: undefined }, openai, [], { ...request, namesModel: false })),
      "success no"
    )
  })
})

describe("the head of an answer", () => {
  it.each([
    [200, false, "relay"],
    [304, false, "relay"],
    [400, false, "relay"],
    [400, true, "withhold"],
    [404, false, "withhold"],
    [413, true, "withhold"],
    [422, true, "relay"],
    [429, false, "withhold"],
    [500, false, "withhold"],
    [501, false, "relay"],
    [503, false, "withhold"]
  ] as const)("of status %i, with a chain %s: %s", (status, hasChain, expected) => {
    assert.strictEqual(judgeHead(status, { ...request, hasChain }), expected)
  })
})
