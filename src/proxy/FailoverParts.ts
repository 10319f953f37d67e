/** What all exchanges are carried with. */
import type { Balancer } from "../balancing/Balancer.ts"
import type { Queue } from "../balancing/Queue.ts"
import type { RetryBudget } from "../balancing/RetryBudget.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { ExchangeObserver } from "../exchange/Observer.ts"
import type { Engine } from "./Engine.ts"

export interface FailoverParts {
  readonly config: () => OllaConfig
  readonly balancer: Balancer["Service"]
  readonly engine: Engine
  /** The engine has breakers: its attempts report to those of the endpoints. */
  readonly hasBreakers: boolean
  readonly observer: ExchangeObserver
  readonly retries: RetryBudget
  readonly queue: Queue
  /** Epoch milliseconds. */
  readonly wall: () => number
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
}
