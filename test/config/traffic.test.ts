/** Keys of `traffic`, of endpoints and of aliases: what is refused and with which words, and what is written down in vain. */
import { describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { printConfig } from "../../src/config/ConfigPrinting.ts"

const findings = (text: string, env: Record<string, string> = {}) => decodeConfig(text, "c.yaml", env).diagnostics
const errors = (text: string) => findings(text).filter(({ severity }) => severity === "error")
const endpoint = (fields: string) => `discovery:\n  static:\n    endpoints:\n      - url: http://a:1\n        ${fields}\n`
const rule = (fields: string) => `traffic:\n  rules:\n    - class: low\n    - ${fields}\n`

describe("what traffic cannot be told", () => {
  const wrong: ReadonlyArray<readonly [text: string, line: number, message: string]> = [
    [
      "traffic:\n  failover: {statuses: [503, 418]}",
      2,
      "traffic.failover.statuses must be 401, 403, 404, 408, 425, 429 or from 500 to 599, got 418"
    ],
    ["traffic:\n  failover: {max_attempts: 0}", 2, "traffic.failover.max_attempts must be from 1 to 10, got 0"],
    ["traffic:\n  failover: {max_attempts: 11}", 2, "traffic.failover.max_attempts must be from 1 to 10, got 11"],
    ["traffic:\n  failover:\n    max_attempts: many", 3, "traffic.failover.max_attempts must be a whole number, got `many`"],
    ["traffic:\n  failover: {budget_percent: 101}", 2, "traffic.failover.budget_percent must be from 0 to 100, got 101"],
    ["traffic:\n  ejection: {failures: -1}", 2, "traffic.ejection.failures must be 0 or more, got -1"],
    ["traffic:\n  ejection: {duration: -1s}", 2, "traffic.ejection.duration must be 0s or more, got -1s"],
    ["traffic:\n  ejection: {max_percent: -0.5}", 2, "traffic.ejection.max_percent must be from 0 to 100, got -0.5"],
    ["traffic:\n  queue: {max_waiting: -1}", 2, "traffic.queue.max_waiting must be 0 or more, got -1"],
    ["traffic:\n  queue: {hold: -2m}", 2, "traffic.queue.hold must be 0s or more, got -2m0s"],
    ["traffic:\n  first_token_timeout: -1ms", 2, "traffic.first_token_timeout must be 0s or more, got -1ms"],
    ["traffic:\n  signals: {interval: 199ms}", 2, "traffic.signals.interval must be 0s, or 200ms or more, got 199ms"],
    ["traffic:\n  prefix: {memory: -1}", 2, "traffic.prefix.memory must be 0 or more, got -1"],
    ["traffic:\n  hygiene: [claude_code]", 2, 'traffic.hygiene must be claude-code, got "claude_code"; did you mean "claude-code"?'],
    ["traffic:\n  hedge: {kinds: [images]}", 2, 'traffic.hedge.kinds must be embeddings, rerank or chat, got "images"'],
    ["traffic:\n  hedge: {percent: 200}", 2, "traffic.hedge.percent must be from 0 to 100, got 200"],
    ["traffic:\n  rules: {}", 2, "traffic.rules needs a list of rules, got a mapping"],
    [rule("class: urgent"), 4, 'traffic.rules[1].class must be high, normal or low, got "urgent"'],
    [rule("max_concurrent: -1"), 4, "traffic.rules[1].max_concurrent must be 0 or more, got -1"],
    [rule("max_wait: -1s"), 4, "traffic.rules[1].max_wait must be 0s or more, got -1s"],
    [rule("first_token_timeout: -1s"), 4, "traffic.rules[1].first_token_timeout must be 0s or more, got -1s"],
    [
      rule("match: {client: [10.9.0.0]}"),
      4,
      'traffic.rules[1].match.client must be a network such as 10.9.0.0/16, got "10.9.0.0": not an address/prefix, write 10.9.0.0/32 for this address alone'
    ],
    [
      rule('match: {model: ["a*b"]}'),
      4,
      'traffic.rules[1].match.model must be a glob such as "*70b*", got "a*b": wildcards only supported at start and/or end'
    ],
    [
      rule('match: {header: {x-team: "**"}}'),
      4,
      'traffic.rules[1].match.header.x-team must be a glob such as "*70b*", got "**": double asterisk not supported'
    ],
    [rule('match: {header: {"x team": a}}'), 4, 'traffic.rules[1].match.header must be names of headers, got "x team"'],
    [
      rule("match: {min_prompt_tokens: 9, max_prompt_tokens: 8}"),
      4,
      "traffic.rules[1].match.max_prompt_tokens must be at least min_prompt_tokens (9), got 8"
    ],
    [rule("require: {gpu: }"), 4, 'traffic.rules[1].require.gpu must be a glob such as "*70b*", got "": empty or whitespace-only pattern'],
    [rule("deny: [role]"), 4, "traffic.rules[1].deny needs a mapping, got a list"],
    [endpoint("weight: 0"), 5, "discovery.static.endpoints[0].weight must be from 0.01 to 100, got 0"],
    [endpoint("weight: 101"), 5, "discovery.static.endpoints[0].weight must be from 0.01 to 100, got 101"],
    [endpoint("max_concurrent: -1"), 5, "discovery.static.endpoints[0].max_concurrent must be 0 or more, got -1"],
    [endpoint("max_resident: -1"), 5, "discovery.static.endpoints[0].max_resident must be 0 or more, got -1"],
    [endpoint("labels: gpu"), 5, "discovery.static.endpoints[0].labels needs a mapping, got `gpu`"],
    [endpoint("labels: {gpu: [a]}"), 5, "discovery.static.endpoints[0].labels.gpu needs a text, got a list"],
    ["model_aliases:\n  a:\n    policy: ring\n    targets: [m]", 3, 'model_aliases.a.policy must be pool or chain, got "ring"'],
    [
      "model_aliases:\n  a: {policy: chain, targets: [m], on: [bored]}",
      2,
      'model_aliases.a.on must be unavailable, saturated, rate_limited, failed or context, got "bored"'
    ],
    ["model_aliases:\n  a: {policy: chain}", 2, "model_aliases.a.targets must be at least one model, got none"],
    ["model_aliases:\n  a:\n    policy: chain\n    targets: [m, '']", 4, 'model alias "a" has empty model name at position 1'],
    [
      "proxy: {load_balancer: adaptive}\ntraffic: {enabled: false}",
      1,
      'proxy.load_balancer must be priority, round-robin or least-connections where traffic.enabled is false, got "adaptive"'
    ]
  ]
  it.each(wrong)("%j is refused, with its line", (text, line, message) => {
    expect(errors(text)).toMatchObject([{ line, message }])
  })

  it("is told all together", () => {
    const all = [
      "ejection: {failures: -1, duration: -1s}",
      "signals: {interval: 1ms}",
      "hygiene: [soap]",
      "rules: [{class: urgent, max_wait: 5}]"
    ]
    expect(errors(`traffic:\n  ${all.join("\n  ")}\n`).map(({ line }) => line)).toEqual([2, 2, 3, 4, 5, 5])
  })

  it("does not stop at the edges of what is allowed", () => {
    const text = `traffic:
  failover: {statuses: [401, 403, 404, 408, 425, 429, 500, 599], max_attempts: 10, budget_percent: 0}
  ejection: {failures: 0, max_percent: 100, slow_start: 0s}
  queue: {max_wait: 0s, hold: 1h}
  signals: {interval: 0s}
  prefix: {memory: 0}
${endpoint("weight: 0.01")}`
    expect(errors(text)).toEqual([])
    expect(errors("traffic: {signals: {interval: 200ms}}\n")).toEqual([])
  })
})

describe("the labels of a rule", () => {
  const said = (rule: string, before = "") =>
    findings(`${before}discovery:
  static:
    endpoints:
      - {url: "http://a:1", labels: {gpu: h100, zone: a}}
      - {url: "http://b:1", labels: {gpu: l4}}
traffic:
  enabled: true
  rules:
    - ${rule}
`).flatMap(({ severity, path, message }) => (severity === "warning" ? [[path, message]] : []))

  it.each([
    ["require: {gpu: h200}", "require"],
    ["require: {gpu: l4, zone: a}", "require"],
    ["deny: {gpu: '*'}", "deny"],
    ["{require: {gpu: h100}, deny: {zone: a}}", "deny"]
  ])("%s leaves nobody, which is said", (rule, key) => {
    const path = `traffic.rules[0].${key}`
    const why = "leaves no endpoint: what the rule is for gets 503 placement_unsatisfied; labels there are: gpu: h100, zone: a, gpu: l4"
    expect(said(rule)).toEqual([[path, `${path} ${why}`]])
  })

  it("that nobody has make nobody preferred, which is said", () => {
    expect(said("prefer: {zone: b}")).toEqual([["traffic.rules[0].prefer", expect.stringContaining("has no effect")]])
  })

  it.each(["require: {gpu: 'H*'}", "deny: {zone: a}", "prefer: {gpu: l4}", "require: {type: vllm}", "deny: {name: a}", "class: low"])(
    "%s is fine",
    (rule) => expect(said(rule)).toEqual([])
  )
})

describe("a key that does nothing", () => {
  const idle = (text: string, env: Record<string, string> = {}) =>
    findings(text, env).flatMap(({ severity, message, path, detail }) =>
      severity === "warning" && message === "A key has no effect" ? [[path, detail?.slice((path ?? "").length + 2)]] : []
    )

  it("is named once each where traffic is off", () => {
    const off = "traffic.enabled is false"
    const text = `traffic: {enabled: false, queue: {max_wait: 1s}, rules: [{class: low, max_wait: 2s}]}
model_aliases: {a: {policy: chain, targets: [m]}}
${endpoint("{}").replace("{}", "weight: 2\n        max_concurrent: 4\n        labels: {a: b}")}`
    expect(idle(text)).toEqual([
      ["traffic.queue.max_wait", off],
      ["traffic.rules", off],
      ["discovery.static.endpoints[0].max_concurrent", off],
      ["discovery.static.endpoints[0].labels", off],
      ["model_aliases.a.policy", `${off}, so the targets are a pool`]
    ])
    expect(idle("traffic: {queue: {max_wait: 1s}}\n", { OLLA_TRAFFIC_ENABLED: "false" })).toEqual([["traffic.queue.max_wait", off]])
  })

  it.each([
    ["traffic: {failover: {max_attempts: 1, budget_percent: 5}}", "traffic.failover.budget_percent"],
    ["traffic: {ejection: {failures: 0, max_duration: 1m}}", "traffic.ejection.max_duration"],
    ["traffic: {queue: {max_wait: 0s, max_waiting: 3}}", "traffic.queue.max_waiting"],
    ["traffic: {hedge: {kinds: [chat]}}", "traffic.hedge.kinds"],
    ["traffic: {hedge: {percent: 5}}", "traffic.hedge.percent"],
    ["traffic: {prefix: {memory: 1MiB}}", "traffic.prefix.memory"],
    ["model_aliases: {a: {targets: [m], on: [failed]}}", "model_aliases.a.on"]
  ])("%s", (text, path) => {
    expect(idle(text).map(([key]) => key)).toEqual([path])
  })

  it.each([
    "traffic: {enabled: true, queue: {max_wait: 1s}}",
    "traffic: {queue: {max_wait: 0s, max_waiting: 3}, rules: [{max_wait: 1s}]}",
    "traffic: {hedge: {percent: 0}, queue: {keep_alive: 0s}}",
    "traffic: {prefix: {memory: 1MiB}}\nproxy: {load_balancer: adaptive}",
    "traffic: {enabled: false}",
    "traffic: {prefix: {memory: 32MiB}, hedge: {kinds: [embeddings, rerank]}}",
    `traffic: {enabled: false, rules: []}\n${endpoint("labels: {}")}`
  ])("is not %s", (text) => {
    expect(idle(text)).toEqual([])
  })
})

describe("traffic as it is understood", () => {
  it("has these values without a word", () => {
    expect(decodeConfig("", "", {}).config?.traffic).toEqual({
      enabled: true,
      failover: { statuses: [429, 500, 502, 503, 504, 529], max_attempts: 3, budget_percent: 20 },
      ejection: { failures: 3, duration: 10_000, max_duration: 300_000, max_percent: 50, slow_start: 30_000 },
      queue: { max_wait: 30_000, max_waiting: 256, max_waiting_per_client: 64, keep_alive: 0, hold: 0 },
      first_token_timeout: 0,
      cold_start_timeout: 300_000,
      signals: { interval: 2_000 },
      prefix: { memory: 32 * 1024 * 1024 },
      hygiene: [],
      hedge: { percent: 0, kinds: ["embeddings", "rerank"] },
      rules: []
    })
  })

  it("prints as it could be read again", () => {
    const text = `traffic: {rules: [{match: {model: ["*70b*"]}, require: {gpu: h100}, max_wait: 10m}]}
model_aliases: {a: {policy: chain, targets: [m, n], on: [failed]}, b: [m]}
`
    const first = decodeConfig(text, "c.yaml", {})
    const again = decodeConfig(
      printConfig(first, (each) => each),
      "c.yaml",
      {}
    )
    expect(again.diagnostics.filter(({ severity }) => severity === "error")).toEqual([])
    expect(again.config).toEqual(first.config)
  })

  it("takes labels of entries of discovery.dns, and says that name and type are there by themselves", () => {
    const text = "discovery: {dns: [{name: a.b, port: 1, labels: {rack: b2, type: x}}]}\n"
    expect(findings(text).filter(({ severity }) => severity !== "info")).toMatchObject([
      { severity: "warning", path: "discovery.dns[0].labels.type", message: expect.stringContaining("own type") }
    ])
  })
})
