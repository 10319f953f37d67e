/** Families about the whole: build, status, requests, limits, models together. */
import type { Family } from "../../telemetry/PrometheusText.ts"
import { build } from "../../version.ts"
import { securityStatus, systemStatus } from "../StatusDocuments.ts"
import { one, rate, type Single, single } from "./Families.ts"
import type { MetricsView } from "./MetricsView.ts"

const hour = 3_600_000

export const overallFamilies = (view: MetricsView): ReadonlyArray<Family> => {
  const { config, global, security, endpoints, modelsOverall, models } = view
  const info = {
    version: build.version,
    commit: build.commit,
    engine: config.proxy.engine,
    profile: config.proxy.profile,
    balancer: config.proxy.load_balancer
  }
  const healthy = endpoints.filter(({ state }) => state.status === "healthy").length
  const connections = view.underWay
  const violations = security.rateLimitViolations + security.sizeLimitViolations
  const active = models.filter(({ lastRequested }) => view.monotonic - lastRequested < hour).length
  const plain: ReadonlyArray<readonly [Single, string, string, number | undefined]> = [
    ["gauge", "system_status", "2 healthy, 1 degraded, 0 critical.", { healthy: 2, degraded: 1, critical: 0 }[systemStatus(view)]],
    ["gauge", "endpoints_total", "Configured endpoints.", endpoints.length],
    ["gauge", "endpoints_healthy", "Endpoints whose status is healthy.", healthy],
    [
      "gauge",
      "success_rate_percent",
      "Share of dispatched client requests that succeeded.",
      rate(global.successfulRequests, global.totalRequests)
    ],
    ["gauge", "avg_latency_ms", "Average latency of successful client requests in milliseconds.", global.averageLatency],
    ["gauge", "total_traffic_bytes", "Body bytes relayed to clients.", global.attemptBytes],
    ["gauge", "uptime_seconds", "Seconds since the start.", view.uptime / 1000],
    ["gauge", "active_connections", "Attempts under way.", connections],
    ["counter", "requests_total", "Client requests that were dispatched to an endpoint.", global.totalRequests],
    ["counter", "failures_total", "Dispatched client requests that failed.", global.failedRequests],
    ["counter", "security_violations_total", "Requests refused by rate and size limits.", violations],
    ["counter", "security_rate_limit_violations_total", "Requests refused by rate limits.", security.rateLimitViolations],
    ["counter", "security_size_limit_violations_total", "Requests refused by size limits.", security.sizeLimitViolations],
    ["gauge", "request_bodies_bytes", "Memory reserved for request bodies that are received or sent on.", view.bodies.held],
    [
      "gauge",
      "request_bodies_limit_bytes",
      "The most that request bodies may take; absent without a limit.",
      Number.isFinite(view.bodies.limit) ? view.bodies.limit : undefined
    ],
    ["counter", "request_bodies_refused_total", "Requests refused for want of memory for their bodies.", view.bodies.refused],
    ["gauge", "security_blocked_ips", "Client addresses that were rate limited within the last hour.", security.uniqueRateLimitedIps],
    ["gauge", "security_status", "1 normal, 0 elevated.", securityStatus(security) === "normal" ? 1 : 0],
    ["gauge", "models_total", "Models with statistics.", models.length],
    ["gauge", "models_active", "Models that were requested within the last hour.", active],
    [
      "gauge",
      "models_success_rate_percent",
      "Share of attempts with a model that succeeded.",
      rate(modelsOverall.successfulRequests, modelsOverall.totalRequests)
    ],
    ["counter", "models_requests_total", "Attempts with a model.", modelsOverall.totalRequests],
    ["counter", "models_traffic_bytes", "Body bytes of attempts with a model.", modelsOverall.totalBytes]
  ]
  return [
    single("gauge", "info", "Build and configuration.", one(1, info)),
    ...plain.map(([type, name, help, value]) => single(type, name, help, one(value)))
  ]
}
