/** The records of requests: received, dispatched, completed or failed, and the access log (proxying.md 15, http-api.md 15). */
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import type { Fields, LogSink } from "./LogSink.ts"
import { redactQuery } from "./Redaction.ts"

export interface AccessFields {
  readonly exchange: Exchange
  readonly remote: string
  readonly header: (name: string) => string
  readonly status: number
  readonly responseBytes: number
}

const millis = (n: number): number => Math.max(0, Math.round(n))

const phases = (exchange: Exchange): Fields => {
  const t = exchange.timings
  const end = performance.now()
  const between = (from: number, to: number) => (from === 0 || to === 0 ? 0 : millis(to - from))
  return {
    latency_ms: millis(end - t.accepted),
    request_processing_ms: between(t.accepted, t.sent),
    backend_response_ms: between(t.sent, t.headers),
    first_data_ms: between(t.accepted, t.firstByte),
    streaming_ms: between(t.firstByte, t.lastByte),
    selection_ms: between(t.routed, t.leased)
  }
}

const routing = (exchange: Exchange): Fields =>
  exchange.verdict === undefined
    ? {}
    : {
        routing_strategy: exchange.verdict.strategy,
        routing_action: exchange.verdict.action,
        routing_reason: exchange.verdict.reason || undefined
      }

export interface RequestLog {
  readonly observer: ExchangeObserver
  /** A proxied request has been routed. */
  readonly received: (exchange: Exchange, userAgent: string) => void
  /** Any answer, after its end. */
  readonly access: (fields: AccessFields) => void
}

/** `quiet`: `server.request_logging: false`, which keeps what ended with 400 and above. */
export const makeRequestLog = (sink: LogSink, quiet: () => boolean, slow: () => number): RequestLog => {
  const dispatched = (exchange: Exchange, attempt: Attempt) => {
    if (quiet() || !sink.enabled("info")) return
    sink.write("info", "Request dispatching", {
      request_id: exchange.id,
      endpoint: attempt.endpointName,
      target: attempt.endpointUrl.split("?")[0],
      model: exchange.model || undefined
    })
  }
  const attemptEnded = (exchange: Exchange, attempt: Attempt) => {
    if (attempt.failure === undefined || attempt.failure.kind === "client_gone" || !sink.enabled("warn")) return
    sink.write("warn", "Attempt failed", {
      request_id: exchange.id,
      endpoint: attempt.endpointName,
      kind: attempt.failure.kind,
      error: attempt.failure.detail,
      attempt: exchange.attempts.length
    })
  }
  const ended = (exchange: Exchange) => {
    const outcome = exchange.outcome
    if (outcome === undefined) return
    const last = exchange.lastAttempt
    const duration = millis(performance.now() - exchange.timings.accepted)
    const limit = slow()
    if (limit > 0 && duration > limit && sink.enabled("warn"))
      sink.write("warn", "Slow request", {
        request_id: exchange.id,
        endpoint: last?.endpointName,
        model: exchange.model || undefined,
        duration_ms: duration
      })
    if (outcome._tag === "failed") {
      if (sink.enabled("error"))
        sink.write("error", "Request failed", {
          request_id: exchange.id,
          error: `${outcome.failure.kind}: ${outcome.failure.detail}`,
          endpoint: last?.endpointName,
          model: exchange.model || undefined,
          client_ip: exchange.clientIp,
          total_bytes: last?.bytes ?? 0,
          duration_ms: duration,
          ...phases(exchange)
        })
      return
    }
    if (outcome._tag === "rejected") {
      if (sink.enabled("warn"))
        sink.write("warn", "Request rejected", {
          request_id: exchange.id,
          client_ip: exchange.clientIp,
          path: exchange.path,
          status: outcome.status,
          reason: outcome.reason,
          duration_ms: duration,
          model: exchange.model || undefined,
          ...routing(exchange)
        })
      return
    }
    if ((quiet() && outcome.status < 400) || !sink.enabled("info")) return
    sink.write("info", "Request completed", {
      request_id: exchange.id,
      endpoint: last?.endpointName,
      duration_ms: duration,
      status: "completed",
      http_status: outcome.status,
      model: exchange.model || undefined,
      total_bytes: last?.bytes ?? 0,
      client_disconnected: outcome._tag === "cancelled" ? true : undefined,
      translator_mode: exchange.translator?.mode,
      fallback_reason: exchange.translator?.fallbackReason || undefined,
      ...routing(exchange),
      sticky_outcome: exchange.sticky === undefined || exchange.sticky.outcome === "disabled" ? undefined : exchange.sticky.outcome,
      session_id: exchange.sessionId || undefined
    })
    if (sink.enabled("debug"))
      sink.write("debug", "Request metrics", { request_id: exchange.id, endpoint: last?.endpointName, ...phases(exchange) })
  }
  return {
    observer: { dispatched, attemptEnded, ended },
    received: (exchange, userAgent) => {
      if (quiet() || !sink.enabled("info")) return
      sink.write("info", "Request received", {
        request_id: exchange.id,
        client_ip: exchange.clientIp,
        method: exchange.method,
        path: exchange.path,
        compatible_endpoints: exchange.candidates,
        user_agent: userAgent || undefined,
        model: exchange.model || undefined,
        content_length: exchange.requestBytes > 0 ? exchange.requestBytes : undefined,
        translator_mode: exchange.translator?.mode
      })
    },
    access: ({ exchange, remote, header, status, responseBytes }) => {
      const routine =
        (exchange.method === "GET" || exchange.method === "HEAD") &&
        exchange.path.startsWith("/internal/") &&
        (status < 300 || status === 304)
      const level = routine ? "debug" : "info"
      if ((quiet() && status < 400) || !sink.enabled(level)) return
      sink.write(
        level,
        "Access log",
        {
          request_time: new Date(exchange.startedAt).toISOString(),
          request_id: exchange.id,
          remote_addr: remote,
          method: exchange.method,
          path: exchange.path,
          query: redactQuery(exchange.query),
          status,
          request_bytes: exchange.requestBytes,
          response_bytes: responseBytes,
          duration_ms: millis(performance.now() - exchange.timings.accepted),
          user_agent: header("user-agent"),
          referer: header("referer"),
          content_type: header("content-type"),
          accept: header("accept")
        },
        true
      )
    }
  }
}
