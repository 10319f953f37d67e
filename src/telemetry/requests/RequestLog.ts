/**
 * The records of requests: one a request in brief form (the default), the life of each in full form. Each asks the sink before it
 * builds anything, so a level that is off costs a comparison.
 */
import * as Context from "effect/Context"
import type { Exchange } from "../../exchange/Exchange.ts"
import type { ExchangeObserver } from "../../exchange/Observer.ts"
import { redactQuery } from "../../guard/Redaction.ts"
import type { LogSink } from "../LogSink.ts"
import { noUsage } from "../Usage.ts"
import { type AccessRecords, accessRecords } from "./AccessRecords.ts"
import { attemptRecords } from "./AttemptRecords.ts"
import { endRecords } from "./EndRecords.ts"
import { identity, wholeMillis } from "./RequestFields.ts"
import type { RequestLogOptions } from "./RequestLogOptions.ts"

/** What only the debug record of a proxied request tells. */
export interface RequestDetails {
  /** What is asked of the backend, with its query. */
  readonly target: string
  readonly contentType: string
}

export class RequestLog extends Context.Service<
  RequestLog,
  AccessRecords & {
    readonly observer: ExchangeObserver
    /** A proxied request has been routed. */
    readonly received: (exchange: Exchange, userAgent: string, details?: RequestDetails) => void
    /** An alias led to these. `total`: all endpoints that could be asked right now. */
    readonly aliasResolved: (
      exchange: Exchange,
      candidates: ReadonlyArray<{ readonly endpoint: { readonly name: string }; readonly nativeName: string }>,
      total: number
    ) => void
    /** Nobody is of a kind that knows the path; told once a minute, since it is so for every request like it. */
    /** Who has the targets of the alias cannot serve now. */
    readonly downTargets: (exchange: Exchange, targets: ReadonlyArray<string>) => void
    readonly widened: (exchange: Exchange, by: { readonly supportedBy: ReadonlyArray<string>; readonly total: number }) => void
    /** Nobody is known to have the model, and the configuration says to ask those that are there. */
    readonly fellBack: (exchange: Exchange) => void
    /** A translator answers with an error of its own. */
    readonly untranslated: (exchange: Exchange, status: number, error: string) => void
  }
>()("olla/telemetry/RequestLog") {}

/** Milliseconds between two warnings that a path restriction fell away. */
const widenedEvery = 60_000

export const makeRequestLog = (sink: LogSink, given: Partial<RequestLogOptions> = {}): RequestLog["Service"] => {
  const options: RequestLogOptions = {
    form: () => "brief",
    quiet: () => false,
    slow: () => 0,
    usage: noUsage,
    engine: () => "olla",
    backendErrors: () => true,
    ...given
  }
  const { quiet } = options
  const level = () => (options.form() === "full" ? "info" : "debug")
  let widenedAt = Number.NEGATIVE_INFINITY

  return {
    observer: { ...attemptRecords(sink, options), ended: endRecords(sink, options) },
    ...accessRecords(sink, options),
    downTargets: (exchange, targets) =>
      sink.write("warn", "No endpoint that has a target of the alias can serve now", {
        ...identity(exchange),
        alias: exchange.model,
        targets
      }),
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
      // In brief form `Request rejected` or `Request failed` says the same.
      const at = options.form() === "full" ? "error" : "debug"
      if (!sink.enabled(at)) return
      sink.write(at, "Translation request failed", {
        ...identity(exchange),
        translator: exchange.translator?.name ?? "",
        error,
        status
      })
    },
    aliasResolved: (exchange, candidates, total) => {
      const at = level()
      if (!sink.enabled(at) || quiet()) return
      sink.write(at, "Model alias resolved", {
        ...identity(exchange),
        alias: exchange.model,
        matched_endpoints: candidates.length,
        actual_models: [...new Set(candidates.map((candidate) => candidate.nativeName))],
        total_candidates: total
      })
    },
    received: (exchange, userAgent, details) => {
      exchange.userAgent = userAgent
      const at = level()
      if (!sink.enabled(at) || quiet()) return
      if (sink.enabled("debug"))
        sink.write("debug", "Proxy handler called", { ...identity(exchange), path: exchange.path, method: exchange.method })
      sink.write(at, "Request received", {
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
    }
  }
}
