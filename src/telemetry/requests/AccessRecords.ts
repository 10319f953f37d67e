/** The pair of records around every answer, and the access log. */
import { performance } from "node:perf_hooks"
import { formatDuration } from "../../config/Duration.ts"
import type { Exchange } from "../../exchange/Exchange.ts"
import { redactQuery, redactUrl } from "../../guard/Redaction.ts"
import { zonedTime } from "../LogRecord.ts"
import type { LogSink } from "../LogSink.ts"
import { clientFields, compactBytes, identity, wholeMillis } from "./RequestFields.ts"
import type { RequestLogOptions } from "./RequestLogOptions.ts"

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

export interface AccessRecords {
  /** Any request, before its handler: the first console line. */
  readonly started: (fields: StartFields) => void
  /** The listener's own answer to what was no request: the access log, with nothing known of the client but its address. */
  readonly unread: (refusal: UnreadRequest) => void
  /** Any answer, after its end: the second console line and the access log. */
  readonly access: (fields: AccessFields) => void
}

const isRead = (method: string): boolean => method === "GET" || method === "HEAD"

/** Proxy traffic: its console pair is for debugging, its own lines tell more. */
const isProxied = ({ path, outcome }: Exchange): boolean =>
  // Only a request for a backend has an outcome; before its end there is its path.
  outcome !== undefined ||
  path.includes("/olla/") ||
  (path.startsWith("/v1/") && path !== "/v1/models") ||
  (path.startsWith("/api/") && !path.startsWith("/api/v0/"))

/** Somebody polls a document of ours. */
const isPolling = ({ method, path }: Exchange): boolean => isRead(method) && path.startsWith("/internal/")

const isFine = (status: number): boolean => (status >= 200 && status < 300) || status === 304

export const accessRecords = (sink: LogSink, options: RequestLogOptions): AccessRecords => {
  const { quiet } = options
  const isBrief = () => options.form() === "brief"

  const started: AccessRecords["started"] = ({ exchange, remote, header }) => {
    const demoted = isProxied(exchange) || isPolling(exchange)
    const level = demoted || isBrief() ? "debug" : "info"
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
    const demoted = isProxied(exchange) || (isPolling(exchange) && isFine(status))
    // People have no access log: what went wrong on a route of ours is told to them here.
    const quietly = isBrief() && (status < 400 || !sink.forPeople)
    const level = demoted || quietly ? "debug" : "info"
    if (!sink.enabled(level)) return
    const size = exchange.requestBytes || Number(header("content-length")) || 0
    sink.write(
      level,
      demoted ? "HTTP request completed" : "Request completed",
      {
        ...identity(exchange),
        ...clientFields(exchange),
        method: exchange.method,
        path: exchange.path,
        status,
        duration_ms: duration,
        duration_formatted: formatDuration(duration),
        request_bytes: size,
        response_bytes: responseBytes,
        size_flow: `${compactBytes(size)} -> ${compactBytes(responseBytes)}`
      },
      false,
      level === "debug"
        ? undefined
        : () => ({
            id: exchange.id,
            status,
            what: `${exchange.method} ${exchange.path}`,
            model: "",
            endpoint: "",
            total: duration,
            trouble: ""
          })
    )
  }

  const access: AccessRecords["access"] = (fields) => {
    const { exchange, remote, header, status, responseBytes } = fields
    if (status < 400 && quiet()) return
    const duration = wholeMillis(performance.now() - exchange.timings.accepted)
    completed(fields, duration)
    const isOne = isBrief() && status < 400 && exchange.attempts.length > 0
    const level = isOne || (isPolling(exchange) && isFine(status)) ? "debug" : "info"
    const toFile = isOne && !sink.enabled("debug", true) && sink.filed("info")
    if (!toFile && !sink.enabled(level, true)) return
    const record = {
      ...identity(exchange),
      ...clientFields(exchange),
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
    }
    if (toFile) sink.file("info", "Access log", record)
    else sink.write(level, "Access log", record, true)
  }

  const unread: AccessRecords["unread"] = ({ id, remote, status, reason, responseBytes }) => {
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
  }

  return { started, access, unread }
}
