/** Rules: whom they are for, where that may go, and what of several rules counts. */
import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { RuleBook, type RuledRequest, type RuleVerdict } from "../../src/routing/Rules.ts"
import { FakeFleet } from "../balancing/fakes.ts"

const configured = (rules: string) => {
  const { config, diagnostics } = decodeConfig(`traffic: {rules: [${rules}]}`, "c.yaml", {})
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
  return config?.traffic.rules ?? []
}

const request = (
  fields: Partial<RuledRequest> & { readonly header?: Readonly<Record<string, ReadonlyArray<string>>> } = {}
): RuledRequest => ({
  asked: "llama3:70b",
  model: fields.asked ?? "llama3:70b",
  client: "10.9.1.1",
  headers: (name) => fields.header?.[name] ?? [],
  key: "",
  promptTokens: () => 100,
  ...fields
})

const fleet = new FakeFleet()
const [a, b, c] = [
  fleet.add("a", { labels: { gpu: "H100", zone: "b" } }),
  fleet.add("b", { labels: { gpu: "l4", role: "interactive" } }),
  fleet.add("c", { type: "vllm" })
]

const judged = (rules: string, by: RuledRequest = request(), target?: string): RuleVerdict | undefined =>
  new RuleBook(() => configured(rules)).rules?.forRequest(by)?.of(target)

const admitted = (verdict: RuleVerdict | undefined) =>
  [a, b, c].filter((endpoint) => verdict?.admits(endpoint) !== false).map(({ name }) => name)

const isFor = (match: string, by: RuledRequest, target?: string) => judged(`{match: ${match}, class: low}`, by, target)?.class === "low"

describe("a rule is for", () => {
  it("clients by the names of their keys", () => {
    expect(isFor('{key: ["ci-*"]}', request({ key: "ci-nightly" }))).toBe(true)
    expect(isFor('{key: ["ci-*"]}', request({ key: "kim" }))).toBe(false)
    expect(isFor('{key: ["*"]}', request())).toBe(false)
  })

  it("everything where it says nothing", () => expect(isFor("{}", request({ asked: "" }))).toBe(true))

  it.each([
    ['{model: ["*70b*"]}', "llama3:70b", undefined, true],
    ['{model: ["*70B*"]}', "llama3:70b", undefined, true],
    ['{model: ["*70b*", mistral]}', "mistral", undefined, true],
    ['{model: ["*70b*"]}', "qwen3:8b", undefined, false],
    ['{model: ["*"]}', "", undefined, false],
    ["{model: [coder]}", "coder", "qwen3:8b", true],
    ["{model: ['qwen3:*']}", "coder", "qwen3:8b", true],
    ["{model: ['qwen3:*']}", "coder", "llama", false]
  ])("%s: %s that leads to %s, %s", (match, model, target, is) => expect(isFor(match, request({ asked: model }), target)).toBe(is))

  it.each([
    ["{client: [10.9.0.0/16]}", "10.9.1.1", true],
    ["{client: [10.9.0.0/16, 'fd00::/8']}", "fd00::1", true],
    ["{client: [10.9.0.0/16]}", "::ffff:10.9.1.1", true],
    ["{client: [10.9.0.0/16]}", "10.10.1.1", false],
    ["{client: [10.9.0.0/16]}", "", false]
  ])("%s: a client at %s, %s", (match, client, is) => expect(isFor(match, request({ client }))).toBe(is))

  it.each([
    ['{header: {X-Team: "batch*"}}', { "x-team": ["Batch-7"] }, true],
    ['{header: {x-team: "batch*"}}', { "x-team": ["chat", "batch"] }, true],
    ['{header: {x-team: "*"}}', {}, false],
    ["{header: {x-team: a, x-app: b}}", { "x-team": ["a"] }, false]
  ])("%s: %j, %s", (match, header, is) => expect(isFor(match, request({ header }))).toBe(is))

  it.each([
    ["{min_prompt_tokens: 100}", true],
    ["{min_prompt_tokens: 101}", false],
    ["{max_prompt_tokens: 100}", true],
    ["{max_prompt_tokens: 99}", false],
    ["{min_prompt_tokens: 100, model: [other]}", false]
  ])("%s: a prompt of 100 tokens, %s", (match, is) => expect(isFor(match, request())).toBe(is))

  it("the model that another way of writing it means", () =>
    expect(isFor("{model: ['*70b']}", request({ asked: "llama3:70b [1m]", model: "llama3:70b" }))).toBe(true))

  it("a prompt that nobody counts where another condition decides", () => {
    const promptTokens = () => expect.unreachable()
    expect(isFor("{client: [10.8.0.0/16], min_prompt_tokens: 1}", request({ promptTokens }))).toBe(false)
  })
})

describe("a request may go", () => {
  it.each([
    ["{require: {gpu: h100}}", ["a"]],
    ['{require: {gpu: "*"}}', ["a", "b"]],
    ["{require: {gpu: h100, zone: c}}", []],
    ["{deny: {role: interactive}}", ["a", "c"]],
    ["{deny: {role: interactive, zone: b}}", ["c"]],
    ["{require: {name: b}}", ["b"]],
    ['{require: {type: "vl*"}}', ["c"]],
    ["{require: {type: ollama}}, {deny: {gpu: l4}}", ["a"]],
    ["{require: {toString: '*'}}", []],
    ["{prefer: {gpu: h100}}", ["a", "b", "c"]]
  ])("by %s to %j", (rules, names) => expect(admitted(judged(rules))).toEqual(names))

  it("rather to those that a rule prefers", () => {
    const verdict = judged("{prefer: {gpu: l4, role: interactive}}, {prefer: {type: vllm}}, {prefer: {}}")
    expect([a, b, c].map((endpoint) => verdict?.prefers(endpoint))).toEqual([false, true, true])
    expect(verdict?.hasPreference).toBe(true)
  })

  it("where it may go after a reload gave the endpoint other labels", () => {
    const verdict = judged("{require: {gpu: h100}}")
    const { spec } = b
    expect(verdict?.admits(b)).toBe(false)
    b.spec = { ...spec, labels: { gpu: "h100" } }
    expect(verdict?.admits(b)).toBe(true)
    b.spec = spec
    expect(verdict?.admits(b)).toBe(false)
  })
})

describe("of several rules", () => {
  it("the last that says a thing counts, and every limit", () => {
    const verdict = judged(
      "{class: low, max_wait: 10m, max_concurrent: 4}, {max_wait: 1m, first_token_timeout: 5s}, {match: {model: [x]}, class: high}, {max_concurrent: 2}"
    )
    expect(verdict).toMatchObject({ class: "low", maxWait: 60_000, firstTokenTimeout: 5_000 })
    expect(verdict?.limits.map(({ most }) => most)).toEqual([4, 2])
  })

  it("the same make the same verdict for everybody", () => {
    const book = new RuleBook(() => rules)
    const rules = configured("{class: low}, {match: {model: [m]}, class: high}")
    const of = (model: string) => book.rules?.forRequest(request({ asked: model }))?.of()
    expect(of("m")).toBe(of("m"))
    expect([of("m")?.class, of("n")?.class]).toEqual(["high", "low"])
  })

  it("none costs nothing where there are none", () => {
    expect(new RuleBook(() => []).rules).toBeUndefined()
    expect(judged("{match: {client: [10.8.0.0/16]}}")).toBeUndefined()
  })
})

describe("a reload", () => {
  it("keeps counting what a rule with the same conditions is for, under its new limit", () => {
    let rules = configured("{match: {model: [m]}, max_concurrent: 1}, {match: {model: [n]}, max_concurrent: 5}")
    const book = new RuleBook(() => rules)
    const limitOf = (model: string) => book.rules?.forRequest(request({ asked: model }))?.of().limits[0]
    const before = limitOf("m")
    if (before !== undefined) before.inFlight = 1
    expect(before?.isFull).toBe(true)
    rules = configured("{match: {model: [n]}, max_concurrent: 5}, {match: {model: [m]}, max_concurrent: 2, class: low}")
    expect(limitOf("m")).toBe(before)
    expect(before).toMatchObject({ most: 2, isFull: false })
    rules = configured("{match: {model: [m]}}")
    expect(limitOf("m")).toBeUndefined()
  })
})
