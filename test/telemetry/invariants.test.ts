/**
 * Whatever happens, in whatever order and however interleaved: nothing is counted twice or lost, nothing stays under way,
 * no counter goes down, and memory is bounded.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Attempt, type Exchange, type Outcome } from "../../src/exchange/Exchange.ts"
import { type FailureKind, failure, failureRules } from "../../src/exchange/Failure.ts"
import { maxModels } from "../../src/telemetry/ModelStatistics.ts"
import { maxLimitedIps, SecurityStatistics } from "../../src/telemetry/SecurityStatistics.ts"
import { Statistics, statusClasses } from "../../src/telemetry/Statistics.ts"
import * as StatisticsLive from "../../src/telemetry/StatisticsLive.ts"
import { runs } from "../propertyRuns.ts"
import { attempt, end, endpointOf, newExchange } from "./exchanges.ts"

setFlagsFromString("--expose-gc")
const gc = runInNewContext("gc") as () => void

type Service = Statistics["Service"]

const make = (): Service =>
  Effect.runSync(
    Effect.provide(
      Effect.map(Statistics, (statistics) => statistics),
      StatisticsLive.layer
    )
  )

interface Step {
  readonly endpoint: number
  readonly status: number
  readonly failed: FailureKind | undefined
  readonly bytes: number
  readonly ends: number
}

interface Story {
  readonly model: string
  readonly client: number
  readonly steps: ReadonlyArray<Step>
  readonly end: "answer" | "cancelled" | "rejected"
}

const kinds = Object.keys(failureRules) as Array<FailureKind>
const step: fc.Arbitrary<Step> = fc.record({
  endpoint: fc.nat(3),
  status: fc.constantFrom(0, 200, 204, 301, 404, 429, 500, 503),
  failed: fc.option(fc.constantFrom(...kinds), { nil: undefined }),
  bytes: fc.nat(10_000),
  ends: fc.nat(100_000)
})
const story: fc.Arbitrary<Story> = fc.record({
  model: fc.constantFrom("", "a", "b", "c"),
  client: fc.nat(5),
  steps: fc.array(step, { maxLength: 4 }),
  end: fc.constantFrom("answer", "cancelled", "rejected")
})

/** One story as the calls that tell of it, in order; several are told at the same time. */
const calls = (statistics: Service, { model, client, steps, end: how }: Story): Array<() => void> => {
  const exchange: Exchange = newExchange({ model, clientIp: `10.0.0.${client}` })
  const out: Array<() => void> = []
  for (const { endpoint, status, failed, bytes, ends } of steps) {
    const record = new Attempt(
      {
        endpoint: endpointOf(`e${endpoint}`),
        endpointName: `e${endpoint}`,
        endpointType: "vllm",
        profileName: "vllm",
        model
      },
      0
    )
    // A breaker's refusal is on record without having been sent.
    out.push(() => {
      exchange.attempts.push(record)
      if (failed !== "breaker_open") statistics.observer.dispatched(exchange, record)
    })
    out.push(() => {
      Object.assign(record, {
        ended: exchange.timings.accepted + ends,
        status: failed === undefined && status === 0 ? 200 : status,
        bytes,
        failure: failed === undefined ? undefined : failure(failed, "")
      })
      statistics.observer.attemptEnded(exchange, record)
    })
  }
  out.push(() => {
    const last = exchange.lastAttempt
    const outcome: Outcome =
      last === undefined || how === "rejected"
        ? { _tag: "rejected", status: 404, reason: "model_not_found" }
        : how === "cancelled"
          ? { _tag: "cancelled", status: last.status || 499, committed: last.status > 0 }
          : last.failure === undefined
            ? { _tag: "completed", status: last.status }
            : { _tag: "failed", status: 502, failure: last.failure, committed: last.status > 0 }
    exchange.settle(outcome)
    statistics.observer.ended(exchange)
  })
  return out
}

/** Takes from the lists in an order that the numbers choose; each list keeps its own. */
const interleaved = (lists: Array<Array<() => void>>, picks: ReadonlyArray<number>, after: () => void): void => {
  let at = 0
  while (lists.some((list) => list.length > 0)) {
    const open = lists.filter((list) => list.length > 0)
    open[(picks[at++ % Math.max(1, picks.length)] ?? 0) % open.length]?.shift()?.()
    after()
  }
}

const endpoints = ["e0", "e1", "e2", "e3"].map(endpointOf)

/** Everything that may only grow. */
const counters = (statistics: Service): ReadonlyArray<number> => [
  statistics.global().totalRequests,
  statistics.global().failedRequests,
  statistics.global().successfulRequests,
  statistics.global().totalAttempts,
  statistics.modelsOverall().totalRequests,
  statistics.modelsOverall().totalBytes,
  ...endpoints.flatMap((endpoint) => {
    const totals = statistics.endpoint(endpoint)
    return [totals?.totalRequests ?? 0, totals?.failedRequests ?? 0, totals?.totalBytes ?? 0]
  }),
  ...["a", "b", "c"].flatMap((name) => {
    const model = statistics.models().find((one) => one.name === name)
    return [model?.totalRequests ?? 0, model?.failedRequests ?? 0, model?.routingHits ?? 0, model?.routingMisses ?? 0]
  }),
  ...Object.values(statistics.rejections())
]

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((a, b) => a + b, 0)

describe("statistics of any workload", () => {
  it("add up, and only grow while they are told", () => {
    fc.assert(
      fc.property(fc.array(story, { maxLength: 12 }), fc.array(fc.nat(20), { minLength: 1, maxLength: 30 }), (stories, picks) => {
        const statistics = make()
        let before = counters(statistics)
        interleaved(
          stories.map((one) => calls(statistics, one)),
          picks,
          () => {
            const now = counters(statistics)
            for (const [index, value] of now.entries()) expect(value).toBeGreaterThanOrEqual(before[index] ?? 0)
            before = now
          }
        )
        const all = endpoints.flatMap((endpoint) => statistics.endpoint(endpoint) ?? [])
        const whole = statistics.global()
        const dispatched = stories.filter(({ steps }) => steps.length > 0)
        expect(whole.totalRequests).toBe(dispatched.length)
        expect(whole.totalAttempts).toBe(sum(stories.map(({ steps }) => steps.length)))
        expect(sum(all.map(({ totalRequests }) => totalRequests))).toBe(whole.totalAttempts)
        expect(whole.totalRetries).toBe(whole.totalAttempts - whole.totalRequests)
        const models = statistics.models()
        expect(sum(models.map(({ totalRequests }) => totalRequests))).toBe(statistics.modelsOverall().totalRequests)
        expect(statistics.modelsOverall().totalRequests).toBe(sum(stories.map(({ model, steps }) => (model === "" ? 0 : steps.length))))
        for (const one of [whole, ...all, ...models]) {
          expect(one.successfulRequests + one.failedRequests).toBe(one.totalRequests)
          expect(sum(Object.values(one.statusClasses ?? {}))).toBe(one.totalRequests)
          expect(Object.keys(one.statusClasses ?? {})).toEqual([...statusClasses])
        }
        for (const one of [whole, ...all])
          if (one.successfulRequests > 0) {
            expect(one.minLatency).toBeLessThanOrEqual(one.averageLatency)
            expect(one.averageLatency).toBeLessThanOrEqual(one.maxLatency)
          }
        for (const model of models) {
          expect(sum(model.endpoints.map(({ requestCount }) => requestCount))).toBe(model.totalRequests)
          expect(sum(model.endpoints.map(({ successfulRequests }) => successfulRequests))).toBe(model.successfulRequests)
        }
        expect(sum(statistics.series().map(({ duration }) => duration.count))).toBe(
          sum(all.map(({ successfulRequests }) => successfulRequests))
        )
      }),
      { numRuns: runs(500) }
    )
  })
})

describe("memory", () => {
  it("does not grow with clients, models and addresses", () => {
    const statistics = make()
    const security = new SecurityStatistics()
    const tell = (from: number, count: number) => {
      for (let n = from; n < from + count; n++) {
        const exchange = newExchange({ model: `model-${n}`, clientIp: `client-${n}` })
        attempt(statistics.observer, exchange, { ends: 10 })
        end(statistics.observer, exchange)
        const same = newExchange({ model: "one", clientIp: `client-${n}` })
        attempt(statistics.observer, same, { ends: 10 })
        end(statistics.observer, same)
        security.rateLimited(`client-${n}`, 1_000)
      }
    }
    tell(0, 20_000)
    gc()
    const before = process.memoryUsage().heapUsed
    tell(20_000, 80_000)
    gc()
    const grown = process.memoryUsage().heapUsed - before
    expect(statistics.models()).toHaveLength(maxModels)
    expect(statistics.series()).toHaveLength(1)
    expect(statistics.models()[0]).toMatchObject({ name: "one", totalRequests: 100_000, uniqueClients: 100 })
    expect(statistics.modelsOverall().totalRequests).toBe(200_000)
    expect(security.totals(1_000)).toMatchObject({ rateLimitViolations: 100_000, uniqueRateLimitedIps: maxLimitedIps })
    expect(grown).toBeLessThan(10 * 1024 * 1024)
  })
})
