/**
 * Reads one endpoint's models: the listing of its kind, or for `auto` the proof of what it is, which is a listing too.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { type DetectionProbe, detectionOf, type HeaderOf } from "../profile/Detection.ts"
import { atOnce, type JsonBounds, parseInSteps } from "../profile/JsonSlices.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import { listingLabels, readListing } from "../profile/ListingReading.ts"
import type { Profile } from "../profile/Profile.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import { build } from "../version.ts"
import type { BackendClient, BackendFailure } from "./BackendClient.ts"
import { type DiscoveryFailure, type DiscoveryOperation, isRecoverable, isWarning, statusCause } from "./DiscoveryFailure.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { modelUrlOf } from "./EndpointSpec.ts"
import { displayUrl, joinUrl } from "./EndpointUrl.ts"
import { monotonic } from "./Monotonic.ts"
import { inSlices } from "./TimeSlices.ts"

export interface Listing {
  readonly profile: Profile
  /** As the backend listed them. */
  readonly models: ReadonlyArray<ListedModel>
  /** Entries that were left out for want of a name. */
  readonly skipped: number
}

export interface DiscoveryLimits {
  /** Milliseconds for everything. */
  readonly timeout: number
  /** Further tries after a failure that may pass. */
  readonly retryAttempts: number
  /** Milliseconds before the first of them; doubles. */
  readonly retryBackoff: number
}

const maxBody = 10 * 1024 * 1024
/** Most entries that are taken; a longer list is a fault or an attack. */
export const maxModels = 10_000
/** An entry longer than 256 Ki characters is no model either. */
const bounds: JsonBounds = { elements: maxModels, part: 256 * 1024 }
const beyond: Readonly<Record<keyof JsonBounds, string>> = {
  elements: `more than ${maxModels} models`,
  part: "one entry alone is longer than 256 Ki characters"
}

const fixedHeaders: ReadonlyArray<readonly [string, string]> = [
  ["User-Agent", `${build.shortName}-Discovery/${build.version}`],
  ["Accept", "application/json"]
]

export interface Discoverer {
  /** With retries, within `limits.timeout`. `remembered`: what was detected before. */
  readonly discover: (
    spec: EndpointSpec,
    remembered: Profile | undefined,
    limits: DiscoveryLimits
  ) => Effect.Effect<Listing, DiscoveryFailure>
  /** Detection alone, once, each request within `perRequest` milliseconds; `undefined`: nothing was proved. */
  readonly detect: (spec: EndpointSpec, perRequest: number) => Effect.Effect<Listing | undefined>
}

export const makeDiscoverer = (client: BackendClient["Service"], profiles: ProfileSet): Discoverer => {
  const fetch = Effect.fnUntraced(function* (spec: EndpointSpec, url: string, profile: string) {
    const started = yield* monotonic
    const outcome = yield* client
      .get({ url, headers: fixedHeaders, credentials: spec.credentials, tls: spec.origin.tls, maxBody, body: "text" })
      .pipe(Effect.catch((failure: BackendFailure) => Effect.succeed(failure)))
    const latency = (yield* monotonic) - started
    const failed = (operation: DiscoveryOperation, status: number, cause: string): DiscoveryFailure => ({
      _tag: "DiscoveryFailure",
      operation,
      innermost: operation,
      url: operation === "parse_response" ? displayUrl(url) : spec.displayUrl,
      profile,
      status,
      latency,
      cause
    })
    if ("_tag" in outcome) {
      if (outcome.kind === "tooLarge")
        return yield* Effect.fail(failed("parse_response", 200, `failed to parse ${profile} response: ${outcome.cause}`))
      return yield* Effect.fail(
        failed(outcome.answered ? "read_response" : "http_request", 0, `network error for ${spec.displayUrl}: ${outcome.cause}`)
      )
    }
    if (outcome.status !== 200)
      return yield* Effect.fail(
        failed(
          "http_status",
          outcome.status,
          `${statusCause(outcome.status)}${outcome.leadsAway === true ? ", to another origin, which is not followed" : ""}`
        )
      )
    return { body: outcome.body, header: outcome.header, now: yield* Clock.currentTimeMillis, failed }
  })

  // Long bodies one after the other: each has the loop for a millisecond at a time, many of them together would not.
  const oneLong = Semaphore.makeUnsafe(1)
  const parse = Effect.fnUntraced(function* ({ body, failed }: Answer, label: string) {
    if (body.trim() === "") return undefined
    const parsing = inSlices(parseInSteps(body, bounds))
    const reading = yield* body.length > atOnce ? oneLong.withPermit(parsing) : parsing
    if (reading._tag === "value") return reading.value
    const why = reading._tag === "beyond" ? beyond[reading.bound] : reading.message.slice(0, 200)
    return yield* Effect.fail(failed("parse_response", 200, `failed to parse ${label} response: ${why}`))
  })

  const read = Effect.fnUntraced(function* ({ failed, now }: Answer, value: unknown, profile: Profile) {
    const reading = yield* inSlices(readListing(profile.listingFormat, value, now))
    const refused = (operation: DiscoveryOperation, cause: string) =>
      Effect.fail({ ...failed(operation, 200, cause), profile: profile.name })
    if (reading._tag === "error")
      return yield* refused("parse_response", `failed to parse ${listingLabels[profile.listingFormat]} response: ${reading.message}`)
    if (reading.models.length > maxModels)
      return yield* refused("parse_response", `failed to parse ${listingLabels[profile.listingFormat]} response: ${beyond.elements}`)
    if (reading.missing !== undefined) return yield* refused("no_list", noList(reading.missing, value, profile.name))
    return { profile, models: reading.models, skipped: reading.skipped } satisfies Listing
  })

  const typed = (spec: EndpointSpec, profile: Profile): Effect.Effect<Listing, DiscoveryFailure> =>
    Effect.gen(function* () {
      const answer = yield* fetch(spec, modelUrlOf(spec, profile), profile.name)
      return yield* read(answer, yield* parse(answer, listingLabels[profile.listingFormat]), profile)
    })

  /** Fetches one piece of evidence and judges it; fails where the answer proves nothing. */
  const judged = Effect.fnUntraced(function* (spec: EndpointSpec, { url, judge }: Evidence) {
    const answer = yield* fetch(spec, url, "auto")
    const value = yield* parse(answer, "listing")
    const proved = judge(value, answer.header)
    if (proved === undefined)
      return yield* Effect.fail(answer.failed("parse_response", 200, "failed to parse listing: no known kind of backend answers like this"))
    const { profile, isListing } = proved
    return yield* isListing ? read(answer, value, profile) : typed(spec, profile)
  })

  const evidence = (spec: EndpointSpec): ReadonlyArray<Evidence> => {
    const { probes, judgeListing } = detectionOf(profiles.all)
    return spec.modelReference === undefined
      ? probes.map(({ path, judge }) => ({ url: joinUrl(spec.url, path, true), judge }))
      : [{ url: joinUrl(spec.url, spec.modelReference), judge: judgeListing }]
  }

  const auto = Effect.fnUntraced(function* (spec: EndpointSpec, remembered: Profile | undefined) {
    const all = evidence(spec)
    const known = remembered === undefined ? undefined : joinUrl(spec.url, remembered.modelDiscoveryPath || "/v1/models", true)
    // What it was before is asked first; if it is that no longer, the order of the evidence decides anew.
    const again = all.filter(({ url }) => url === known)
    let last: DiscoveryFailure | undefined
    for (const [n, piece] of [...again, ...all].entries()) {
      const outcome = yield* Effect.catch(judged(spec, piece), (failure: DiscoveryFailure) => Effect.succeed(failure))
      if (!("_tag" in outcome)) {
        if (n >= again.length || outcome.profile.name === remembered?.name) return outcome
        continue
      }
      last = outcome
      // The server did not answer: its other paths would not either.
      if (outcome.innermost === "http_request") break
    }
    return yield* Effect.fail(wrapDetection(last ?? nothingAsked(spec)))
  })

  const once = (spec: EndpointSpec, remembered: Profile | undefined): Effect.Effect<Listing, DiscoveryFailure> =>
    spec.profile === undefined ? auto(spec, remembered) : typed(spec, spec.profile)

  const discover = Effect.fnUntraced(function* (spec: EndpointSpec, remembered: Profile | undefined, limits: DiscoveryLimits) {
    const started = yield* monotonic
    let last: DiscoveryFailure | undefined
    const all = Effect.gen(function* () {
      for (let k = 0; ; k++) {
        const outcome = yield* Effect.catch(once(spec, remembered), (failure: DiscoveryFailure) => Effect.succeed(failure))
        if (!("_tag" in outcome)) return outcome
        last = outcome
        if (k >= limits.retryAttempts || !isRecoverable(outcome) || isWarning(outcome)) return yield* Effect.fail(outcome)
        yield* Effect.sleep(limits.retryBackoff * 2 ** k)
      }
    })
    const late = Effect.suspend(() =>
      Effect.map(monotonic, (now) => last ?? timedOut(spec, remembered, now - started)).pipe(Effect.flatMap(Effect.fail))
    )
    return yield* Effect.timeoutOrElse(all, { duration: limits.timeout, orElse: () => late })
  })

  const detect = Effect.fnUntraced(function* (spec: EndpointSpec, perRequest: number) {
    for (const piece of evidence(spec)) {
      const outcome = yield* judged(spec, piece).pipe(
        Effect.timeoutOrElse({ duration: perRequest, orElse: () => Effect.fail(timedOut(spec, undefined, perRequest)) }),
        Effect.catch((failure: DiscoveryFailure) => Effect.succeed(failure))
      )
      if (!("_tag" in outcome)) return outcome
      if (outcome.innermost === "http_request") return undefined
    }
    return undefined
  })

  return { discover, detect }
}

/** Where one proof is looked for, and what makes one. */
interface Evidence {
  readonly url: string
  readonly judge: DetectionProbe["judge"]
}

/** A 200 with its text; `failed` says what is wrong with it. */
interface Answer {
  readonly body: string
  readonly header: HeaderOf
  /** Epoch milliseconds. */
  readonly now: number
  readonly failed: (operation: DiscoveryOperation, status: number, cause: string) => DiscoveryFailure
}

const timedOut = (spec: EndpointSpec, profile: Profile | undefined, latency: number): DiscoveryFailure => ({
  _tag: "DiscoveryFailure",
  operation: "http_request",
  innermost: "http_request",
  url: spec.displayUrl,
  profile: (spec.profile ?? profile)?.name ?? "auto",
  status: 0,
  latency,
  cause: `network error for ${spec.displayUrl}: timeout`
})

const nothingAsked = (spec: EndpointSpec): DiscoveryFailure => ({
  ...timedOut(spec, undefined, 0),
  operation: "get_profile",
  innermost: "get_profile",
  cause: "no kind of backend to look for"
})

/** The innermost cause stays visible: a 404 everywhere is no network error. */
const wrapDetection = (failure: DiscoveryFailure): DiscoveryFailure => ({ ...failure, operation: "auto_detect", profile: "auto" })

/** What an answer without its list says instead: an error, or another kind's list. */
const noList = (key: string, value: unknown, profile: string): string => {
  const fields = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  const error = fields["error"]
  const said = typeof error === "object" && error !== null && "message" in error ? error.message : error
  const instead =
    typeof said === "string" ? `an error: ${said.slice(0, 200)}` : `${Object.keys(fields).slice(0, 8).join(", ") || "nothing"}`
  return `the answer has no "${key}" list but ${instead}; is this server of the kind "${profile}"?`
}
