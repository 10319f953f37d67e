/**
 * The records of requests (observability.md 7.3, 7.4; http-api.md 15): the pair of console lines and the access log for
 * every request, and the life of a proxied one. Each asks the sink before it builds anything, so a level that is off
 * costs a comparison.
 */
import { performance } from "node:perf_hooks"
import * as Context from "effect/Context"
import { formatDuration } from "../config/Duration.ts"
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import { ruleOf } from "../exchange/Failure.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import { redactQuery, redactUrl } from "../guard/Redaction.ts"
import { zonedTime } from "./LogRecord.ts"
import type { LogSink } from "./LogSink.ts"
import { compactBytes, completedFields, engineFields, identity, metricsFields, routingFields, wholeMillis } from "./RequestFields.ts"
import { noUsage, type ReadUsage } from "./Usage.ts"

export interface StartFields {
  readonly exchange: Exchange
  /** `ip:port` of the TCP peer. */
  readonly remote: string
  /** First value by lower-cased name; empty when absent. */
  readonly header: (name: string) => string
}

export interface AccessFields extends StartFields {
  readonly status: number
  /** Body bytes. */
  readonly responseBytes: number
}

export interface UnreadRequest {
  readonly id: string
  readonly remote: string
  readonly status: number
  readonly reason: string
  readonly responseBytes: number
}

/** What only the debug record of a proxied request tells. */
export interface RequestDetails {
  /** What is asked of the backend, with its query. */
  readonly target: string
  readonly contentType: string
}

export class RequestLog extends Context.Service<
  RequestLog,
  {
    readonly observer: ExchangeObserver
    /** Any request, before its handler: the first console line. */
    readonly started: (fields: StartFields) => void
    /** A proxied request has been routed. */
    readonly received: (exchange: Exchange, userAgent: string, details?: RequestDetails) => void
    /** An alias led to these. `total`: all endpoints that could be asked right now. */
    readonly aliasResolved: (
      exchange: Exchange,
      candidates: ReadonlyArray<{ readonly endpoint: { readonly name: string }; readonly nativeName: string }>,
      total: number
    ) => void
    /** Nobody is of a kind that knows the path; told once a minute, since it is so for every request like it. */
    readonly widened: (exchange: Exchange, by: { readonly supportedBy: ReadonlyArray<string>; readonly total: number }) => void
    /** Nobody is known to have the model, and the configuration says to ask those that are there. */
    readonly fellBack: (exchange: Exchange) => void
    /** A translator answers with an error of its own. */
    readonly untranslated: (exchange: Exchange, status: number, error: string) => void
    /** The listener's own answer to what was no request: the access log, with nothing known of the client but its address. */
    readonly unread: (refusal: UnreadRequest) => void
    /** Any answer, after its end: the second console line and the access log. */
    readonly access: (fields: AccessFields) => void
  }
>()("olla/telemetry/RequestLog") {}

const isRead = (method: string): boolean => method === "GET" || method === "HEAD"

/** Proxy traffic: its console pair is for debugging, its own lines tell more. */
const isProxied = (path: string): boolean => path.includes("/olla/") || (path.startsWith("/api/") && !path.startsWith("/api/v0/"))

/** Somebody polls a document of ours. */
const isPolling = ({ method, path }: Exchange): boolean => isRead(method) && path.startsWith("/internal/")

const isFine = (status: number): boolean => (status >= 200 && status < 300) || status === 304

/** Milliseconds between two warnings that a path restriction fell away. */
const widenedEvery = 60_000

/** Refusals that the guard reports itself. */
const limitStatuses: ReadonlySet<number> = new Set([413, 429, 431])

/**
 * `quiet`: `server.request_logging` is false, which keeps only what ended with 400 and above; since a beginning does not
 * know its end, first lines go too. `slow`: milliseconds from which a proxied request is named; 0 is off. `engine`: the
 * name of the one that carries.
 */
export const makeRequestLog = (
  sink: LogSink,
  quiet: () => boolean,
  slow: () => number,
  usage: ReadUsage = noUsage,
  engine: () => string = () => "olla"
): RequestLog["Service"] => {
  const dispatched = (exchange: Exchange, attempt: Attempt) => {
    if (!sink.enabled("info") || quiet()) return
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
      sink.write("info", "Retrying request with different endpoint", {
        ...identity(exchange),
        available_endpoints: remaining,
        attempts_remaining: remaining
      })
    }
    sink.write("info", "Request dispatching", {
      ...identity(exchange),
      endpoint: attempt.endpointName,
      target: redactUrl(attempt.endpoint.url),
      model: attempt.model === "" ? exchange.model : attempt.model
    })
  }

  const attemptEnded = (exchange: Exchange, attempt: Attempt) => {
    const { failure } = attempt
    if (failure === undefined) return
    if (ruleOf(failure).fault === "client") {
      if (sink.enabled("debug"))
        sink.write("debug", "Client went away", { ...identity(exchange), endpoint: attempt.endpointName, total_bytes: attempt.bytes })
      return
    }
    const error = `${failure.kind}: ${failure.detail}`
    if (failure.kind === "breaker_open") {
      if (sink.enabled("warn"))
        sink.write("warn", "Circuit breaker is open for endpoint", { ...identity(exchange), endpoint: attempt.endpointName })
    } else if (ruleOf(failure).demote) {
      if (sink.enabled("warn"))
        sink.write("warn", "Connection failed to endpoint, marking as unhealthy", {
          ...identity(exchange),
          endpoint: attempt.endpointName,
          error,
          attempt: exchange.attempts.length,
          remaining_endpoints: Math.max(0, exchange.candidates - exchange.attempts.length)
        })
    } else if (sink.enabled("error")) {
      sink.write("error", attempt.status === 0 ? "round-trip failed" : "streaming failed", {
        ...identity(exchange),
        endpoint: attempt.endpointName,
        error
      })
    }
  }

  const ended = (exchange: Exchange) => {
    const { outcome } = exchange
    if (outcome === undefined) return
    const last = exchange.lastAttempt
    const duration = wholeMillis(performance.now() - exchange.timings.accepted)
    const limit = slow()
    if (limit > 0 && duration > limit && sink.enabled("warn"))
      sink.write("warn", "Slow request", {
        ...identity(exchange),
        endpoint: last?.endpointName ?? "",
        model: exchange.model,
        status: outcome.status,
        duration_ms: duration
      })
    switch (outcome._tag) {
      case "rejected":
        if (!limitStatuses.has(outcome.status) && sink.enabled("warn"))
          sink.write("warn", "Request rejected", {
            ...identity(exchange),
            client_ip: exchange.clientIp,
            path: exchange.path,
            status: outcome.status,
            duration_ms: duration,
            reason: outcome.reason,
            model: exchange.model === "" ? undefined : exchange.model,
            ...routingFields(exchange)
          })
        return
      case "failed":
        if (sink.enabled("error"))
          sink.write("error", "Request failed", {
            ...identity(exchange),
            error: `${outcome.failure.kind}: ${outcome.failure.detail}`,
            status: outcome.status,
            ...metricsFields(exchange, duration, undefined)
          })
        return
      default: {
        if (!sink.enabled("info") || (outcome.status < 400 && quiet())) return
        const figures = last === undefined || outcome._tag === "cancelled" ? undefined : usage(exchange, last)
        const cancelled = outcome._tag === "cancelled"
        sink.write(
          "info",
          cancelled ? "Request cancelled" : "Request completed",
          completedFields(exchange, cancelled ? "cancelled" : "completed", outcome.status, duration, figures)
        )
        if (!sink.enabled("debug")) return
        sink.write("debug", "Request metrics", { ...identity(exchange), ...metricsFields(exchange, duration, figures) })
        sink.write("debug", "Proxy metrics", {
          ...identity(exchange),
          engine: engine(),
          ...engineFields(exchange, outcome.status, figures)
        })
        if (figures !== undefined)
          sink.write("debug", "Metrics extracted", { ...identity(exchange), engine: engine(), tokens: figures.totalTokens ?? 0 })
      }
    }
  }

  const started = ({ exchange, remote, header }: StartFields) => {
    const demoted = isProxied(exchange.path) || isPolling(exchange)
    const level = demoted ? "debug" : "info"
    if (!sink.enabled(level) || quiet()) return
    const size = Number(header("content-length")) || 0
    sink.write(level, demoted ? "HTTP request started" : "Request started", {
      ...identity(exchange),
      method: exchange.method,
      path: exchange.path,
      remote_addr: remote,
      user_agent: header("user-agent"),
      request_bytes: size,
      request_size_formatted: compactBytes(size)
    })
  }

  const completed = ({ exchange, header, status, responseBytes }: AccessFields, duration: number) => {
    const demoted = isProxied(exchange.path) || (isPolling(exchange) && isFine(status))
    const level = demoted ? "debug" : "info"
    if (!sink.enabled(level)) return
    const size = exchange.requestBytes || Number(header("content-length")) || 0
    sink.write(level, demoted ? "HTTP request completed" : "Request completed", {
      ...identity(exchange),
      method: exchange.method,
      path: exchange.path,
      status,
      duration_ms: duration,
      duration_formatted: formatDuration(duration),
      request_bytes: size,
      response_bytes: responseBytes,
      size_flow: `${compactBytes(size)} -> ${compactBytes(responseBytes)}`
    })
  }

  const access = (fields: AccessFields) => {
    const { exchange, remote, header, status, responseBytes } = fields
    if (status < 400 && quiet()) return
    const duration = wholeMillis(performance.now() - exchange.timings.accepted)
    completed(fields, duration)
    const level = isPolling(exchange) && isFine(status) ? "debug" : "info"
    if (!sink.enabled(level, true)) return
    sink.write(
      level,
      "Access log",
      {
        ...identity(exchange),
        request_time: zonedTime(exchange.startedAt),
        remote_addr: remote,
        method: exchange.method,
        path: exchange.path,
        query: redactQuery(exchange.query),
        status,
        request_bytes: exchange.requestBytes || Number(header("content-length")) || 0,
        response_bytes: responseBytes,
        duration_ms: duration,
        user_agent: header("user-agent"),
        referer: redactUrl(header("referer")),
        content_type: header("content-type"),
        accept: header("accept")
      },
      true
    )
  }

  let widenedAt = Number.NEGATIVE_INFINITY

  return {
    observer: { dispatched, attemptEnded, ended },
    started,
    widened: (exchange, { supportedBy, total }) => {
      const now = performance.now()
      if (!sink.enabled("warn") || now - widenedAt < widenedEvery) return
      widenedAt = now
      sink.write("warn", "No compatible endpoints found for path, falling back to all endpoints", {
        ...identity(exchange),
        path: exchange.path,
        supported_by: supportedBy,
        total_endpoints: total
      })
    },
    fellBack: (exchange) => {
      if (!sink.enabled("warn")) return
      sink.write("warn", "Model routing failed, using all compatible endpoints", {
        ...identity(exchange),
        model: exchange.model,
        strategy: exchange.verdict?.strategy ?? "",
        reason: exchange.verdict?.reason ?? "",
        compatible_endpoints: exchange.candidates
      })
    },
    untranslated: (exchange, status, error) => {
      if (!sink.enabled("error")) return
      sink.write("error", "Translation request failed", {
        ...identity(exchange),
        translator: exchange.translator?.name ?? "",
        error,
        status
      })
    },
    aliasResolved: (exchange, candidates, total) => {
      if (!sink.enabled("info") || quiet()) return
      sink.write("info", "Model alias resolved", {
        ...identity(exchange),
        alias: exchange.model,
        matched_endpoints: candidates.length,
        actual_models: [...new Set(candidates.map((candidate) => candidate.nativeName))],
        total_candidates: total
      })
    },
    received: (exchange, userAgent, details) => {
      if (!sink.enabled("info") || quiet()) return
      if (sink.enabled("debug"))
        sink.write("debug", "Proxy handler called", { ...identity(exchange), path: exchange.path, method: exchange.method })
      sink.write("info", "Request received", {
        ...identity(exchange),
        client_ip: exchange.clientIp,
        method: exchange.method,
        path: exchange.path,
        compatible_endpoints: exchange.candidates,
        user_agent: userAgent === "" ? undefined : userAgent,
        model: exchange.model === "" ? undefined : exchange.model,
        content_length: exchange.requestBytes > 0 ? exchange.requestBytes : undefined,
        translator_mode: exchange.translator?.mode
      })
      if (details !== undefined && sink.enabled("debug"))
        sink.write("debug", "Request details", {
          ...identity(exchange),
          target_path: details.target.split("?", 1)[0],
          path_resolution_ms: wholeMillis(exchange.timings.routed - exchange.timings.received),
          query: redactQuery(exchange.query),
          content_type: details.contentType
        })
    },
    unread: ({ id, remote, status, reason, responseBytes }) => {
      if (!sink.enabled("info", true)) return
      const unknown = { method: "", path: "", query: "" }
      sink.write(
        "info",
        "Access log",
        {
          request_id: id,
          request_time: zonedTime(Date.now()),
          remote_addr: remote,
          ...unknown,
          status,
          request_bytes: 0,
          response_bytes: responseBytes,
          duration_ms: 0,
          user_agent: "",
          referer: "",
          content_type: "",
          accept: "",
          reason
        },
        true
      )
    },
    access
  }
}
