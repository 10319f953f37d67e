/**
 * Reads one endpoint's models: the listing of its kind, or for `auto` the proof of what it is, which is a listing too
 * (endpoints-and-health.md 11, backend-profiles.md 7.6).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { filterAdmits } from "../config/FilterPattern.ts"
import { detectionProbes, judgeListing } from "../profile/Detection.ts"
import type { ListedModel } from "../profile/ListedModel.ts"
import { readListing } from "../profile/ListingReading.ts"
import type { Profile } from "../profile/Profile.ts"
import type { ProfileSet } from "../profile/Profiles.ts"
import { build } from "../version.ts"
import type { BackendClient, BackendFailure } from "./BackendClient.ts"
import { type DiscoveryFailure, type DiscoveryOperation, isRecoverable, isWarning, statusCause } from "./DiscoveryFailure.ts"
import type { EndpointSpec } from "./EndpointSpec.ts"
import { modelUrlOf } from "./EndpointSpec.ts"
import { displayUrl, joinUrl } from "./EndpointUrl.ts"

export interface Listing {
  readonly profile: Profile
  /** After the model filter. */
  readonly models: ReadonlyArray<ListedModel>
  /** As the backend listed them. */
  readonly originalCount: number
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
/**
 * Largest listing that is taken. Reading one of this size holds up the event loop for about 30 ms (`bench/fleet.ts`); more entries
 * than this are no model server's but a fault, or an attack.
 */
export const maxModels = 10_000
/** Entries may carry ids of their own inside (vLLM's permissions), so the count before parsing is generous. */
const maxIds = 4 * maxModels

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
    const started = yield* Clock.currentTimeMillis
    const outcome = yield* client
      .get({ url, headers: fixedHeaders, credentials: spec.credentials, tls: spec.origin.tls, maxBody, body: "text" })
      .pipe(Effect.catch((failure: BackendFailure) => Effect.succeed(failure)))
    const now = yield* Clock.currentTimeMillis
    const failed = (operation: DiscoveryOperation, status: number, cause: string): DiscoveryFailure => ({
      _tag: "DiscoveryFailure",
      operation,
      innermost: operation,
      url: operation === "parse_response" ? displayUrl(url) : spec.displayUrl,
      profile,
      status,
      latency: now - started,
      cause
    })
    if ("_tag" in outcome) {
      if (outcome.kind === "tooLarge")
        return yield* Effect.fail(failed("parse_response", 200, `failed to parse ${profile} response: ${outcome.cause}`))
      return yield* Effect.fail(
        failed(outcome.answered ? "read_response" : "http_request", 0, `network error for ${spec.displayUrl}: ${outcome.cause}`)
      )
    }
    if (outcome.status !== 200) return yield* Effect.fail(failed("http_status", outcome.status, statusCause(outcome.status)))
    if (countIds(outcome.body) > maxIds)
      return yield* Effect.fail(failed("parse_response", 200, `failed to parse ${profile} response: more than ${maxModels} models`))
    return { body: outcome.body, now, failed }
  })

  const read = (answer: { readonly body: string; readonly now: number; readonly failed: Failed }, profile: Profile, spec: EndpointSpec) => {
    const reading = readListing(profile.listingFormat, answer.body, answer.now)
    if (reading._tag === "error") return Effect.fail({ ...answer.failed("parse_response", 200, reading.message), profile: profile.name })
    if (reading.models.length > maxModels)
      return Effect.fail({
        ...answer.failed("parse_response", 200, `failed to parse ${profile.name} response: more than ${maxModels} models`),
        profile: profile.name
      })
    if (reading.missing !== undefined) return Effect.fail(answer.failed("no_list", 200, noList(reading.missing, answer.body, profile.name)))
    const { include, exclude } = spec.modelFilter
    const models =
      include.length === 0 && exclude.length === 0
        ? reading.models
        : reading.models.filter((model) => filterAdmits(spec.modelFilter, model.name))
    return Effect.succeed<Listing>({ profile, models, originalCount: reading.models.length, skipped: reading.skipped })
  }

  const typed = (spec: EndpointSpec, profile: Profile): Effect.Effect<Listing, DiscoveryFailure> =>
    fetch(spec, modelUrlOf(spec, profile), profile.name).pipe(Effect.flatMap((answer) => read(answer, profile, spec)))

  /** Fetches one piece of evidence and judges it; fails where the answer proves nothing. */
  const judged = Effect.fnUntraced(function* (spec: EndpointSpec, url: string, judge: (body: unknown) => string | undefined) {
    const answer = yield* fetch(spec, url, "auto")
    const value = parseJson(answer.body)
    if (value === undefined) return yield* Effect.fail(answer.failed("parse_response", 200, "failed to parse listing: not JSON"))
    const profile = profiles.byName(judge(value) ?? "")
    if (profile === undefined)
      return yield* Effect.fail(answer.failed("parse_response", 200, "failed to parse listing: no known kind of backend answers like this"))
    return yield* read(answer, profile, spec)
  })

  const evidence = (spec: EndpointSpec): ReadonlyArray<{ readonly url: string; readonly judge: (body: unknown) => string | undefined }> =>
    spec.modelReference === undefined
      ? detectionProbes.map(({ path, judge }) => ({ url: joinUrl(spec.url, path), judge }))
      : [{ url: joinUrl(spec.url, spec.modelReference), judge: judgeListing }]

  const auto = Effect.fnUntraced(function* (spec: EndpointSpec, remembered: Profile | undefined) {
    const all = evidence(spec)
    const known = remembered === undefined ? undefined : joinUrl(spec.url, remembered.modelDiscoveryPath || "/v1/models")
    const ordered = [...all.filter(({ url }) => url === known), ...all.filter(({ url }) => url !== known)]
    let last: DiscoveryFailure | undefined
    for (const { url, judge } of ordered) {
      const outcome = yield* Effect.catch(judged(spec, url, judge), (failure: DiscoveryFailure) => Effect.succeed(failure))
      if (!("_tag" in outcome)) return outcome
      last = outcome
      // Nobody answered: other paths of the same server would not either.
      if (outcome.innermost === "http_request") break
    }
    return yield* Effect.fail(wrapDetection(last ?? nothingAsked(spec)))
  })

  const once = (spec: EndpointSpec, remembered: Profile | undefined): Effect.Effect<Listing, DiscoveryFailure> =>
    spec.profile === undefined ? auto(spec, remembered) : typed(spec, spec.profile)

  const discover = Effect.fnUntraced(function* (spec: EndpointSpec, remembered: Profile | undefined, limits: DiscoveryLimits) {
    const started = yield* Clock.currentTimeMillis
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
      Effect.map(Clock.currentTimeMillis, (now) => last ?? timedOut(spec, remembered, now - started)).pipe(Effect.flatMap(Effect.fail))
    )
    return yield* Effect.timeoutOrElse(all, { duration: limits.timeout, orElse: () => late })
  })

  const detect = Effect.fnUntraced(function* (spec: EndpointSpec, perRequest: number) {
    for (const { url, judge } of evidence(spec)) {
      const outcome = yield* judged(spec, url, judge).pipe(
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

type Failed = (operation: DiscoveryOperation, status: number, cause: string) => DiscoveryFailure

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

const parseJson = (body: string): unknown => {
  try {
    return JSON.parse(body) as unknown
  } catch {
    return undefined
  }
}

/** What an answer without its list says instead: an error, or another kind's list. */
const noList = (key: string, body: string, profile: string): string => {
  const value = parseJson(body)
  const fields = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  const error = fields["error"]
  const said = typeof error === "object" && error !== null && "message" in error ? error.message : error
  const instead =
    typeof said === "string" ? `an error: ${said.slice(0, 200)}` : `${Object.keys(fields).slice(0, 8).join(", ") || "nothing"}`
  return `the answer has no "${key}" list but ${instead}; is this server of the kind "${profile}"?`
}

/** Upper bound of the entries in a listing, without parsing it: `"id"` and `"name"` keys. */
const countIds = (body: string): number => {
  // Too short to hold so many.
  if (body.length < maxIds * 8) return 0
  let count = 0
  for (const key of ['"id"', '"name"'])
    for (let at = body.indexOf(key); at !== -1 && count <= maxIds; at = body.indexOf(key, at + key.length)) count++
  return count
}
