/** Exchanges for tests, as the http and proxy rooms would leave them. */
import { Attempt, type AttemptedEndpoint, type AttemptTimings, Exchange, type Outcome } from "../../src/exchange/Exchange.ts"
import { type Failure, type FailureKind, failure } from "../../src/exchange/Failure.ts"
import type { ExchangeObserver } from "../../src/exchange/Observer.ts"

export const newExchange = (
  changes: Partial<{ id: string; method: string; path: string; query: string; clientIp: string; model: string }> = {}
): Exchange => {
  const exchange = new Exchange({
    id: changes.id ?? "woolly-humming-00000001",
    method: changes.method ?? "POST",
    path: changes.path ?? "/olla/proxy/v1/chat/completions",
    query: changes.query ?? "",
    peer: "127.0.0.1",
    clientIp: changes.clientIp ?? "127.0.0.1",
    startedAt: Date.UTC(2026, 2, 4, 5, 6, 7, 89),
    accepted: 1000
  })
  exchange.model = changes.model ?? "qwen3:8b"
  return exchange
}

const endpoints = new Map<string, AttemptedEndpoint>()

/** The one endpoint of that name. */
export const endpointOf = (name: string): AttemptedEndpoint => {
  const known = endpoints.get(name) ?? { url: `http://${name}:11434`, name }
  endpoints.set(name, known)
  return known
}

export interface Try {
  /** Its name, or itself. */
  readonly endpoint?: string | AttemptedEndpoint
  readonly model?: string
  readonly status?: number
  /** Milliseconds after the accept. */
  readonly ends?: number
  readonly bytes?: number
  readonly failed?: FailureKind
  readonly timings?: Partial<AttemptTimings>
}

/** Dispatches and ends one attempt. */
export const attempt = (observer: ExchangeObserver, exchange: Exchange, what: Try = {}): Attempt => {
  const endpoint = typeof what.endpoint === "object" ? what.endpoint : endpointOf(what.endpoint ?? "desk")
  const failed: Failure | undefined = what.failed === undefined ? undefined : failure(what.failed, `${what.failed} at 10.0.0.5:8000`)
  const record = new Attempt(
    {
      endpoint,
      endpointName: endpoint.name,
      endpointType: "ollama",
      profileName: "ollama",
      model: what.model ?? exchange.model
    },
    exchange.timings.accepted
  )
  Object.assign(record.timings, what.timings)
  exchange.attempts.push(record)
  observer.dispatched(exchange, record)
  record.ended = exchange.timings.accepted + (what.ends ?? 100)
  record.status = what.status ?? (failed === undefined ? 200 : 0)
  record.bytes = what.bytes ?? 0
  record.failure = failed
  observer.attemptEnded(exchange, record)
  return record
}

export const end = (observer: ExchangeObserver, exchange: Exchange, outcome?: Outcome): void => {
  const last = exchange.lastAttempt
  exchange.settle(
    outcome ??
      (last?.failure === undefined
        ? { _tag: "completed", status: last?.status ?? 200 }
        : { _tag: "failed", status: 502, failure: last.failure, committed: false })
  )
  observer.ended(exchange)
}
