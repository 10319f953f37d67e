/** A fleet on the test clock: backends are functions, chance is switched off, log lines are kept. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { Settings } from "../../src/config/Settings.ts"
import { type BackendAnswer, BackendClient, type BackendFailure, type BackendRequest } from "../../src/endpoint/BackendClient.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { loadEndpoints } from "../../src/endpoint/EndpointLoading.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { layerWith, StartupWait } from "../../src/endpoint/FleetLive.ts"
import { loadProfiles, layer as profilesLayer } from "../../src/profile/ProfileLoading.ts"

export const shippedProfiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

export const answer = (status: number, body: unknown = "", more: Partial<BackendAnswer> = {}): Effect.Effect<BackendAnswer> =>
  Effect.succeed({
    status,
    header: () => undefined,
    retryAfter: undefined,
    latency: 1,
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...more
  })

export const failing = (cause: string, kind: BackendFailure["kind"] = "network"): Effect.Effect<never, BackendFailure> =>
  Effect.fail({ _tag: "BackendFailure", kind, cause, detail: cause, answered: false })

export const refused = failing("connection refused")
export const hanging: Effect.Effect<never> = Effect.never

export type Backend = (path: string, request: BackendRequest) => Effect.Effect<BackendAnswer, BackendFailure>

/** An Ollama with these models. */
export const ollama =
  (...names: ReadonlyArray<string>): Backend =>
  (path) =>
    path === "/" ? answer(200) : path === "/api/tags" ? answer(200, { models: names.map((name) => ({ name })) }) : answer(404)

export interface Asked {
  /** Seconds of the test clock. */
  readonly at: number
  readonly host: string
  readonly path: string
}

export interface Logged {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface World {
  /** By host name; may be changed while the fleet runs. A host that is not here refuses. */
  readonly backends: Record<string, Backend>
  readonly asked: Array<Asked>
  readonly log: Array<Logged>
}

export const world = (backends: Record<string, Backend>): World => ({ backends, asked: [], log: [] })

export const clientOf = (here: World): BackendClient["Service"] => ({
  get: (request) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { host, pathname, search } = new URL(request.url)
      here.asked.push({ at: now / 1000, host, path: pathname + search })
      return here.backends[host]?.(pathname, request) ?? refused
    })
})

const calm: Random.Random = { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 }

export interface Entry {
  readonly host: string
  /** YAML flow keys. */
  readonly keys?: string
}

/** Nobody is asked for its load. */
const quiet = "signals: { interval: 0s }"

/** `discovery`, `traffic`: YAML flow keys of `model_discovery` and `traffic`. */
export const fleetLayer = (
  here: World,
  entries: ReadonlyArray<Entry>,
  discovery = "",
  random = calm,
  traffic = quiet
): Layer.Layer<Fleet> => {
  const list = entries.map(({ host, keys }) => `{ url: "http://${host}", name: ${host}, ${keys ?? "type: ollama"} }`).join(", ")
  const { config, diagnostics } = decodeConfig(
    `discovery: { static: { endpoints: [${list}] }, model_discovery: { ${discovery} } }\ntraffic: { ${traffic} }`,
    "test.yaml",
    {}
  )
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  const settings = Settings.layerOf(config)
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const [text, fields] = Array.isArray(message) ? message : [message]
    here.log.push({ level: logLevel, message: String(text), fields: (fields ?? {}) as Logged["fields"] })
  })
  return Layer.orDie(layerWith(loadEndpoints(config, shippedProfiles, {}, () => "").specs)).pipe(
    Layer.provide(
      Layer.mergeAll(settings, Layer.provide(profilesLayer("/nonexistent", {}), settings), Layer.succeed(BackendClient, clientOf(here)))
    ),
    Layer.provide(
      Layer.mergeAll(
        Layer.succeed(Random.Random, random),
        Layer.succeed(StartupWait, () => 2000)
      )
    ),
    Layer.provide(Logger.layer([logger]))
  )
}

/** Lets everything run that is due now: a chain of fibers takes more turns than one step of the clock waits for. */
export const settle: Effect.Effect<void> = Effect.gen(function* () {
  for (let turn = 0; turn < 12; turn++) yield* TestClock.adjust(0)
})

/** Lets so many seconds pass, each settled before the next. */
export const pass = Effect.fnUntraced(function* (seconds: number) {
  for (let n = 0; n < seconds; n++) {
    yield* TestClock.adjust("1 second")
    yield* settle
  }
})

/** The fleet when its start-up is through, one second after the clock's zero. */
export const started: Effect.Effect<Fleet["Service"], never, Fleet> = Effect.gen(function* () {
  const fleet = yield* Fleet
  yield* settle
  yield* pass(1)
  yield* fleet.ready
  return fleet
})

/** The endpoint of that host. */
export const endpointAt = (fleet: Fleet["Service"], host: string): Endpoint => {
  const found = fleet.byUrl(`http://${host}`)
  if (found === undefined) throw new Error(`no endpoint ${host}`)
  return found
}

export const askedAt = (here: World, host: string, path: string): ReadonlyArray<number> =>
  here.asked.filter((each) => each.host === host && each.path === path).map(({ at }) => at)

export const messages = (here: World): ReadonlyArray<string> => here.log.map(({ message }) => message)

/** Runs a body with the fleet of these entries. */
export const run = <A>(here: World, entries: ReadonlyArray<Entry>, discovery: string, body: Effect.Effect<A, never, Fleet>) =>
  body.pipe(Effect.provide(fleetLayer(here, entries, discovery)))

/** What the log tells of failed listings, with its details. */
export const detailed = (here: World): ReadonlyArray<string> =>
  here.log.filter(({ level }) => level === "Error").map(({ message, fields }) => `${message} | ${String(fields["detailed_error"])}`)
