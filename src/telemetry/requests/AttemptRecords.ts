/** Records of single attempts: where a request is sent, and what an attempt came to that failed. */
import type { Attempt, Exchange, ModelMove } from "../../exchange/Exchange.ts"
import { ruleOf } from "../../exchange/Failure.ts"
import type { ExchangeObserver } from "../../exchange/Observer.ts"
import { redactQuery, redactUrl } from "../../guard/Redaction.ts"
import type { LogSink } from "../LogSink.ts"
import { identity } from "./RequestFields.ts"
import type { RequestLogOptions } from "./RequestLogOptions.ts"

export const attemptRecords = (sink: LogSink, options: RequestLogOptions): Omit<ExchangeObserver, "ended"> => {
  const { quiet, engine } = options
  /** In brief form the one record at the end says where it went. */
  const level = () => (options.form() === "full" ? "info" : "debug")

  const dispatched = (exchange: Exchange, attempt: Attempt) => {
    const at = level()
    if (!sink.enabled(at) || quiet()) return
    const before = exchange.attempts.length - 1
    if (before === 0 && sink.enabled("debug"))
      sink.write("debug", "Proxy request started", {
        ...identity(exchange),
        engine: engine(),
        method: exchange.method,
        url: exchange.query === "" ? exchange.path : `${exchange.path}?${redactQuery(exchange.query)}`,
        endpoint_count: exchange.candidates
      })
    if (before > 0) {
      const remaining = Math.max(0, exchange.candidates - before)
      sink.write(at, "Retrying request with different endpoint", {
        ...identity(exchange),
        available_endpoints: remaining,
        attempts_remaining: remaining
      })
    }
    sink.write(at, "Request dispatching", {
      ...identity(exchange),
      endpoint: attempt.endpointName,
      target: redactUrl(attempt.endpoint.url),
      model: attempt.model === "" ? exchange.model : attempt.model
    })
  }

  const attemptEnded = (exchange: Exchange, attempt: Attempt) => {
    const { failure } = attempt
    if (failure === undefined) return
    const rule = ruleOf(failure)
    if (rule.fault === "client") {
      if (sink.enabled("debug"))
        sink.write("debug", "Client went away", { ...identity(exchange), endpoint: attempt.endpointName, total_bytes: attempt.bytes })
      return
    }
    if (failure.kind === "path_unknown") {
      const at = level()
      if (sink.enabled(at) && !quiet())
        sink.write(at, "Endpoint does not serve the path", {
          ...identity(exchange),
          endpoint: attempt.endpointName,
          path: exchange.path,
          status: attempt.status
        })
      return
    }
    const error = `${failure.kind}: ${failure.detail}`
    if (failure.kind === "breaker_open") {
      if (sink.enabled("warn"))
        sink.write("warn", "Circuit breaker is open for endpoint", { ...identity(exchange), endpoint: attempt.endpointName })
      return
    }
    if (rule.demote) {
      if (sink.enabled("warn"))
        sink.write("warn", "Connection failed to endpoint, marking as unhealthy", {
          ...identity(exchange),
          endpoint: attempt.endpointName,
          error,
          attempt: exchange.attempts.length,
          remaining_endpoints: Math.max(0, exchange.candidates - exchange.attempts.length)
        })
      return
    }
    // Where nobody else is tried, `Request failed` follows and says the same.
    const severity =
      options.form() === "full" ? "error" : rule.failover && exchange.candidates > exchange.attempts.length ? "warn" : "debug"
    if (sink.enabled(severity))
      sink.write(severity, attempt.status === 0 ? "round-trip failed" : "streaming failed", {
        ...identity(exchange),
        endpoint: attempt.endpointName,
        error
      })
  }

  const movedOn = (exchange: Exchange, { alias, from, to, reason }: ModelMove) => {
    if (sink.enabled("info") && !quiet()) sink.write("info", "Model fallback", { ...identity(exchange), alias, from, to, reason })
  }

  return { dispatched, movedOn, attemptEnded }
}
