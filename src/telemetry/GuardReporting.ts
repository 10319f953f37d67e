/** What the guard refused, counted and told. Implements the port that the guard defines. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { GuardEvents, limitKeys } from "../guard/Guard.ts"
import { budgetKey } from "../guard/SizeLimits.ts"
import type { LogSink } from "./LogSink.ts"
import { Statistics } from "./Statistics.ts"

/** Bytes from which a refused request is worth a second line. */
const largeRequest = 50 * 1024 * 1024

export const layer = (sink: LogSink): Layer.Layer<GuardEvents, never, Statistics> =>
  Layer.effect(
    GuardEvents,
    Effect.map(Statistics, (statistics) => ({
      rateLimited: (request, { refusedBy = "ip", limit, retryAfter }, first) => {
        statistics.rateLimited(request.clientIp)
        if (!first || !sink.enabled("warn")) return
        sink.write("warn", "Rate limit exceeded", {
          request_id: request.id,
          client_ip: request.clientIp,
          method: request.method,
          path: request.path,
          limit,
          limit_key: limitKeys[refusedBy],
          scope: refusedBy,
          retry_after: retryAfter
        })
      },
      rateLimitedQuietly: (count) => sink.write("warn", "Rate limit exceeded, further requests without a line of their own", { count }),
      sizeLimited: (request, reason, size, limit) => {
        statistics.sizeLimited()
        if (!sink.enabled("warn")) return
        sink.write("warn", "Request rejected", {
          request_id: request.id,
          reason: reason === "body" ? "request body too large" : "request headers too large",
          method: request.method,
          path: request.path,
          remote_addr: request.peer,
          size,
          limit
        })
        if (size > largeRequest)
          sink.write("warn", "Large request blocked", { request_id: request.id, client_id: request.clientIp, size, endpoint: request.path })
      },
      bodiesFull: (request, held, limit, line, quiet) => {
        if (!line || !sink.enabled("warn")) return
        sink.write("warn", "Request rejected", {
          request_id: request.id,
          reason: "memory for request bodies is full",
          method: request.method,
          path: request.path,
          remote_addr: request.peer,
          held,
          limit,
          limit_key: budgetKey,
          ...(quiet > 0 ? { others: quiet } : {})
        })
      },
      keyRefused: (request, code, name) => {
        if (!sink.enabled("warn")) return
        sink.write("warn", "Access refused", {
          request_id: request.id,
          code,
          key: name === "" ? undefined : name,
          client_ip: request.clientIp,
          method: request.method,
          path: request.path
        })
      },
      keysRefusedQuietly: (count) => sink.write("warn", "Access refused, further requests without a line of their own", { count }),
      accessDenied: (request, { reason, configKey }, host) =>
        sink.write("warn", "dashboard access denied", {
          request_id: request.id,
          reason,
          config_key: configKey,
          client_ip: request.peer,
          host,
          path: request.path
        })
    }))
  )
