/** One health probe: attempts, pauses and classification. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { formatDuration } from "../config/Duration.ts"
import { build } from "../version.ts"
import type { BackendAnswer, BackendClient, BackendFailure } from "./BackendClient.ts"
import { monotonic } from "./Monotonic.ts"
import type { Credentials, TlsOptions } from "./Origin.ts"
import { isSuccess, type ProbeResult, probeError, statusOfAnswer } from "./ProbeResult.ts"
import { retryWindow } from "./RetryAfter.ts"

export interface ProbeTarget {
  readonly healthUrl: string
  readonly credentials: Credentials
  readonly tls: TlsOptions | undefined
  /** Per attempt, milliseconds. */
  readonly checkTimeout: number
}

const attempts = 3
const maxBody = 64 * 1024

const fixedHeaders: ReadonlyArray<readonly [string, string]> = [
  ["User-Agent", `${build.shortName}-HealthChecker/${build.version}`],
  ["Accept", "application/json, text/plain, */*"],
  ["Cache-Control", "no-cache"]
]

/** Pause before attempt `n + 1`, milliseconds; `random` is in [0, 1). */
export const pauseAfter = (n: number, random: number): number => {
  const base = Math.min(100 * 2 ** (n - 1), 2000)
  return base + base * 0.25 * (random - 0.5)
}

const timedOut = (limit: number): BackendFailure => ({
  _tag: "BackendFailure",
  kind: "timeout",
  cause: `timeout after ${formatDuration(limit)}`,
  detail: "no answer in time",
  answered: false
})

/** Never fails; a defect escapes to the actor, which records it. `undefined`: it could not be made here, and says nothing. */
export const probe = Effect.fnUntraced(function* (client: BackendClient["Service"], target: ProbeTarget) {
  const started = yield* monotonic
  const once = client
    .get({
      url: target.healthUrl,
      headers: fixedHeaders,
      credentials: target.credentials,
      tls: target.tls,
      maxBody,
      body: "discard"
    })
    .pipe(
      Effect.timeoutOrElse({ duration: target.checkTimeout, orElse: () => Effect.fail(timedOut(target.checkTimeout)) }),
      Effect.catch((failure: BackendFailure) => Effect.succeed(failure))
    )
  let outcome = yield* once
  for (let n = 1; n < attempts && "_tag" in outcome && outcome.kind === "network"; n++) {
    yield* Effect.sleep(pauseAfter(n, yield* Random.next))
    outcome = yield* once
  }
  if ("_tag" in outcome && outcome.kind === "local") return undefined
  return resultOf(outcome, (yield* monotonic) - started, yield* Clock.currentTimeMillis)
})

/** `latency`: of the whole probe, milliseconds; `wall`: epoch milliseconds. */
export const resultOf = (outcome: BackendAnswer | BackendFailure, latency: number, wall: number): ProbeResult => {
  if ("_tag" in outcome)
    return {
      status: "offline",
      errorType: outcome.kind === "timeout" ? probeError.timeout : probeError.network,
      statusCode: undefined,
      cause: outcome.cause,
      latency,
      rateLimit: undefined
    }
  const status = statusOfAnswer(outcome.status, outcome.latency)
  const rateLimit = status === "rate_limited" ? { ...retryWindow(outcome.retryAfter, wall), header: outcome.retryAfter ?? "" } : undefined
  return {
    status,
    errorType: probeError.none,
    statusCode: outcome.status,
    cause: isSuccess(status)
      ? ""
      : `HTTP ${outcome.status}${outcome.leadsAway === true ? " to another origin, which is not followed" : ""}`,
    latency,
    rateLimit
  }
}

/** An unexpected failure of ours while probing. */
export const internalResult = (cause: string, latency: number): ProbeResult => ({
  status: "offline",
  errorType: probeError.internal,
  statusCode: undefined,
  cause,
  latency,
  rateLimit: undefined
})
