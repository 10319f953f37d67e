/**
 * The port through which telemetry sees exchanges. Called synchronously on the request's own path, so an
 * implementation only counts; what costs (parsing usage, formatting, sending) it does after `ended`, and only if it is on.
 * An observer never throws and never waits.
 */
import * as Context from "effect/Context"
import type { Attempt, Exchange, ModelMove } from "./Exchange.ts"

export interface ExchangeObserver {
  /** An endpoint has been leased and the attempt is about to be sent. */
  readonly dispatched: (exchange: Exchange, attempt: Attempt) => void
  /** An alias leads on to another of its models. Absent: that is nothing to this observer. */
  readonly movedOn?: (exchange: Exchange, move: ModelMove) => void
  /** The attempt's end, successful or not: `attempt.failure`, `.status`, `.bytes`, `.ended` are final. */
  readonly attemptEnded: (exchange: Exchange, attempt: Attempt) => void
  /** Exactly once per exchange, with `exchange.outcome` set, when its client has what it gets, or is gone: no time changes any more. */
  readonly ended: (exchange: Exchange) => void
  /** What has ended and was not told of yet is told of now; whoever reads what observers counted asks for it. Absent: nothing waits. */
  readonly settle?: () => void
}

/** Who is told; whoever wires the rooms says who that is. */
export class Observer extends Context.Service<Observer, ExchangeObserver>()("olla/exchange/Observer") {}

/** Tells several observers, in order. */
export const all = (observers: ReadonlyArray<ExchangeObserver>): ExchangeObserver => ({
  dispatched: (exchange, attempt) => {
    for (const observer of observers) observer.dispatched(exchange, attempt)
  },
  movedOn: (exchange, move) => {
    for (const observer of observers) observer.movedOn?.(exchange, move)
  },
  attemptEnded: (exchange, attempt) => {
    for (const observer of observers) observer.attemptEnded(exchange, attempt)
  },
  ended: (exchange) => {
    for (const observer of observers) observer.ended(exchange)
  }
})
