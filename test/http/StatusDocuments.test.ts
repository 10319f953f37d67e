import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { EndpointState, Status } from "../../src/endpoint/EndpointState.ts"
import { BodyBudget } from "../../src/guard/BodyBudget.ts"
import { entityTag } from "../../src/http/Conditional.ts"
import { encodeDocument } from "../../src/http/documents/Encoding.ts"
import { EndpointsDocument, StatusDocument } from "../../src/http/documents/StatusDocument.ts"
import { endpointIds, plainId } from "../../src/http/EndpointIds.ts"
import { endpointsDocument, type StatusView, securityStatus, statusDocument, systemStatus } from "../../src/http/StatusDocuments.ts"
import type { EndpointTotals } from "../../src/telemetry/Statistics.ts"
import { configOf } from "../balancing/fakes.ts"

const now = 1_777_850_000_000

const endpoint = (name: string, fields: Partial<Omit<Endpoint, "state">> & { readonly state?: Partial<EndpointState> } = {}): Endpoint => {
  const url = fields.url ?? `http://${name}:8000`
  return {
    name,
    type: "vllm",
    priority: 100,
    models: [],
    modelsSyncedAt: 0,
    discoveryDisabled: false,
    inFlight: 0,
    inService: true,
    admin: "active",
    restarts: 0,
    listingIssue: "",
    hasAnsweredProbe: false,
    breaker: { phase: "closed" },
    displayUrl: url,
    ...fields,
    url,
    state: {
      status: "healthy",
      lastChecked: 0,
      lastLatency: 0,
      consecutiveFailures: 0,
      backoffMultiplier: 1,
      nextCheck: 0,
      rateLimitedUntil: 0,
      lastError: "",
      ...fields.state
    }
  } as Endpoint
}

const totals = (good: number, failed = 0, more: Partial<EndpointTotals> = {}): EndpointTotals => ({
  totalRequests: good + failed,
  successfulRequests: good,
  failedRequests: failed,
  totalBytes: 0,
  averageLatency: 0,
  minLatency: 0,
  maxLatency: 0,
  lastUsed: 0,
  statusClasses: {},
  ...more
})

const view = (
  endpoints: ReadonlyArray<Endpoint>,
  used: Readonly<Record<string, EndpointTotals>> = {},
  more: Partial<StatusView> = {}
): StatusView => ({
  now,
  monotonic: now,
  uptime: 300_000,
  config: configOf(),
  configStatus: { generation: 1, loadedAt: 0, source: "", lastError: undefined, restartNeeded: [] },
  discovery: [],
  endpoints,
  underWay: 0,
  totals: ({ url }) => used[new URL(url).hostname],
  global: { ...totals(0), totalAttempts: 0, totalRetries: 0, attemptBytes: 0 },
  security: { rateLimitViolations: 0, sizeLimitViolations: 0, uniqueRateLimitedIps: 0 },
  startedAt: now - 300_000,
  bodies: new BodyBudget(() => 1024),
  rejections: {},
  ...more
})

const listed = (one: Endpoint, used?: EndpointTotals) =>
  endpointsDocument(view([one], used === undefined ? {} : { [one.name]: used })).endpoints[0]
const shown = (one: Endpoint, used?: EndpointTotals) =>
  statusDocument(view([one], used === undefined ? {} : { [one.name]: used })).endpoints[0]

describe("an endpoint that has done nothing yet", () => {
  it("has exactly the keys that are always there", () => {
    const one = endpoint("a", { state: { status: "unknown" } })
    const keys = (document: object | undefined) => Object.keys(document ?? {}).sort()
    expect(keys(listed(one))).toEqual(
      "active_connections admin circuit_breaker health_check id last_request_error max_latency_ms min_latency_ms model_count name priority request_count requests_by_class status success_rate type url".split(
        " "
      )
    )
    expect(listed(one)).toMatchObject({ health_check: "", success_rate: "N/A", min_latency_ms: 0, circuit_breaker: "closed" })
    expect(keys(shown(one))).toEqual(
      "admin avg_latency circuit_breaker connections id issues last_check last_request_error max_latency_ms min_latency_ms models name next_check priority requests requests_by_class status success_rate traffic url".split(
        " "
      )
    )
    expect(shown(one)).toMatchObject({
      avg_latency: "0ms",
      traffic: "0 B",
      last_check: "never",
      next_check: "unknown",
      issues: "",
      success_rate: "N/A",
      models: { last_updated: "0001-01-01T00:00:00Z", count: 0 }
    })
  })

  it("fits the Schemas, as does an empty fleet", () => {
    for (const endpoints of [[], [endpoint("a")]]) {
      const one = view(endpoints)
      expect(encodeDocument(StatusDocument, statusDocument(one))).toEqual(statusDocument(one))
      expect(encodeDocument(EndpointsDocument, endpointsDocument(one))).toEqual(endpointsDocument(one))
    }
    expect(endpointsDocument(view([]))).toMatchObject({ endpoints: [], total_count: 0, healthy_count: 0, routable_count: 0 })
    expect(statusDocument(view([])).system).toMatchObject({
      status: "critical",
      endpoints_up: "0/0",
      success_rate: "N/A",
      has_traffic: false
    })
  })
})

describe("an endpoint that was probed and used", () => {
  const one = endpoint("a", {
    models: [{ name: "m", lastSeen: now }],
    modelsSyncedAt: now - 240_000,
    modelsAge: 240_000,
    hasAnsweredProbe: true,
    state: { lastChecked: now - 3_000, nextCheck: now + 25_000, lastLatency: 14 }
  })

  it("tells when", () => {
    expect(listed(one)).toMatchObject({
      health_check: "3s ago",
      health_check_at: "2026-05-03T23:13:17.000Z",
      next_check_at: "2026-05-03T23:13:45.000Z",
      response_time: "14ms",
      last_model_sync: "4m ago",
      last_model_sync_at: "2026-05-03T23:09:20.000Z"
    })
    expect(shown(one)).toMatchObject({
      last_check: "3s ago",
      next_check: "in 25s",
      models: { last_updated: "2026-05-03T23:09:20.000Z", count: 1 }
    })
  })

  it("reads 0ms for a probe that was faster than a millisecond, and nothing for one that was never answered", () => {
    expect(listed(endpoint("a", { ...one, state: { ...one.state, lastLatency: 0 } }))?.response_time).toBe("0ms")
    expect(listed(endpoint("a", { ...one, hasAnsweredProbe: false }))?.response_time).toBeUndefined()
  })

  it("truncates latencies, and has an average as soon as there was a request", () => {
    expect(listed(one, totals(2, 0, { averageLatency: 310.9, minLatency: 41.9, maxLatency: 2210.9 }))).toMatchObject({
      avg_latency_ms: 310,
      min_latency_ms: 41,
      max_latency_ms: 2210
    })
    expect(listed(one, totals(0, 2))?.avg_latency_ms).toBe(0)
  })
})

describe("token figures", () => {
  it("are there by name for those who told any, whatever the name", () => {
    const usage = { answers: 2, promptTokens: 58, completionTokens: 7, averageLatency: 13.9, speeds: 2, averageTokensPerSecond: 41.26 }
    const some = [endpoint("constructor", { url: "http://a:1" }), endpoint("quiet", { url: "http://b:1" })]
    const document = statusDocument(view(some, { a: totals(2, 0, { usage }), b: totals(1) }))
    expect(Object.entries(document.proxy.endpoints)).toEqual([
      ["constructor", { requests: 2, avg_latency_ms: 13, avg_tokens_per_second: 41.3, avg_prompt_tokens: 29, avg_completion_tokens: 3.5 }]
    ])
  })
})

describe("token figures of endpoints that bear one name", () => {
  const usage = { answers: 1, promptTokens: 10, completionTokens: 4, averageLatency: 100, speeds: 1, averageTokensPerSecond: 10 }
  const shared = (other: Partial<typeof usage>) => {
    const some = [endpoint("twin", { url: "http://a:1" }), endpoint("twin", { url: "http://b:1" })]
    const totalsOf = { a: totals(1, 0, { usage }), b: totals(3, 0, { usage: { ...usage, ...other } }) }
    return statusDocument(view(some, totalsOf)).proxy.endpoints["twin"]
  }

  it("are of all of them together, each answer counting alike", () => {
    expect(
      shared({ answers: 3, promptTokens: 90, completionTokens: 12, averageLatency: 300, speeds: 3, averageTokensPerSecond: 50 })
    ).toEqual({ requests: 4, avg_latency_ms: 250, avg_tokens_per_second: 40, avg_prompt_tokens: 25, avg_completion_tokens: 4 })
  })

  it("have the speed of those that told one", () => {
    expect(shared({ speeds: 0, averageTokensPerSecond: 0 })?.avg_tokens_per_second).toBe(10)
  })
})

describe("issues", () => {
  const cases: ReadonlyArray<readonly [Status, number, EndpointTotals | undefined, string | undefined, string]> = [
    // status, consecutive failures, totals, in the list, in the status
    ["healthy", 0, undefined, undefined, ""],
    ["healthy", 0, totals(9, 1), undefined, ""],
    ["healthy", 0, totals(9, 2), "low success rate", "low success rate"],
    ["healthy", 0, totals(5, 5), undefined, ""],
    ["healthy", 3, undefined, undefined, ""],
    ["healthy", 4, undefined, "unstable", "consecutive failures"],
    ["busy", 0, totals(0, 0, { averageLatency: 5001 }), undefined, "high latency"],
    ["busy", 0, totals(0, 0, { averageLatency: 5000 }), undefined, ""],
    ["offline", 1, undefined, "unavailable", "unavailable"],
    [
      "unhealthy",
      5,
      totals(0, 11, { averageLatency: 6000 }),
      "unavailable",
      "consecutive failures, low success rate, high latency, unavailable"
    ],
    ["config_error", 1, undefined, "authentication rejected", "authentication rejected"],
    ["rate_limited", 0, undefined, "rate limited", "rate limited"],
    ["unknown", 0, undefined, undefined, ""]
  ]
  it.each(cases)("of a %s endpoint with %d failures in a row", (status, consecutiveFailures, used, inList, inStatus) => {
    const one = endpoint("a", { state: { status, consecutiveFailures } })
    expect(listed(one, used)?.issues).toBe(inList)
    expect(shown(one, used)?.issues).toBe(inStatus)
  })

  it("are a list that could not be read, behind all else", () => {
    const one = (status: Status) => endpoint("a", { state: { status }, listingIssue: "model listing: HTTP 500" })
    expect([listed(one("healthy"))?.issues, shown(one("healthy"))?.issues]).toEqual(["model list unreadable", "model list unreadable"])
    expect([listed(one("offline"))?.issues, shown(one("offline"))?.issues]).toEqual(["unavailable", "unavailable, model list unreadable"])
  })
  it("are an open breaker too, behind what its status says and before what is older", () => {
    const withBreaker = (phase: string, status: Status, consecutiveFailures = 4) => {
      const one = endpoint("a", { breaker: { phase } as Endpoint["breaker"], state: { status, consecutiveFailures } })
      return [listed(one)?.issues, shown(one)?.issues]
    }
    expect(withBreaker("open", "healthy")).toEqual(["circuit breaker open", "consecutive failures, circuit breaker open"])
    expect(withBreaker("open", "offline")).toEqual(["unavailable", "consecutive failures, unavailable, circuit breaker open"])
    expect(withBreaker("open", "rate_limited", 0)).toEqual(["rate limited", "rate limited, circuit breaker open"])
    expect(withBreaker("half-open", "healthy", 0)).toEqual([undefined, ""])
  })
})

describe("what is wrong with an endpoint", () => {
  const told = (fields: Parameters<typeof endpoint>[1]) => {
    const document = encodeDocument(EndpointsDocument, endpointsDocument(view([endpoint("a", fields)])))
    return (document as { readonly endpoints: ReadonlyArray<Record<string, unknown>> }).endpoints[0]
  }
  it("is told of its health and of its listing, and nothing when nothing is", () => {
    expect(told({ state: { lastError: "HTTP 500" } })).toMatchObject({ last_error: "HTTP 500" })
    expect(told({ listingIssue: "model listing: HTTP 404", discoveryDisabled: true })).toMatchObject({
      last_error: "model listing: HTTP 404",
      discovery_disabled: true
    })
    expect(told({ state: { lastError: "HTTP 500" }, listingIssue: "model listing: timeout" })).toMatchObject({
      last_error: "HTTP 500; model listing: timeout"
    })
    expect(Object.keys(told({ listingIssue: "", restarts: 0 }) ?? {})).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/last_error|actor_restarts|discovery_disabled/)])
    )
  })
  it("counts how often watching it began anew", () => {
    expect(told({ restarts: 2 })).toMatchObject({ actor_restarts: 2 })
  })
})

describe("the order", () => {
  it("is by priority, then healthy ones, then name, then id, whatever the configuration's", () => {
    const endpoints = [
      endpoint("z", { priority: 50 }),
      endpoint("b", { priority: 100 }),
      endpoint("a", { priority: 100, state: { status: "busy" } }),
      endpoint("c", { priority: 100, state: { status: "offline" } }),
      endpoint("B", { priority: 100 })
    ]
    for (const some of [endpoints, [...endpoints].reverse()]) {
      expect(statusDocument(view(some)).endpoints.map(({ name }) => name)).toEqual(["B", "b", "a", "c", "z"])
      expect(endpointsDocument(view(some)).endpoints.map(({ name }) => name)).toEqual(["B", "b", "a", "c", "z"])
    }
  })

  it("counts who is healthy and who is routable", () => {
    const statuses: ReadonlyArray<Status> = ["healthy", "busy", "offline", "unhealthy", "unknown", "config_error", "rate_limited"]
    const document = endpointsDocument(view(statuses.map((status) => endpoint(status.replace("_", "-"), { state: { status } }))))
    expect(document).toMatchObject({ total_count: 7, healthy_count: 1, routable_count: 2 })
  })
})

describe("the system's status", () => {
  const healthy = (up: number, all: number) =>
    Array.from({ length: all }, (_, i) => endpoint(`e${i}`, { state: { status: i < up ? "healthy" : "busy" } }))
  it.each([
    [0, 0, undefined, "critical"],
    [1, 1, undefined, "healthy"],
    [4, 5, undefined, "healthy"],
    [7, 9, undefined, "degraded"],
    [1, 2, undefined, "degraded"],
    [4, 9, undefined, "critical"],
    [1, 1, [95, 5], "healthy"],
    [1, 1, [94, 6], "degraded"],
    [1, 1, [90, 10], "degraded"],
    [1, 1, [89, 11], "critical"],
    [4, 9, [100, 0], "critical"]
  ] as const)("%d of %d healthy, %j good and bad: %s", (up, all, counts, expected) => {
    const global = { ...totals(counts?.[0] ?? 0, counts?.[1] ?? 0), totalAttempts: 0, totalRetries: 0, attemptBytes: 0 }
    expect(systemStatus(view(healthy(up, all), {}, { global }))).toBe(expected)
  })

  it("is elevated in security above 100 violations of the last hour, or 10 clients", () => {
    const security = (recentViolations: number, uniqueRateLimitedIps: number) =>
      securityStatus({ rateLimitViolations: 1_000, sizeLimitViolations: 1_000, recentViolations, uniqueRateLimitedIps })
    expect([security(100, 10), security(101, 0), security(0, 11)]).toEqual(["normal", "elevated", "elevated"])
  })
})

describe("ids", () => {
  it.each([
    ["http://localhost:11434", "1gi2muj"],
    ["http://10.0.0.5:8000/v1", "xz1zd9"],
    ["https://gpu.example:443/api", "12z5xk0"]
  ])("of %s is %s", (url, id) => expect(plainId(url)).toBe(id))

  it("are numbered by name where URLs differ in what is not shown, whatever the order", () => {
    const url = "http://h:1"
    const id = plainId(url)
    const some = [
      endpoint("b", { url: `${url}?key=secret`, displayUrl: url }),
      endpoint("a", { url: `${url}?key=other`, displayUrl: url }),
      endpoint("c", { url: "http://h:2" })
    ]
    for (const order of [some, [...some].reverse()])
      expect(order.map((one) => [one.name, endpointIds(order).get(one)]).sort()).toEqual([
        ["a", `${id}-0`],
        ["b", `${id}-1`],
        ["c", plainId("http://h:2")]
      ])
  })
})

describe("the entity tag", () => {
  const base = {
    timestamp: "t",
    uptime: "1s",
    start_time: "s",
    endpoints: [{ last_check: "1s ago", response_time: "5ms", requests: 1 }],
    system: { has_traffic: true }
  }
  it("does not see what the clock changes", () => {
    const later = {
      timestamp: "u",
      uptime: "9s",
      start_time: "s",
      endpoints: [{ last_check: "9s ago", requests: 1 }],
      system: { has_traffic: false }
    }
    expect(entityTag(later)).toBe(entityTag(base))
  })

  it.each([
    { ...base, start_time: "x" },
    { ...base, endpoints: [{ ...base.endpoints[0], requests: 2 }] },
    { ...base, endpoints: [] },
    { ...base, more: 0 }
  ])("sees everything else (%#)", (changed) => expect(entityTag(changed)).not.toBe(entityTag(base)))
})
