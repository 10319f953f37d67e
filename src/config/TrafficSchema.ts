/**
 * Keys of `traffic`, of endpoints that it looks at, and of aliases that are more than a list: who is asked when, and what happens when it
 * fails. What a value must be is said as `<key> must be …, got …`.
 */
import * as Schema from "effect/Schema"
import { bool, duration, type Extra, int, key, number, section, size, strings, texts, withDefault, word } from "./ConfigKey.ts"

const seconds = 1000
const minutes = 60 * seconds
const MiB = 1024 * 1024

const orOf = (words: ReadonlyArray<string>): string =>
  words.length === 1 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`

const count = (value: number, doc: string, extra: Extra = {}) => int(value, doc, { min: 0, mustBe: "0 or more", ...extra })
const percent = (value: number, doc: string) =>
  number(value, doc, { min: 0, max: 100, mustBe: "from 0 to 100", example: String(value || 10) })
const time = (value: number, doc: string, extra: Extra = {}) => duration(value, doc, { mustBe: "0s or more", ...extra })
const chosen = <const W extends ReadonlyArray<string>>(words: W, value: W[number], doc: string) =>
  word(words, value, doc, { mustBe: orOf(words) })
const chosenOnes = <const W extends ReadonlyArray<string>>(words: W, value: ReadonlyArray<W[number]>, doc: string) =>
  withDefault(
    key(Schema.Array(Schema.Literals(words)), {
      kind: "words",
      doc,
      words,
      mustBe: orOf(words),
      example: `[${(value.length > 0 ? value : words).join(", ")}]`
    }),
    value as never
  )

const optional = {
  count: (doc: string) => Schema.optionalKey(key(Schema.Int, { kind: "int", doc, min: 0, mustBe: "0 or more", example: "32000" })),
  time: (doc: string) => Schema.optionalKey(key(Schema.Finite, { kind: "duration", doc, min: 0, mustBe: "0s or more", example: "30s" }))
}

/** Classes of urgency, the most urgent one first. */
export const classes = ["high", "normal", "low"] as const

/** Why a chain goes on to its next target. */
export const chainReasons = ["unavailable", "saturated", "rate_limited", "failed", "context"] as const

export const hygieneWords = ["claude-code"] as const

export const hedgeKinds = ["embeddings", "rerank", "chat"] as const

/** Statuses that may stand in `failover.statuses`. */
export const isFailoverStatus = (status: number): boolean =>
  [401, 403, 404, 408, 425, 429].includes(status) || (status >= 500 && status <= 599)

export const failoverStatuses = "401, 403, 404, 408, 425, 429 or from 500 to 599"

/** One rule: what it is for, and what it says of that. */
export const rule = Schema.Struct({
  match: section({
    model: strings([], "Models it is for, as asked for or as named by the alias; globs.", { example: '["*70b*"]' }),
    client: strings([], "Networks of clients it is for.", { example: '["10.9.0.0/16"]' }),
    key: strings([], "Names of clients' keys it is for; globs.", { example: '["ci-*"]' }),
    header: texts("Request headers it is for, each with a glob.", { example: '{x-team: "batch*"}' }),
    min_prompt_tokens: optional.count("Shortest prompt it is for, in tokens of four bytes."),
    max_prompt_tokens: optional.count("Longest prompt it is for.")
  }),
  require: texts("Only endpoints with these labels may be asked; values are globs.", { example: "{gpu: h100}" }),
  deny: texts("Endpoints with one of these labels are never asked.", { example: "{role: interactive}" }),
  prefer: texts("Endpoints with these labels are asked before others.", { example: "{zone: b}" }),
  class: Schema.optionalKey(
    key(Schema.Literals(classes), {
      kind: "word",
      doc: "How urgent it is where requests wait.",
      words: classes,
      mustBe: orOf(classes),
      example: "low"
    })
  ),
  max_concurrent: count(0, "Requests under way at the same time that the rule is for, whoever serves them. 0: no limit.", { example: "4" }),
  max_wait: optional.time("Instead of traffic.queue.max_wait."),
  first_token_timeout: optional.time("Instead of traffic.first_token_timeout.")
})

export const traffic = section({
  enabled: bool(true, "Ask somebody else when an endpoint fails, leave out who fails again and again, keep limits, let requests wait."),
  failover: section({
    statuses: withDefault(
      key(Schema.Array(Schema.Int), {
        kind: "ints",
        doc: "Answers that are kept back while another endpoint can be asked.",
        example: "[429, 500, 502, 503, 504, 529]"
      }),
      [429, 500, 502, 503, 504, 529]
    ),
    max_attempts: int(3, "Attempts of one request, all models of a chain together. 1: none is repeated.", {
      min: 1,
      max: 10,
      mustBe: "from 1 to 10"
    }),
    budget_percent: percent(
      20,
      "Further attempts of all clients together, as a share of the requests of the last ten seconds; ten are free."
    )
  }),
  ejection: section({
    failures: count(3, "Failures in a row of one model on one endpoint until it is left out. 0: never."),
    duration: time(10 * seconds, "How long the first time; it doubles."),
    max_duration: time(5 * minutes, "How long at most."),
    max_percent: percent(50, "Share of a model's endpoints that may be left out at the same time."),
    slow_start: time(30 * seconds, "Time in which an endpoint that is back gets its full share again. 0s: at once.")
  }),
  queue: section({
    max_wait: time(30 * seconds, "Longest wait of a request that nobody can take now; then 503. 0s: none."),
    max_waiting: count(256, "Requests that may wait at the same time; beyond it 503."),
    max_waiting_per_client: count(64, "Of them those of one client; beyond it 429."),
    keep_alive: time(0, "Silence after which a stream that waits gets comments, and with the first of them its 200. 0s: never."),
    hold: time(0, "How long a request waits for a model whose endpoints are all down. 0s: not at all.")
  }),
  first_token_timeout: time(0, "Wait for the first byte of a stream's body; then somebody else is asked. 0s: off."),
  cold_start_timeout: time(5 * minutes, "Least wait for headers and first byte of a model that is to be loaded first."),
  signals: section({
    interval: time(2 * seconds, "Time between two looks at what endpoints tell of their load. 0s: none.", {
      min: 200,
      orZero: true,
      mustBe: "0s, or 200ms or more"
    })
  }),
  prefix: section({
    memory: size(32 * MiB, "Memory for what is known of the endpoints' prompt caches. 0: none.", {
      min: 0,
      mustBe: "0 or more",
      example: "32MiB"
    })
  }),
  hygiene: chosenOnes(
    hygieneWords,
    [],
    "Parts of prompts that change with every request and keep caches from helping, to be made equal: claude-code its billing line."
  ),
  hedge: section({
    percent: percent(0, "Share of requests that may be sent to a second endpoint when they are late. 0: none."),
    kinds: chosenOnes(hedgeKinds, ["embeddings", "rerank"], "Requests that may be; of chat those that are not streamed.")
  }),
  rules: withDefault(
    Schema.Array(rule).annotate({ description: "Which requests may go where, how urgent they are and how many may run." }),
    []
  )
})

/** What an endpoint can take, and what rules know it by. */
export const endpointTraffic = {
  weight: number(1, "Its share beside others: one of weight 2 gets twice the requests of one of weight 1.", {
    min: 0.01,
    max: 100,
    mustBe: "from 0.01 to 100",
    example: "1"
  }),
  max_concurrent: count(0, "Requests it gets at the same time; more wait, or go elsewhere. 0: no limit.", { example: "4" }),
  max_resident: count(0, "Models that fit into its memory at once. 0: not known.", { example: "1" }),
  labels: texts("Names and values of your own, for traffic.rules; name and type are there by themselves.", { example: "{gpu: h100}" })
}

/** An alias that is more than a list. */
export const aliasPolicy = Schema.Struct({
  policy: chosen(["pool", "chain"], "pool", "pool: the targets share the requests; chain: the next one only when the one before cannot."),
  targets: strings([], "Models that may serve it, best first.", { example: '["qwen3:32b", "qwen3:8b"]' }),
  on: chosenOnes(chainReasons, chainReasons, "What makes a chain go on to its next target.")
})
