/** The documents about endpoints and the whole: /internal/status and /internal/status/endpoints. */
import { findingOf } from "../config/Diagnostic.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { ConfigStatus } from "../config/Reload.ts"
import type { DnsStatus } from "../endpoint/DnsSource.ts"
import { accepts, type Endpoint } from "../endpoint/Endpoint.ts"
import { wallAt } from "../endpoint/Monotonic.ts"
import type { BodyBudget } from "../guard/BodyBudget.ts"
import type { EndpointTotals, GlobalTotals, SecurityTotals, UsageTotals } from "../telemetry/Statistics.ts"
import { build } from "../version.ts"
import type { EndpointsDocument, EndpointUsage, ListedEndpoint, StatusDocument, StatusEndpoint } from "./documents/StatusDocument.ts"
import { type LastRequestError, present } from "./documents/Values.ts"
import { endpointIds } from "./EndpointIds.ts"
import { ago, bytes, latency, percent, timestamp, until, uptime } from "./Formats.ts"

export interface StatusView {
  /** Epoch milliseconds. */
  readonly now: number
  /** The monotonic clock at the same moment, which the endpoints' times are of. */
  readonly monotonic: number
  /** Milliseconds since the start. */
  readonly uptime: number
  readonly config: OllaConfig
  readonly configStatus: ConfigStatus
  readonly discovery: ReadonlyArray<DnsStatus>
  readonly endpoints: ReadonlyArray<Endpoint>
  /** Attempts, those on endpoints that are configured no longer included. */
  readonly underWay: number
  readonly totals: (endpoint: Endpoint) => EndpointTotals | undefined
  readonly global: GlobalTotals
  readonly security: SecurityTotals
  readonly startedAt: number
  readonly bodies: BodyBudget
  readonly rejections: Readonly<Record<string, number>>
  /** Absent while nobody is asked for a key. */
  readonly access?: (typeof StatusDocument.Type)["access"]
  /** Absent while the listener speaks plain HTTP. */
  readonly tls?: (typeof StatusDocument.Type)["tls"]
}

const successRate = (totals: EndpointTotals | undefined): number =>
  totals === undefined || totals.totalRequests === 0 ? 0 : (totals.successfulRequests / totals.totalRequests) * 100

const shownRate = (totals: EndpointTotals | undefined): string =>
  totals === undefined || totals.totalRequests === 0 ? "N/A" : percent(successRate(totals))

/** Priority first, then healthy ones, then by name and id. */
const ordered = (view: StatusView): ReadonlyArray<{ readonly endpoint: Endpoint; readonly id: string }> => {
  const ids = endpointIds(view.endpoints)
  const healthy = (endpoint: Endpoint) => (endpoint.state.status === "healthy" ? 0 : 1)
  return view.endpoints
    .map((endpoint) => ({ endpoint, id: ids.get(endpoint) ?? "" }))
    .sort(
      (a, b) =>
        b.endpoint.priority - a.endpoint.priority ||
        healthy(a.endpoint) - healthy(b.endpoint) ||
        (a.endpoint.name < b.endpoint.name ? -1 : a.endpoint.name > b.endpoint.name ? 1 : a.id < b.id ? -1 : 1)
    )
}

type Issue = typeof ListedEndpoint.Type.issues

/** The status's own word for trouble. */
const troubleOf = (endpoint: Endpoint): Issue => {
  switch (endpoint.state.status) {
    case "offline":
    case "unhealthy":
      return "unavailable"
    case "config_error":
      return "authentication rejected"
    case "rate_limited":
      return "rate limited"
    default:
      return undefined
  }
}

/** A healthy endpoint without failures can still have a poor success rate. */
const gravest = (endpoint: Endpoint, totals: EndpointTotals | undefined): Issue => {
  const trouble = troubleOf(endpoint)
  if (trouble !== undefined) return trouble
  if (endpoint.breaker.phase === "open") return "circuit breaker open"
  if (endpoint.state.consecutiveFailures > 3) return "unstable"
  if (hasLowRate(totals)) return "low success rate"
  return hasNoList(endpoint) ? "model list unreadable" : undefined
}

const hasNoList = ({ listingIssue }: Endpoint): boolean => listingIssue !== ""

const hasLowRate = (totals: EndpointTotals | undefined): boolean => (totals?.totalRequests ?? 0) > 10 && successRate(totals) < 90

const allIssues = (endpoint: Endpoint, totals: EndpointTotals | undefined): string =>
  [
    endpoint.state.consecutiveFailures > 3 ? "consecutive failures" : "",
    hasLowRate(totals) ? "low success rate" : "",
    (totals?.averageLatency ?? 0) > 5000 ? "high latency" : "",
    troubleOf(endpoint),
    endpoint.breaker.phase === "open" ? "circuit breaker open" : "",
    hasNoList(endpoint) ? "model list unreadable" : ""
  ]
    .filter((issue) => issue !== undefined && issue !== "")
    .join(", ")

const at = (millis: number): string | undefined => (millis === 0 ? undefined : timestamp(millis))

/** An endpoint's time as epoch milliseconds; 0 stays "not yet". */
const wall = (moment: number, { now, monotonic }: StatusView): number => (moment === 0 ? 0 : wallAt(moment, { monotonic, wall: now }))

/** 0: it is not probed. */
const nextCheckOf = ({ state }: Endpoint): number => (Number.isFinite(state.nextCheck) ? state.nextCheck : 0)

const zeroTime = "0001-01-01T00:00:00Z"

const noClasses = { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, transport: 0, cancelled: 0 }

const requestError = (error: EndpointTotals["lastError"]): typeof LastRequestError.Type | null => {
  if (error === undefined) return null
  const { at: moment, requestId: request_id, ...rest } = error
  return { at: timestamp(moment), request_id, ...rest }
}

/** What both documents tell of an endpoint. */
const shared = (view: StatusView, endpoint: Endpoint, id: string, totals: EndpointTotals | undefined) => {
  const { state } = endpoint
  return {
    id,
    name: endpoint.name,
    url: endpoint.displayUrl,
    status: state.status,
    admin: endpoint.admin,
    priority: endpoint.priority,
    success_rate: shownRate(totals),
    avg_latency_ms: totals === undefined || totals.totalRequests === 0 ? undefined : Math.trunc(totals.averageLatency),
    min_latency_ms: Math.trunc(totals?.minLatency ?? 0),
    max_latency_ms: Math.trunc(totals?.maxLatency ?? 0),
    health_check_at: at(wall(state.lastChecked, view)),
    next_check_at: at(wall(nextCheckOf(endpoint), view)),
    circuit_breaker: endpoint.breaker.phase,
    last_request_error: requestError(totals?.lastError),
    requests_by_class: { ...noClasses, ...totals?.statusClasses },
    latency_ms: totals?.latencyPercentiles,
    ttft_ms: totals?.firstTokenPercentiles
  } as const
}

/** Of its health first, then of its listing; `undefined`: nothing is wrong. */
const lastError = ({ state, listingIssue }: Endpoint): string | undefined =>
  [state.lastError, listingIssue].filter((text) => text !== "").join("; ") || undefined

export const endpointsDocument = (view: StatusView): typeof EndpointsDocument.Type => {
  const { now } = view
  return {
    timestamp: timestamp(now),
    endpoints: ordered(view).map(({ endpoint, id }) => {
      const totals = view.totals(endpoint)
      const { state } = endpoint
      const synced = endpoint.models.length > 0 ? endpoint.modelsSyncedAt : 0
      return present<typeof ListedEndpoint.Type>({
        ...shared(view, endpoint, id, totals),
        type: endpoint.type,
        detected_type: endpoint.detectedType,
        model_count: endpoint.models.length,
        request_count: totals?.totalRequests ?? 0,
        active_connections: endpoint.inFlight,
        health_check: state.lastChecked === 0 ? "" : ago(state.lastChecked, view.monotonic),
        response_time: endpoint.hasAnsweredProbe ? latency(state.lastLatency) : undefined,
        last_model_sync: synced > 0 ? ago(view.monotonic - endpoint.modelsAge, view.monotonic) : undefined,
        last_model_sync_at: at(synced),
        issues: gravest(endpoint, totals),
        last_error: lastError(endpoint),
        actor_restarts: endpoint.restarts > 0 ? endpoint.restarts : undefined,
        discovery_disabled: endpoint.discoveryDisabled ? true : undefined
      })
    }),
    total_count: view.endpoints.length,
    healthy_count: view.endpoints.filter((endpoint) => endpoint.state.status === "healthy").length,
    routable_count: view.endpoints.filter((endpoint) => accepts(endpoint)).length
  }
}

export type SystemStatus = "healthy" | "degraded" | "critical"

export const systemStatus = (view: StatusView): SystemStatus => {
  if (view.endpoints.length === 0) return "critical"
  const healthy = view.endpoints.filter((endpoint) => endpoint.state.status === "healthy").length / view.endpoints.length
  const success = view.global.totalRequests === 0 ? 100 : successRate(view.global)
  if (healthy < 0.5 || success < 90) return "critical"
  return healthy < 0.8 || success < 95 ? "degraded" : "healthy"
}

export const securityStatus = (security: SecurityTotals): "normal" | "elevated" =>
  (security.recentViolations ?? security.rateLimitViolations + security.sizeLimitViolations) > 100 || security.uniqueRateLimitedIps > 10
    ? "elevated"
    : "normal"

/** Token figures by endpoint name, of all that bear it; those without have no entry. */
const usageByName = (view: StatusView): Record<string, typeof EndpointUsage.Type> => {
  const byName = new Map<string, UsageTotals>()
  for (const endpoint of view.endpoints) {
    const { name } = endpoint
    const usage = view.totals(endpoint)?.usage
    if (usage === undefined || usage.answers === 0) continue
    const known = byName.get(name)
    byName.set(name, known === undefined ? usage : together(known, usage))
  }
  return Object.fromEntries(
    [...byName].map(([name, usage]) => [
      name,
      present<typeof EndpointUsage.Type>({
        requests: usage.answers,
        avg_latency_ms: Math.trunc(usage.averageLatency),
        avg_tokens_per_second: usage.speeds === 0 ? undefined : tenths(usage.averageTokensPerSecond),
        avg_prompt_tokens: tenths(usage.promptTokens / usage.answers),
        avg_completion_tokens: tenths(usage.completionTokens / usage.answers)
      })
    ])
  )
}

const together = (a: UsageTotals, b: UsageTotals): UsageTotals => {
  const answers = a.answers + b.answers
  const speeds = a.speeds + b.speeds
  return {
    answers,
    speeds,
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    averageLatency: (a.averageLatency * a.answers + b.averageLatency * b.answers) / answers,
    averageTokensPerSecond: speeds === 0 ? 0 : (a.averageTokensPerSecond * a.speeds + b.averageTokensPerSecond * b.speeds) / speeds
  }
}

const configDocument = ({ generation, loadedAt, source, lastError, restartNeeded }: ConfigStatus) => ({
  generation,
  loaded_at: timestamp(loadedAt),
  source,
  last_error:
    lastError === undefined
      ? null
      : { at: timestamp(lastError.at), message: lastError.message, findings: lastError.findings.map(findingOf) },
  restart_needed: restartNeeded
})

export const statusDocument = (view: StatusView): typeof StatusDocument.Type => {
  const { now, global, security, config } = view
  const healthy = view.endpoints.filter((endpoint) => endpoint.state.status === "healthy").length
  return {
    timestamp: timestamp(now),
    proxy: {
      engine: config.proxy.engine,
      profile: config.proxy.profile,
      balancer: config.proxy.load_balancer,
      endpoints: usageByName(view)
    },
    endpoints: ordered(view).map(({ endpoint, id }) => {
      const totals = view.totals(endpoint)
      const { state } = endpoint
      return present<typeof StatusEndpoint.Type>({
        ...shared(view, endpoint, id, totals),
        connections: endpoint.inFlight,
        requests: totals?.totalRequests ?? 0,
        avg_latency: latency(totals?.averageLatency ?? 0),
        traffic: bytes(totals?.totalBytes ?? 0),
        last_check: ago(state.lastChecked, view.monotonic),
        next_check: until(nextCheckOf(endpoint), view.monotonic),
        issues: allIssues(endpoint, totals),
        models:
          endpoint.models.length === 0
            ? { last_updated: zeroTime, count: 0 }
            : { last_updated: timestamp(endpoint.modelsSyncedAt), count: endpoint.models.length }
      })
    }),
    config: configDocument(view.configStatus),
    ...(view.access === undefined ? {} : { access: view.access }),
    ...(view.tls === undefined ? {} : { tls: view.tls }),
    discovery: view.discovery.map(({ name, endpoints, resolvedAt, lastError }) => ({
      name,
      endpoints,
      resolved_at: resolvedAt === 0 ? null : timestamp(resolvedAt),
      last_error: lastError ?? null
    })),
    security: {
      status: securityStatus(security),
      blocked_ips: security.uniqueRateLimitedIps,
      violations: { rate_limits: security.rateLimitViolations, size_limits: security.sizeLimitViolations }
    },
    system: present<(typeof StatusDocument.Type)["system"]>({
      start_time: timestamp(view.startedAt),
      status: systemStatus(view),
      endpoints_up: `${healthy}/${view.endpoints.length}`,
      success_rate: shownRate(global),
      avg_latency: latency(global.averageLatency),
      total_traffic: bytes(global.attemptBytes),
      uptime: uptime(view.uptime),
      version: build.version,
      commit: build.commit,
      active_connections: view.underWay,
      security_violations: security.rateLimitViolations + security.sizeLimitViolations,
      total_requests: global.totalRequests,
      total_failures: global.failedRequests,
      total_attempts: global.totalAttempts,
      total_retries: global.totalRetries,
      has_traffic: global.totalRequests > 0,
      requests_by_class: { ...noClasses, ...global.statusClasses },
      rejections: { "404": 0, "413": 0, "429": 0, "431": 0, "503": 0, ...view.rejections },
      latency_ms: global.latencyPercentiles,
      ttft_ms: global.firstTokenPercentiles
    })
  }
}

const tenths = (n: number): number => Math.round(n * 10) / 10
