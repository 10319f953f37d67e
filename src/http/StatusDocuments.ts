/** The documents about endpoints and the whole: /internal/status and /internal/status/endpoints (http-api.md 11.2, 11.3). */
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { isRoutable } from "../endpoint/EndpointState.ts"
import type { EndpointTotals, GlobalTotals, SecurityTotals } from "../telemetry/Statistics.ts"
import { build } from "../version.ts"
import { endpointIds } from "./EndpointIds.ts"
import { ago, bytes, latency, percent, timestamp, until, uptime } from "./Formats.ts"

export interface StatusView {
  readonly now: number
  readonly config: OllaConfig
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly totals: (url: string) => EndpointTotals | undefined
  readonly global: GlobalTotals
  readonly security: SecurityTotals
  readonly startedAt: number
  readonly breakerOf: (url: string) => "closed" | "open" | "half-open" | undefined
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

/** The status's own word for trouble; empty: none. */
const troubleOf = (endpoint: Endpoint): string => {
  switch (endpoint.state.status) {
    case "offline":
    case "unhealthy":
      return "unavailable"
    case "config_error":
      return "authentication rejected"
    case "rate_limited":
      return "rate limited"
    default:
      return ""
  }
}

const listIssues = (endpoint: Endpoint, totals: EndpointTotals | undefined): string => {
  const { state } = endpoint
  if (state.status === "healthy" && state.consecutiveFailures === 0) return ""
  const trouble = troubleOf(endpoint)
  if (trouble !== "") return trouble
  if (state.consecutiveFailures > 3) return "unstable"
  return (totals?.totalRequests ?? 0) > 10 && successRate(totals) < 90 ? "low success rate" : ""
}

const allIssues = (endpoint: Endpoint, totals: EndpointTotals | undefined): string =>
  [
    endpoint.state.consecutiveFailures > 3 ? "consecutive failures" : "",
    (totals?.totalRequests ?? 0) > 10 && successRate(totals) < 90 ? "low success rate" : "",
    (totals?.averageLatency ?? 0) > 5000 ? "high latency" : "",
    troubleOf(endpoint)
  ]
    .filter((issue) => issue !== "")
    .join(", ")

const optional = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const at = (millis: number): string | undefined => (millis === 0 ? undefined : timestamp(millis))

const zeroTime = "0001-01-01T00:00:00Z"

export const endpointsDocument = (view: StatusView): Record<string, unknown> => {
  const { now } = view
  const entries = ordered(view).map(({ endpoint, id }) => {
    const totals = view.totals(endpoint.url)
    const { state } = endpoint
    const issues = listIssues(endpoint, totals)
    const breaker = view.breakerOf(endpoint.url)
    return optional({
      avg_latency_ms: totals === undefined || totals.successfulRequests === 0 ? undefined : Math.round(totals.averageLatency),
      next_check_at: at(state.nextCheck),
      health_check_at: at(state.lastChecked),
      last_model_sync_at: endpoint.models.length > 0 ? at(endpoint.modelsSyncedAt) : undefined,
      name: endpoint.name,
      type: endpoint.type,
      detected_type: endpoint.detectedType,
      status: state.status,
      last_model_sync: endpoint.models.length > 0 && endpoint.modelsSyncedAt > 0 ? ago(endpoint.modelsSyncedAt, now) : undefined,
      health_check: state.lastChecked === 0 ? "" : ago(state.lastChecked, now),
      response_time: endpoint.hasAnsweredProbe === true ? latency(state.lastLatency) : undefined,
      success_rate: shownRate(totals),
      issues: issues === "" ? undefined : issues,
      url: endpoint.displayUrl,
      id,
      priority: endpoint.priority,
      model_count: endpoint.models.length,
      request_count: totals?.totalRequests ?? 0,
      min_latency_ms: Math.round(totals?.minLatency ?? 0),
      max_latency_ms: Math.round(totals?.maxLatency ?? 0),
      active_connections: endpoint.inFlight,
      circuit_breaker: breaker === "closed" ? undefined : breaker,
      last_error: state.lastError === "" ? undefined : state.lastError,
      discovery_disabled: endpoint.discoveryDisabled ? true : undefined
    })
  })
  return {
    timestamp: timestamp(now),
    endpoints: entries,
    total_count: view.endpoints.length,
    healthy_count: view.endpoints.filter((endpoint) => endpoint.state.status === "healthy").length,
    routable_count: view.endpoints.filter((endpoint) => isRoutable(endpoint.state.status)).length
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

export const statusDocument = (view: StatusView): Record<string, unknown> => {
  const { now, global, security, config } = view
  const entries = ordered(view).map(({ endpoint, id }) => {
    const totals = view.totals(endpoint.url)
    const { state } = endpoint
    return optional({
      avg_latency_ms: totals === undefined || totals.successfulRequests === 0 ? undefined : Math.round(totals.averageLatency),
      next_check_at: at(state.nextCheck),
      health_check_at: at(state.lastChecked),
      models:
        endpoint.models.length === 0
          ? { last_updated: zeroTime, count: 0 }
          : { last_updated: timestamp(endpoint.modelsSyncedAt), count: endpoint.models.length },
      name: endpoint.name,
      status: state.status,
      success_rate: shownRate(totals),
      avg_latency: latency(totals?.averageLatency ?? 0),
      traffic: bytes(totals?.totalBytes ?? 0),
      last_check: ago(state.lastChecked, now),
      next_check: until(state.nextCheck, now),
      issues: allIssues(endpoint, totals),
      url: endpoint.displayUrl,
      id,
      priority: endpoint.priority,
      connections: endpoint.inFlight,
      requests: totals?.totalRequests ?? 0,
      min_latency_ms: Math.round(totals?.minLatency ?? 0),
      max_latency_ms: Math.round(totals?.maxLatency ?? 0)
    })
  })
  const healthy = view.endpoints.filter((endpoint) => endpoint.state.status === "healthy").length
  return {
    timestamp: timestamp(now),
    proxy: { engine: config.proxy.engine, profile: config.proxy.profile, balancer: config.proxy.load_balancer },
    endpoints: entries,
    security: {
      status: securityStatus(security),
      blocked_ips: security.uniqueRateLimitedIps,
      violations: { rate_limits: security.rateLimitViolations, size_limits: security.sizeLimitViolations }
    },
    system: {
      start_time: timestamp(view.startedAt),
      status: systemStatus(view),
      endpoints_up: `${healthy}/${view.endpoints.length}`,
      success_rate: shownRate(global),
      avg_latency: latency(global.averageLatency),
      total_traffic: bytes(view.endpoints.reduce((sum, endpoint) => sum + (view.totals(endpoint.url)?.totalBytes ?? 0), 0)),
      uptime: uptime(now - view.startedAt),
      version: build.version,
      commit: build.commit,
      active_connections: view.endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0),
      security_violations: security.rateLimitViolations + security.sizeLimitViolations,
      total_requests: global.totalRequests,
      total_failures: global.failedRequests,
      total_attempts: global.totalAttempts,
      total_retries: global.totalRetries,
      has_traffic: global.totalRequests > 0
    }
  }
}
