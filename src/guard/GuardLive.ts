/**
 * The guard over the current settings. What is compiled from a part of the configuration (networks, CORS lists) is kept
 * with that part and compiled anew when a reload brings another one.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import { headerOf } from "../exchange/RawHeaders.ts"
import { type AccessDenial, AccessPolicy, isAboutToken, isConsolePath, tokenDenial } from "./AccessPolicy.ts"
import { bearerOf, sameToken } from "./BearerToken.ts"
import { BodyBudget, effectiveBudget } from "./BodyBudget.ts"
import { ClientAddresses, limitKey } from "./ClientAddress.ts"
import { Cors, isInternalPath } from "./Cors.ts"
import { crossSiteProblem } from "./CrossSite.ts"
import { FirstOnes } from "./FirstOnes.ts"
import { type Admission, Guard, GuardEvents, type GuardedRequest } from "./Guard.ts"
import { KeyAccess, keyClientOf } from "./keys/Access.ts"
import { giveRequestBack, type KeyRefusal, limitHeaders, requestsRefusal, spend, take, useRefusal } from "./keys/KeyAdmission.ts"
import type { KeyClient } from "./keys/KeyClient.ts"
import { operatorRefusal } from "./OperatorAccess.ts"
import { type RateLimitSettings, RateLimits, type Verdict, withoutDefaults } from "./RateLimits.ts"
import { bodyLimitOf, effectiveBodyLimit, effectiveHeaderLimit, headerSize, mostHeaders } from "./SizeLimits.ts"
import { hasToken } from "./TokenBuckets.ts"

/** Longest time between two looks at what was refused quietly, and shortest `cleanup_interval` that makes a difference. */
const summaryEvery = 60_000
const shortestSweep = 1_000
/** Milliseconds between two lines about memory for bodies. */
const fullLineEvery = 1_000

/** Seconds beyond which clients are told not to wait. */
const longestWait = 60
const metricsPath = "/internal/metrics"

/** Remembers what was made of the last value it saw. */
const compiled = <A extends object, B>(make: (value: A) => B): ((value: A) => B) => {
  let last: { readonly from: A; readonly made: B } | undefined
  return (value) => {
    if (last?.from !== value) last = { from: value, made: make(value) }
    return last.made
  }
}

export const layer: Layer.Layer<Guard, never, Settings | GuardEvents> = Layer.effect(
  Guard,
  Effect.gen(function* () {
    const settings = yield* Settings
    const events = yield* GuardEvents
    const keys = yield* KeyAccess
    const clock = yield* Clock.Clock
    const server = (): OllaConfig["server"] => settings.current().server
    const now = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const wall = (): number => clock.currentTimeMillisUnsafe()

    const addresses = compiled((limits: OllaConfig["server"]["rate_limits"]) => new ClientAddresses(limits))
    const cors = compiled((value: OllaConfig["server"]["cors"]) => new Cors(value))
    const access = compiled((policy: OllaConfig["dashboard"]["access_policy"]) => new AccessPolicy(policy))
    const limits = new RateLimits()
    const unwritten = compiled((value: OllaConfig["server"]["rate_limits"]) => withoutDefaults(value, settings.isWritten))
    /** As they hold for this client. */
    const limitsFor = ({ clientIp }: GuardedRequest): RateLimitSettings => {
      const all = server().rate_limits
      if (clientIp === "unix") return { ...unwritten(all), per_ip_requests_per_minute: 0 }
      return addresses(all).isPrivate(clientIp) ? unwritten(all) : all
    }
    let quiet = 0
    const refusals = new FirstOnes()
    const bodies = new BodyBudget(() => effectiveBudget(server().request_limits.max_buffered))
    let fullLineAt = Number.NEGATIVE_INFINITY
    let fullQuietly = 0

    const tell = (request: GuardedRequest, verdict: Verdict): Admission => {
      if (!verdict.allowed) {
        if (!verdict.first) quiet++
        events.rateLimited(request, verdict, verdict.first)
      }
      return verdict
    }

    const admitAddress = (request: GuardedRequest): Admission =>
      tell(request, limits.admit(limitKey(request.clientIp), limitsFor(request), now(), wall()))

    const admitClient = (request: GuardedRequest, client: KeyClient): Admission => {
      const [at, time] = [now(), wall()]
      const settings = limitsFor(request)
      const byKey = (refusal: KeyRefusal): Admission => {
        const { retryAfter } = refusal
        const headers = limitHeaders(client, at, time, true)
        headers.push("Retry-After", String(retryAfter))
        // Official clients sleep for as long as they are told, or hammer, unless they hear this.
        if (retryAfter > longestWait) headers.push("X-Should-Retry", "false")
        keys.refuse(client.name, refusal.code)
        return { allowed: false, refusedBy: undefined, limit: refusal.limit, retryAfter, headers, key: refusal }
      }
      const first = requestsRefusal(client, at)
      if (first !== undefined) return byKey(first)
      // Who is not known by a key is known by his address.
      const shared = client.isAnonymous ? undefined : limits.shared(settings, at)
      if (shared !== undefined && !hasToken(shared)) return tell(request, limits.refusedByAll(shared, settings, at, time))
      const then = useRefusal(client, at)
      if (then !== undefined) return byKey(then)
      const address = client.isAnonymous ? tell(request, limits.admit(limitKey(request.clientIp), settings, at, time)) : undefined
      if (address?.allowed === false) return address
      if (shared !== undefined) shared.tokens -= 1
      take(client)
      request.holdsPlace = true
      const plain = address !== undefined && client.limited.every(({ rules }) => rules.requestsPerMinute <= 0 && rules.tokensPerMinute <= 0)
      return plain
        ? address
        : {
            allowed: true,
            refusedBy: undefined,
            limit: client.rules.requestsPerMinute,
            retryAfter: 0,
            headers: limitHeaders(client, at, time, false)
          }
    }

    let sweptAt = now()
    const sweep = Effect.sync(() => {
      const limit = server().rate_limits
      if (limit.cleanup_interval <= 0 || now() - sweptAt < limit.cleanup_interval) return
      sweptAt = now()
      limits.sweep(limit, sweptAt)
    })
    // Asked for at each turn: a reload may change it.
    const sweepPace = Schedule.modifyDelay(Schedule.forever, () =>
      Effect.sync(() => {
        const interval = server().rate_limits.cleanup_interval
        return Duration.millis(interval > 0 ? Math.min(summaryEvery, Math.max(interval, shortestSweep)) : summaryEvery)
      })
    )
    const summary = Effect.sync(() => {
      const count = quiet
      quiet = 0
      if (count > 0) events.rateLimitedQuietly(count)
      const unsaid = refusals.takeQuiet()
      if (unsaid > 0) events.keysRefusedQuietly(unsaid)
    })
    yield* Effect.forkScoped(Effect.schedule(sweep, sweepPace))
    yield* Effect.forkScoped(Effect.schedule(summary, Schedule.spaced(summaryEvery)))

    const gate = (request: GuardedRequest, path: string, host: string | undefined, rawHeaders: ReadonlyArray<string>) => {
      const { gate_internal_api, access_policy } = settings.current().dashboard
      const metrics = path === metricsPath ? settings.metricsToken() : undefined
      if (metrics !== undefined) {
        const given = bearerOf(rawHeaders)
        const operators = settings.dashboardToken()
        if (given !== undefined && (sameToken(given, metrics) || (operators !== undefined && sameToken(given, operators)))) return undefined
        const denial = tokenDenial(given, metrics) as AccessDenial
        events.accessDenied(request, denial, host ?? "")
        return denial
      }
      // Whoever asks for keys means his figures to be closed too, unless he says otherwise.
      const byDefault = keys.current !== undefined && !settings.isWritten("dashboard.gate_internal_api")
      if (!gate_internal_api && !(byDefault && !isAsked(path))) return undefined
      const token = isAsked(path) ? undefined : settings.dashboardToken()
      const denial =
        access(access_policy).denies(request.peer, host) ?? (token === undefined ? undefined : tokenDenial(bearerOf(rawHeaders), token))
      if (denial !== undefined) events.accessDenied(request, denial, host ?? "")
      return denial
    }

    return {
      clientOf: (peer, rawHeaders) => addresses(server().rate_limits).of(peer, rawHeaders),
      identify: (asking) => {
        const { current } = keys
        return current === undefined ? undefined : keys.identify(current, asking(current.loaded.identityHeader), wall())
      },
      stranger: (request) => tell(request, limits.admitStranger(limitKey(request.clientIp), limitsFor(request), now(), wall())),
      keyRefused: (request, code, name) => {
        keys.refuse(name, code)
        if (refusals.isFirst(`${limitKey(request.clientIp)} ${code}`, now())) events.keyRefused(request, code, name)
      },
      giveBack: (request) => {
        const client = keyClientOf(request)
        if (client === undefined) return
        giveRequestBack(client)
        const shared = client.isAnonymous ? undefined : limits.shared(limitsFor(request), now())
        if (shared !== undefined) shared.tokens += 1
      },
      reserve: (request, tokens) => {
        const client = keyClientOf(request)
        if (client?.limitsTokens !== true) return
        request.reserved = tokens
        spend(client, tokens, now())
      },
      admitAddress,
      admit: (request) => {
        const client = keyClientOf(request)
        return client === undefined ? admitAddress(request) : admitClient(request, client)
      },
      admitHealth: (request) => tell(request, limits.admitHealth(limitKey(request.clientIp), limitsFor(request), now(), wall())),
      oversized: (request, head) => {
        const { max_body_size, max_header_size } = server().request_limits
        const limit = bodyLimitOf(max_body_size, bodies.limit, 1)
        if (head.declaredLength > limit.bytes) {
          events.sizeLimited(request, "body", head.declaredLength, limit.bytes)
          return { reason: "body", limit }
        }
        const headerLimit = effectiveHeaderLimit(max_header_size)
        const size = headerSize(request.method, request.path, head, headerLimit)
        if (size <= headerLimit && head.rawHeaders.length < 2 * mostHeaders) return undefined
        events.sizeLimited(request, "headers", size, headerLimit)
        return { reason: "headers", limit: size > headerLimit ? { bytes: headerLimit } : { lines: mostHeaders } }
      },
      bodyOverflow: (request, received) =>
        events.sizeLimited(request, "body", received, effectiveBodyLimit(server().request_limits.max_body_size)),
      bodyLimit: (copies) => bodyLimitOf(server().request_limits.max_body_size, bodies.limit, copies),
      bodies,
      bodiesFull: (request) => {
        const line = now() - fullLineAt >= fullLineEvery
        events.bodiesFull(request, bodies.held, bodies.limit, line, fullQuietly)
        fullQuietly = line ? 0 : fullQuietly + 1
        if (line) fullLineAt = now()
      },
      maxHeaderSize: () => effectiveHeaderLimit(server().request_limits.max_header_size),
      corsEnabled: () => server().cors.enabled,
      preflight: (method, path, rawHeaders) => {
        const policy = server().cors
        if (!policy.enabled || method !== "OPTIONS") return undefined
        const wanted = headerOf(rawHeaders, "access-control-request-method")
        if (wanted === undefined || wanted === "") return undefined
        return cors(policy).preflight({
          origin: headerOf(rawHeaders, "origin"),
          method: wanted,
          headers: headerOf(rawHeaders, "access-control-request-headers") ?? "",
          internal: isInternalPath(path)
        })
      },
      corsHeaders: (method, path, origin) => {
        const policy = server().cors
        return policy.enabled ? cors(policy).answer(method, origin, isInternalPath(path)) : nothing
      },
      crossSite: (path, host, origin) => {
        const { cross_site_protection, allowed_hosts, cors: policy } = server()
        if (!cross_site_protection) return undefined
        const originAllowed = policy.enabled && cors(policy).allowOrigin(origin, isInternalPath(path)) !== undefined
        return crossSiteProblem({ host, origin, originAllowed }, allowed_hosts)
      },
      gate: (request, path, host, rawHeaders) =>
        isInternalPath(path) && !isConsolePath(path) ? gate(request, path, host, rawHeaders) : undefined,
      operator: (request, path, host, rawHeaders) => {
        const denial = gate(request, path, host, rawHeaders)
        if (denial !== undefined) {
          const message = `${denial.reason}: ${denial.configKey} says who may see and do anything here`
          return isAboutToken(denial) ? { status: 401, code: "unauthorised", message } : { status: 403, code: "forbidden", message }
        }
        const { allowed_hosts } = settings.current().dashboard.access_policy
        return operatorRefusal({ peer: request.peer, rawHeaders }, { allowedHosts: allowed_hosts, token: settings.dashboardToken() })
      }
    }
  })
)

/** Whoever watches the daemon, a balancer or a container's supervisor, has no token. */
const isAsked = (path: string): boolean => path === "/internal/health" || path === "/internal/ready"

const nothing: ReadonlyArray<string> = []
