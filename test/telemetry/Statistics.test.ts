import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { maxModels } from "../../src/telemetry/ModelStatistics.ts"
import { Statistics } from "../../src/telemetry/Statistics.ts"
import * as StatisticsLive from "../../src/telemetry/StatisticsLive.ts"
import { type Usage, usageReader } from "../../src/telemetry/Usage.ts"
import { attempt, end, endpointOf, newExchange, type Try } from "./exchanges.ts"

const use = <A>(body: (statistics: Statistics["Service"]) => Effect.Effect<A>, layer = StatisticsLive.layer) =>
  Effect.flatMap(Statistics, body).pipe(Effect.provide(Layer.fresh(layer)))

const request = (statistics: Statistics["Service"], ...tries: ReadonlyArray<Try>) => {
  const exchange = newExchange()
  for (const one of tries) attempt(statistics.observer, exchange, one)
  end(statistics.observer, exchange)
  return exchange
}

const noClasses = { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, transport: 0, cancelled: 0 }
const desk = endpointOf("desk")

describe("statistics", () => {
  it.effect("count a request once, for the whole, its endpoint, its model and both together", () =>
    use((statistics) =>
      Effect.sync(() => {
        expect(statistics.endpoint(desk)).toBe(undefined)
        request(statistics, { ends: 40.9, bytes: 10 })
        request(statistics, { ends: 101.2, bytes: 20, status: 404 })
        const expected = {
          totalRequests: 2,
          successfulRequests: 2,
          failedRequests: 0,
          totalBytes: 30,
          averageLatency: 70,
          minLatency: 40,
          maxLatency: 101,
          lastUsed: 0,
          statusClasses: { ...noClasses, "2xx": 1, "4xx": 1 },
          latencyPercentiles: { p50: 101, p95: 101, p99: 101 }
        }
        expect(statistics.endpoint(desk)).toEqual(expected)
        expect(statistics.global()).toEqual({ ...expected, totalAttempts: 2, totalRetries: 0, attemptBytes: expect.any(Number) })
        expect(statistics.models()).toEqual([
          {
            name: "qwen3:8b",
            totalRequests: 2,
            successfulRequests: 2,
            failedRequests: 0,
            totalBytes: 30,
            averageLatency: 70,
            p95Latency: 101,
            p99Latency: 101,
            uniqueClients: 1,
            lastRequested: 0,
            routingHits: 2,
            routingMisses: 0,
            routingFallbacks: 0,
            statusClasses: { ...noClasses, "2xx": 1, "4xx": 1 },
            latencyPercentiles: { p50: 101, p95: 101, p99: 101 },
            endpoints: [
              {
                endpoint: desk,
                requestCount: 2,
                successfulRequests: 2,
                averageLatency: 70,
                lastUsed: 0,
                consecutiveErrors: 0
              }
            ]
          }
        ])
      })
    )
  )

  it.effect("count a failed attempt that another endpoint made good for the endpoint only", () =>
    use((statistics) =>
      Effect.sync(() => {
        request(statistics, { failed: "refused", endpoint: "dead" }, { endpoint: "desk", ends: 50 })
        expect(statistics.global()).toMatchObject({
          totalRequests: 1,
          failedRequests: 0,
          totalAttempts: 2,
          totalRetries: 1,
          statusClasses: { ...noClasses, "2xx": 1 }
        })
        expect(statistics.endpoint(endpointOf("dead"))).toMatchObject({
          totalRequests: 1,
          failedRequests: 1,
          averageLatency: 0,
          minLatency: 0,
          maxLatency: 0,
          statusClasses: { ...noClasses, transport: 1 }
        })
        const [model] = statistics.models()
        expect(model).toMatchObject({ totalRequests: 2, failedRequests: 1, routingHits: 0, routingMisses: 1 })
        expect(model?.endpoints.map((pair) => [pair.endpoint.name, pair.consecutiveErrors])).toEqual([
          ["dead", 1],
          ["desk", 0]
        ])
      })
    )
  )

  it.effect("take a 5xx for a failure whose bytes count and whose latency does not", () =>
    use((statistics) =>
      Effect.sync(() => {
        request(statistics, { status: 503, bytes: 7, ends: 900 })
        for (const totals of [statistics.global(), statistics.endpoint(desk)])
          expect(totals).toMatchObject({ failedRequests: 1, totalBytes: 7, averageLatency: 0, statusClasses: { ...noClasses, "5xx": 1 } })
        expect(statistics.models()[0]).toMatchObject({ failedRequests: 1, p99Latency: 0 })
      })
    )
  )

  it.effect("take a stream that broke off for a failure without traffic, by the class of its status", () =>
    use((statistics) =>
      Effect.sync(() => {
        request(statistics, { status: 200, bytes: 7, failed: "truncated" })
        expect(statistics.endpoint(desk)).toMatchObject({ failedRequests: 1, totalBytes: 0, statusClasses: { ...noClasses, "2xx": 1 } })
        expect(statistics.global()).toMatchObject({ failedRequests: 1 })
      })
    )
  )

  it.effect("take a client that left in the middle for a success, class cancelled", () =>
    use((statistics) =>
      Effect.sync(() => {
        const exchange = newExchange()
        attempt(statistics.observer, exchange, { status: 200, bytes: 5 })
        end(statistics.observer, exchange, { _tag: "cancelled", status: 200, committed: true })
        for (const totals of [statistics.global(), statistics.endpoint(desk), statistics.models()[0]])
          expect(totals).toMatchObject({ successfulRequests: 1, totalBytes: 5, statusClasses: { ...noClasses, cancelled: 1 } })
      })
    )
  )

  it.effect("take a client that left before an answer for a failure, class cancelled", () =>
    use((statistics) =>
      Effect.sync(() => {
        const exchange = newExchange()
        attempt(statistics.observer, exchange, { failed: "client_gone" })
        end(statistics.observer, exchange, { _tag: "cancelled", status: 499, committed: false })
        for (const totals of [statistics.global(), statistics.endpoint(desk)])
          expect(totals).toMatchObject({ failedRequests: 1, totalBytes: 0, statusClasses: { ...noClasses, cancelled: 1 } })
      })
    )
  )

  it.effect("count what never reached an endpoint as a rejection and nothing else", () =>
    use((statistics) =>
      Effect.sync(() => {
        end(statistics.observer, newExchange(), { _tag: "rejected", status: 404, reason: "model_not_found" })
        statistics.rejected(404)
        statistics.rejected(413)
        statistics.rejected(400)
        expect(statistics.rejections()).toEqual({ "404": 2, "413": 1, "429": 0, "431": 0, "503": 0 })
        expect(statistics.global()).toMatchObject({ totalRequests: 0, totalAttempts: 0 })
        expect(statistics.models()).toEqual([])
      })
    )
  )

  it.effect("count errors in a row for a model on an endpoint, until a success", () =>
    use((statistics) =>
      Effect.sync(() => {
        const errors = () => statistics.models()[0]?.endpoints[0]?.consecutiveErrors
        request(statistics, { failed: "closed" })
        request(statistics, { status: 500 })
        expect(errors()).toBe(2)
        request(statistics, { status: 400 })
        expect(errors()).toBe(0)
      })
    )
  )

  it.effect("count fallbacks by routing's verdict, and the dispatched name of the model", () =>
    use((statistics) =>
      Effect.sync(() => {
        const exchange = newExchange({ model: "gpt-4" })
        exchange.verdict = { strategy: "alias", action: "fallback", reason: "", status: 200 }
        attempt(statistics.observer, exchange, { model: "llama3:8b" })
        end(statistics.observer, exchange)
        expect(statistics.models()).toMatchObject([{ name: "llama3:8b", routingHits: 1, routingFallbacks: 1 }])
      })
    )
  )

  it.effect("keep no model statistics without a model, but its histogram under the empty name", () =>
    use((statistics) =>
      Effect.sync(() => {
        const exchange = newExchange({ model: "" })
        attempt(statistics.observer, exchange, { ends: 300, timings: { firstByte: 1030 } })
        end(statistics.observer, exchange)
        expect(statistics.models()).toEqual([])
        const [series] = statistics.series()
        expect(series).toMatchObject({
          model: "",
          endpoint: desk,
          duration: { count: 1, sum: 0.3 },
          firstToken: { count: 1, sum: 0.03 }
        })
        expect(series?.duration.buckets.filter(([, count]) => count === 0).map(([bound]) => bound)).toEqual([0.05, 0.1, 0.25])
      })
    )
  )

  it.effect("tell clients apart by address, the newest hundred, for an hour", () =>
    use((statistics) =>
      Effect.gen(function* () {
        const from = (clientIp: string) => {
          const exchange = newExchange({ clientIp })
          attempt(statistics.observer, exchange)
          end(statistics.observer, exchange)
        }
        from("10.0.0.1")
        from("10.0.0.1")
        from("10.0.0.2")
        expect(statistics.models()[0]?.uniqueClients).toBe(2)
        yield* TestClock.adjust("59 minutes")
        from("10.0.0.2")
        yield* TestClock.adjust("2 minutes")
        expect(statistics.models()[0]?.uniqueClients).toBe(1)
        for (let n = 0; n < 150; n++) from(`10.1.0.${n}`)
        expect(statistics.models()[0]?.uniqueClients).toBe(100)
      })
    )
  )

  it.effect("measure by a clock that nobody sets", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let wall = 1_700_000_000_000
      const stepped: Clock.Clock = { ...clock, currentTimeMillisUnsafe: () => wall }
      const statistics = yield* Effect.provide(
        Effect.provideService(Statistics, Clock.Clock, stepped),
        Layer.fresh(Layer.provide(StatisticsLive.layer, Layer.succeed(Clock.Clock, stepped)))
      )
      expect(statistics.startedAt).toBe(wall)
      yield* TestClock.adjust("10 minutes")
      request(statistics, { ends: 61 })
      statistics.rateLimited("10.0.0.1")
      // A machine without a battery for its clock learns the time from the network, a year on.
      wall += 365 * 86_400_000
      request(statistics, { ends: 40 })
      expect(statistics.endpoint(desk)?.latencyPercentiles).toEqual({ p50: 61, p95: 61, p99: 61 })
      expect(statistics.models()[0]).toMatchObject({ totalRequests: 2, uniqueClients: 1, lastRequested: 600_000 })
      expect(statistics.security()).toMatchObject({ uniqueRateLimitedIps: 1, recentViolations: 1 })
    })
  )

  it.effect("remember of an endpoint the last request that failed there, whatever came after", () =>
    use((statistics) =>
      Effect.gen(function* () {
        const last = () => statistics.endpoint(desk)?.lastError
        request(statistics, { status: 404 })
        request(statistics, { failed: "client_gone" })
        request(statistics, { failed: "breaker_open" })
        expect(last()).toBe(undefined)
        yield* TestClock.adjust("5 seconds")
        const { id } = request(statistics, { failed: "refused" }, { endpoint: "other" })
        expect(last()).toEqual({
          at: 5_000,
          requestId: id,
          model: "qwen3:8b",
          status: 0,
          cause: "connect_refused",
          phase: "connect",
          message: "nobody listens there"
        })
        request(statistics)
        expect(last()?.cause).toBe("connect_refused")
        const exchange = newExchange()
        exchange.kept.tail.push(Buffer.from('{"error":{"message":"CUDA out of memory"}}'))
        attempt(statistics.observer, exchange, { status: 500 })
        end(statistics.observer, exchange)
        expect(last()).toMatchObject({ status: 500, cause: "upstream_5xx", message: "CUDA out of memory" })
        request(statistics, { status: 429 })
        expect(last()).toMatchObject({ status: 429, cause: "upstream_429", message: "it answered with 429" })
      })
    )
  )

  it.effect("remember the most recently requested models, ordered by requests and then by name", () =>
    use((statistics) =>
      Effect.gen(function* () {
        for (let n = 0; n < maxModels + 10; n++) {
          const exchange = newExchange({ model: `m${String(n).padStart(3, "0")}` })
          attempt(statistics.observer, exchange)
          end(statistics.observer, exchange)
          yield* TestClock.adjust("1 second")
        }
        const again = newExchange({ model: "m030" })
        attempt(statistics.observer, again)
        const names = statistics.models().map(({ name }) => name)
        expect(names).toHaveLength(maxModels)
        expect(names.slice(0, 3)).toEqual(["m030", "m010", "m011"])
      })
    )
  )

  it.effect("forget latencies of the window after ten minutes, and lifetime figures never", () =>
    use((statistics) =>
      Effect.gen(function* () {
        request(statistics, { ends: 20 })
        yield* TestClock.adjust("9 minutes")
        expect(statistics.global().latencyPercentiles).toEqual({ p50: 20, p95: 20, p99: 20 })
        yield* TestClock.adjust("2 minutes")
        expect(statistics.global().latencyPercentiles).toBe(undefined)
        expect(statistics.global()).toMatchObject({ totalRequests: 1, averageLatency: 20, minLatency: 20 })
      })
    )
  )

  it.effect("count translators by mode, result, stream and reason of fallback", () =>
    use((statistics) =>
      Effect.sync(() => {
        const translated = (mode: "passthrough" | "translation", fallbackReason: string, stream: boolean, one: Try) => {
          const exchange = newExchange()
          exchange.translator = { name: "anthropic", mode, fallbackReason, client: "messages", backend: "chat", dropped: "" }
          exchange.stream = stream
          attempt(statistics.observer, exchange, one)
          end(statistics.observer, exchange)
        }
        translated("passthrough", "", true, { ends: 100 })
        translated("translation", "cannot_passthrough", false, { ends: 301 })
        translated("translation", "translator_does_not_support_passthrough", false, { status: 502 })
        const none = newExchange()
        none.translator = {
          name: "anthropic",
          mode: "translation",
          fallbackReason: "no_compatible_endpoints",
          client: "messages",
          backend: "chat",
          dropped: ""
        }
        end(statistics.observer, none, { _tag: "rejected", status: 503, reason: "no_endpoints" })
        expect(statistics.translators()).toEqual([
          {
            name: "anthropic",
            totalRequests: 4,
            successfulRequests: 2,
            failedRequests: 2,
            passthroughRequests: 1,
            translationRequests: 3,
            streamingRequests: 1,
            nonStreamingRequests: 3,
            fallbackNoCompatibleEndpoints: 1,
            fallbackTranslatorDoesNotSupportPassthrough: 1,
            fallbackCannotPassthrough: 1,
            backendErrors: 1,
            averageLatency: 200,
            dropped: 0,
            byMode: { passthrough: { success: 1, failure: 0 }, translation: { success: 1, failure: 2 } }
          }
        ])
      })
    )
  )

  it.effect("sum up token figures of completed answers, reading each answer once", () => {
    let reads = 0
    const figures: Usage = { inputTokens: 10, outputTokens: 30, tokensPerSecond: 15 }
    const usage = usageReader(() => {
      reads++
      return figures
    })
    return use(
      (statistics) =>
        Effect.sync(() => {
          for (const failed of [false, false, true]) {
            const exchange = newExchange()
            exchange.kept.tail.push(new Uint8Array([1]))
            attempt(statistics.observer, exchange, failed ? { failed: "refused" } : { ends: 80 })
            end(statistics.observer, exchange)
            if (!failed) expect(usage(exchange, exchange.attempts[0]!)).toBe(figures)
          }
          const expected = { answers: 2, promptTokens: 20, completionTokens: 60, speeds: 2, averageLatency: 80, averageTokensPerSecond: 15 }
          expect(reads).toBe(2)
          expect(statistics.global().usage).toEqual(expected)
          expect(statistics.endpoint(desk)?.usage).toEqual(expected)
          expect(statistics.models()[0]?.usage).toEqual(expected)
          expect(statistics.models()[0]?.endpoints[0]?.usage).toEqual(expected)
        }),
      StatisticsLive.layerWith(usage)
    )
  })

  it.effect("keep violations for ever, and judge by those of the last hour", () =>
    use((statistics) =>
      Effect.gen(function* () {
        for (let n = 0; n < 3; n++) statistics.rateLimited("10.0.0.1")
        statistics.rateLimited("10.0.0.2")
        statistics.sizeLimited()
        expect(statistics.security()).toEqual({
          rateLimitViolations: 4,
          sizeLimitViolations: 1,
          uniqueRateLimitedIps: 2,
          recentViolations: 5
        })
        yield* TestClock.adjust("61 minutes")
        expect(statistics.security()).toEqual({
          rateLimitViolations: 4,
          sizeLimitViolations: 1,
          uniqueRateLimitedIps: 0,
          recentViolations: 0
        })
      })
    )
  )
})

describe("an endpoint that is configured no longer", () => {
  it.effect("is told of nowhere while its last attempts run, and forgotten then, while totals of the whole stay", () => {
    let tell: (event: never) => void = () => {}
    const event = (_tag: string) => tell({ _tag, endpoint: desk } as never)
    const layer = StatisticsLive.layerWith(
      () => undefined,
      (model) => model,
      () => true,
      (listener) => {
        tell = listener as typeof tell
        return () => {}
      }
    )
    return Effect.gen(function* () {
      const statistics = yield* Statistics
      const pairs = () => [statistics.models()[0]?.endpoints.length, statistics.series().length]
      request(statistics, { ends: 40, bytes: 10 })
      expect(pairs()).toEqual([1, 1])
      event("EndpointRemoved")
      expect(pairs()).toEqual([0, 0])
      event("EndpointAdded")
      expect(pairs()).toEqual([1, 1])
      event("EndpointRemoved")
      event("EndpointGone")
      // What its last exchange reports comes after its attempt has ended.
      request(statistics, { ends: 50, bytes: 10 })
      expect(pairs()).toEqual([0, 0])
      expect(statistics.global()).toMatchObject({ totalRequests: 2, attemptBytes: 20 })
      expect(statistics.models()[0]?.totalRequests).toBe(2)
    }).pipe(Effect.provide(layer))
  })
})
