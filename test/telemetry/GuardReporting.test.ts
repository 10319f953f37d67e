import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { GuardEvents } from "../../src/guard/Guard.ts"
import * as GuardReporting from "../../src/telemetry/GuardReporting.ts"
import { makeSink } from "../../src/telemetry/LogSink.ts"
import { Statistics } from "../../src/telemetry/Statistics.ts"
import * as StatisticsLive from "../../src/telemetry/StatisticsLive.ts"

describe("what the guard refused", () => {
  it.effect("is counted each time and written the first time", () => {
    let text = ""
    const sink = makeSink({
      level: "info",
      form: "json",
      out: (lines) => {
        text += lines
      }
    })
    return Effect.gen(function* () {
      const events = yield* GuardEvents
      const statistics = yield* Statistics
      const request = { id: "r1", method: "POST", path: "/olla/proxy/x", peer: "10.0.0.1", clientIp: "203.0.113.1" }
      const refusal = { allowed: false, refusedBy: "global", limit: 60, retryAfter: 2, headers: [] } as const
      events.rateLimited(request, refusal, true)
      events.rateLimited(request, refusal, false)
      events.rateLimitedQuietly(1)
      events.sizeLimited(request, "body", 60 * 1024 * 1024, 1024)
      events.sizeLimited(request, "headers", 9000, 4096)
      sink.flush()
      const records = text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      expect(records).toMatchObject([
        {
          level: "WARN",
          msg: "Rate limit exceeded",
          client_ip: "203.0.113.1",
          method: "POST",
          path: "/olla/proxy/x",
          limit: 60,
          limit_key: "server.rate_limits.global_requests_per_minute",
          scope: "global",
          retry_after: 2
        },
        { level: "WARN", count: 1 },
        { level: "WARN", msg: "Request rejected", reason: "request body too large", remote_addr: "10.0.0.1" },
        { level: "WARN", msg: "Large request blocked", client_id: "203.0.113.1" },
        { level: "WARN", msg: "Request rejected", reason: "request headers too large" }
      ])
      expect(statistics.security()).toMatchObject({ rateLimitViolations: 2, sizeLimitViolations: 2, uniqueRateLimitedIps: 1 })
    }).pipe(Effect.provide(Layer.provideMerge(GuardReporting.layer(sink), StatisticsLive.layer)))
  })
})
