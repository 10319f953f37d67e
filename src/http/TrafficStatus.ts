/** The document of /internal/status/traffic. Pure over what it is given. */
import type { QueueView } from "../balancing/Queue.ts"
import type { RetryBudget } from "../balancing/RetryBudget.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Lane } from "../endpoint/lane/Lane.ts"
import { wallAt } from "../endpoint/Monotonic.ts"
import type { TrafficDocument, TrafficLane } from "./documents/TrafficDocument.ts"
import { timestamp } from "./Formats.ts"

export interface TrafficView {
  readonly config: OllaConfig
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly retries: RetryBudget
  readonly queue: QueueView
  /** Epoch milliseconds, and the monotonic clock at the same moment. */
  readonly now: number
  readonly monotonic: number
}

/** A client may ask for any name: lanes of names that nobody lists are told of only while something happens there. */
export const isTold = (lane: Lane): boolean =>
  lane.model === "" || lane.inFlight > 0 || lane.endpoint.models.some(({ name }) => name === lane.model)

const byModel = (a: Lane, b: Lane): number => (a.model < b.model ? -1 : a.model > b.model ? 1 : 0)

export const lanesOf = (endpoint: Endpoint): ReadonlyArray<Lane> => [...endpoint.lanes].filter(isTold).sort(byModel)

/** Milliseconds per 1,000 tokens, of streams or else of whole answers; `undefined`: not measured. */
export const paceOf = ({ work }: Lane): number | undefined =>
  work.streamed.isMeasured ? work.streamed.base : work.whole.isMeasured ? work.whole.base : undefined

const tenth = (value: number): number => Math.round(value * 10) / 10
const whole = (value: number): number => Math.max(0, Math.round(value))

const laneDocument = (lane: Lane, { now, monotonic }: TrafficView): (typeof TrafficLane)["Type"] => {
  const { endpoint, work, condition, state } = lane
  const { report } = work
  const pace = paceOf(lane)
  return {
    endpoint: endpoint.name,
    model: lane.model,
    state,
    ...(condition.until > monotonic && Number.isFinite(condition.until)
      ? { until: timestamp(wallAt(condition.until, { wall: now, monotonic })) }
      : {}),
    ...(lane.why === "" ? {} : { reason: lane.why }),
    failures: condition.failures,
    ejections: condition.ejections,
    in_flight: lane.inFlight,
    limit: endpoint.spec.maxConcurrent,
    weight: Math.round(endpoint.spec.weight * lane.slowStartShare() * 1000) / 1000,
    residency: lane.residency,
    pace_ms: pace === undefined ? null : tenth(pace),
    turn_ms: whole(work.turn),
    load_ms: whole(work.loadTime),
    outstanding_tokens: whole(work.outstanding),
    cached_blocks: work.prefix?.count ?? 0,
    signals:
      report === undefined
        ? null
        : {
            running: whole(report.running),
            waiting: whole(report.waiting),
            kv_used: report.kvUsed ?? null,
            slots: report.slots ?? null,
            age_ms: whole(monotonic - report.at),
            used: work.reportAt(monotonic) !== undefined
          }
  }
}

export const trafficDocument = (view: TrafficView): (typeof TrafficDocument)["Type"] => {
  const { config, endpoints, retries, queue, now, monotonic } = view
  const { traffic, proxy } = config
  if (!traffic.enabled) return { enabled: false }
  return {
    timestamp: timestamp(now),
    enabled: true,
    balancer: proxy.load_balancer,
    queue: {
      waiting: queue.waiting,
      max_waiting: traffic.queue.max_waiting,
      oldest_ms: whole(queue.oldestMs),
      by_class: queue.byClass,
      by_model: Object.fromEntries(queue.byModel)
    },
    failover: {
      requests_10s: retries.requests(monotonic),
      extra_10s: retries.extra(monotonic),
      allowed_10s: Math.floor(retries.allowed(monotonic, traffic.failover.budget_percent)),
      denied_total: retries.denied
    },
    lanes: endpoints.flatMap(lanesOf).map((lane) => laneDocument(lane, view))
  }
}
