import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { Settings } from "../../src/config/Settings.ts"
import { type Admission, Guard, GuardEvents, type GuardedRequest } from "../../src/guard/Guard.ts"
import * as GuardLive from "../../src/guard/GuardLive.ts"
import { RequestHead } from "../../src/http/listener/RequestHead.ts"

const told: Array<ReadonlyArray<unknown>> = []

const events = Layer.sync(GuardEvents, () => {
  told.length = 0
  return {
    rateLimited: (request: GuardedRequest, { limit, retryAfter }: Admission, first: boolean) => {
      told.push(["rate", request.id, limit, retryAfter, first])
    },
    keyRefused: () => {},
    keysRefusedQuietly: () => {},
    rateLimitedQuietly: (count: number) => {
      told.push(["quiet", count])
    },
    sizeLimited: (request: GuardedRequest, reason: string, size: number, limit: number) => {
      told.push(["size", request.id, reason, size, limit])
    },
    bodiesFull: (request: GuardedRequest, _held: number, _limit: number, line: boolean, quiet: number) => {
      told.push(["full", request.id, line, quiet])
    },
    accessDenied: (request: GuardedRequest, denial: { readonly reason: string }, host: string) => {
      told.push(["access", request.id, denial.reason, host])
    }
  }
})

const guarded = (yaml: string) => {
  const { config } = decodeConfig(yaml, "test.yaml", {})
  if (config === undefined) throw new Error("the test's configuration is wrong")
  return Layer.provide(Layer.fresh(GuardLive.layer), Layer.merge(events, Settings.layerOf(config)))
}

/** With the knowledge of what was written. */
const useWritten = <A>(yaml: string, body: (guard: Guard["Service"]) => Effect.Effect<A>) => {
  const loaded = decodeConfig(yaml, "test.yaml", {})
  if (loaded.config === undefined) throw new Error("the test's configuration is wrong")
  const settings = Settings.layerOf(loaded.config, undefined, (key) => loaded.originOf(key) !== "default")
  return Effect.flatMap(Guard, body).pipe(Effect.provide(Layer.provide(Layer.fresh(GuardLive.layer), Layer.merge(events, settings))))
}

const request = (changes: Partial<GuardedRequest> = {}): GuardedRequest => ({
  id: "r1",
  method: "POST",
  path: "/olla/proxy/v1/chat/completions",
  peer: "127.0.0.1",
  clientIp: "127.0.0.1",
  ...changes
})

const use = <A>(yaml: string, body: (guard: Guard["Service"]) => Effect.Effect<A>) =>
  Effect.flatMap(Guard, body).pipe(Effect.provide(guarded(yaml)))

const headOf = (...rawHeaders: ReadonlyArray<string>) => new RequestHead({ httpVersionMajor: 1, httpVersionMinor: 1, rawHeaders })

describe("the guard", () => {
  it.effect("refuses beyond the burst, tells each refusal, and admits again as time passes", () =>
    use("server:\n  rate_limits:\n    burst_size: 2\n    per_ip_requests_per_minute: 60\n", (guard) =>
      Effect.gen(function* () {
        expect([1, 2, 3, 4].map(() => guard.admit(request()).allowed)).toEqual([true, true, false, false])
        expect(told).toEqual([
          ["rate", "r1", 60, 1, true],
          ["rate", "r1", 60, 1, false]
        ])
        yield* TestClock.adjust("1 second")
        expect(guard.admit(request()).allowed).toBe(true)
      })
    )
  )

  it.effect("asks nothing of loopback and private addresses where nobody has set a limit", () => {
    const drained = (guard: Guard["Service"], clientIp: string) => {
      for (let n = 0; n < 60; n++) guard.admit(request({ clientIp }))
      return guard.admit(request({ clientIp })).refusedBy
    }
    const drainedHealth = (guard: Guard["Service"], clientIp: string) => {
      for (let n = 0; n < 60; n++) guard.admitHealth(request({ clientIp }))
      return guard.admitHealth(request({ clientIp })).refusedBy
    }
    const near = ["127.0.0.1", "127.8.0.1", "::1", "10.1.2.3", "172.31.0.9", "192.168.1.4", "169.254.0.1", "fd00::1", "fe80::1"]
    const far = ["203.0.113.9", "2001:db8::1", "172.32.0.1", "100.64.0.1", "11.0.0.1"]
    const limits = "server:\n  rate_limits:\n    "
    return Effect.gen(function* () {
      yield* useWritten("", (guard) =>
        Effect.gen(function* () {
          for (const ip of near) expect([ip, drained(guard, ip), drainedHealth(guard, ip)]).toEqual([ip, undefined, undefined])
          for (const ip of far) {
            yield* TestClock.adjust("1 hour")
            expect([ip, drained(guard, ip), drainedHealth(guard, ip)]).toEqual([ip, "ip", "health"])
          }
        })
      )
      yield* useWritten(`${limits}per_ip_requests_per_minute: 100\n`, (guard) =>
        Effect.gen(function* () {
          for (const ip of [...near, ...far]) {
            yield* TestClock.adjust("1 hour")
            expect([ip, drained(guard, ip)]).toEqual([ip, "ip"])
          }
          expect(drainedHealth(guard, "::1")).toBe(undefined)
        })
      )
      yield* useWritten(`${limits}global_requests_per_minute: 50\n`, (guard) =>
        Effect.sync(() => expect(drained(guard, "10.1.2.3")).toBe("global"))
      )
      yield* useWritten(`${limits}burst_size: 20\n`, (guard) => Effect.sync(() => expect(drained(guard, "10.1.2.3")).toBe("ip")))
    })
  })

  it.effect("sums up quiet refusals once a minute", () =>
    use("server:\n  rate_limits:\n    burst_size: 0\n", (guard) =>
      Effect.gen(function* () {
        for (let n = 0; n < 5; n++) guard.admit(request())
        yield* TestClock.adjust("1 minute")
        expect(told.filter(([kind]) => kind === "quiet")).toEqual([["quiet", 4]])
        yield* TestClock.adjust("5 minutes")
        expect(told.filter(([kind]) => kind === "quiet")).toHaveLength(1)
      })
    )
  )

  it.effect("says 413 for a declared body, 431 for headers, 413 for both, and tells it", () =>
    use("server:\n  request_limits:\n    max_body_size: 100\n    max_header_size: 4096\n", (guard) =>
      Effect.sync(() => {
        const fat = ["X-Fat", "x".repeat(5000)]
        expect(guard.oversized(request(), headOf("Content-Length", "100"))).toBe(undefined)
        expect(guard.oversized(request(), headOf("Content-Length", "101"))?.reason).toBe("body")
        expect(guard.oversized(request(), headOf(...fat))?.reason).toBe("headers")
        expect(guard.oversized(request(), headOf(...fat, "Content-Length", "101"))?.reason).toBe("body")
        guard.bodyOverflow(request(), 150)
        expect(told.map(([, , reason]) => reason)).toEqual(["body", "headers", "body", "body"])
      })
    )
  )

  it.effect("says 431 for headers while bodies are unlimited", () =>
    use("server:\n  request_limits:\n    max_body_size: 0\n    max_buffered: 0\n    max_header_size: 4096\n", (guard) =>
      Effect.sync(() => {
        expect(guard.bodyLimit(1).bytes).toBe(Number.POSITIVE_INFINITY)
        expect(guard.oversized(request(), headOf("X-Fat", "x".repeat(5000), "Content-Length", "999999999"))?.reason).toBe("headers")
      })
    )
  )

  it.effect("answers only true preflights, and only while CORS is on", () =>
    Effect.gen(function* () {
      const preflight = ["Origin", "https://a", "Access-Control-Request-Method", "GET"]
      yield* use("server:\n  cors:\n    enabled: true\n", (guard) =>
        Effect.sync(() => {
          expect(guard.preflight("OPTIONS", "/olla/models", preflight)).toContain("Access-Control-Allow-Origin")
          expect(guard.preflight("OPTIONS", "/olla/models", ["Origin", "https://a"])).toBe(undefined)
          expect(guard.preflight("GET", "/olla/models", preflight)).toBe(undefined)
          expect(guard.preflight("OPTIONS", "/version", preflight)).not.toContain("Access-Control-Allow-Origin")
        })
      )
      yield* use("", (guard) =>
        Effect.sync(() => {
          expect(guard.preflight("OPTIONS", "/olla/models", preflight)).toBe(undefined)
          expect(guard.corsHeaders("GET", "/olla/models", "https://a")).toEqual([])
        })
      )
    })
  )

  it.effect("refuses foreign origins and unknown hosts when asked to, unless CORS allows the origin", () =>
    Effect.gen(function* () {
      yield* use("server:\n  cross_site_protection: true\n  allowed_hosts: [olla.lan]\n", (guard) =>
        Effect.sync(() => {
          expect(guard.crossSite("/olla/proxy/x", "olla.lan", undefined)).toBe(undefined)
          expect(guard.crossSite("/olla/proxy/x", "evil.example", undefined)).toBe("host")
          expect(guard.crossSite("/olla/proxy/x", "localhost", "https://evil.example")).toBe("origin")
        })
      )
      yield* use("server:\n  cross_site_protection: true\n  cors:\n    enabled: true\n", (guard) =>
        Effect.sync(() => {
          expect(guard.crossSite("/olla/proxy/x", "localhost", "https://app.example")).toBe(undefined)
          expect(guard.crossSite("/internal/status", "localhost", "https://app.example")).toBe("origin")
        })
      )
      yield* use("server:\n  cross_site_protection: false\n", (guard) =>
        Effect.sync(() => expect(guard.crossSite("/", "evil.example", "null")).toBe(undefined))
      )
    })
  )
})
