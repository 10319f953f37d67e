/** Endpoints and a fleet without probes: a test sets their states, and the listeners are told as they would be. */
import * as Effect from "effect/Effect"
import { Claim, type ClaimFields } from "../../src/balancing/Claim.ts"
import type { StickyKey } from "../../src/balancing/StickyKey.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import type { OllaConfig } from "../../src/config/OllaConfig.ts"
import { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { EndpointEvent } from "../../src/endpoint/EndpointEvent.ts"
import type { EndpointSpec } from "../../src/endpoint/EndpointSpec.ts"
import { type AttemptFailure, type EndpointState, isRoutable, type Status } from "../../src/endpoint/EndpointState.ts"
import { parseOrigin } from "../../src/endpoint/EndpointUrl.ts"
import type { Fleet, FleetEvent } from "../../src/endpoint/Fleet.ts"
import { lanePolicyOf } from "../../src/endpoint/lane/LaneCondition.ts"
import { endedUnanswered } from "../../src/exchange/Failure.ts"
import type { ListedModel } from "../../src/profile/ListedModel.ts"
import type { Profile } from "../../src/profile/Profile.ts"
import { nothingInspected } from "../../src/routing/Inspecting.ts"
import { Prompt } from "../../src/routing/Prompt.ts"
import type { Candidate } from "../../src/routing/Router.ts"

/** YAML flow keys under `proxy:`, `server:` and `traffic:`. */
export const configOf = (proxy = "", server = "", traffic = ""): OllaConfig => {
  const { config, diagnostics } = decodeConfig(`proxy: { ${proxy} }\nserver: { ${server} }\ntraffic: { ${traffic} }\n`, "test.yaml", {})
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  return config
}

const config = configOf()

/** Everything of the real one but its condition, its models and its kind, which the test sets. */
export class FakeEndpoint extends Endpoint {
  /** Whatever was reported, in order. */
  readonly failures: Array<AttemptFailure> = []
  readonly #announce: (event: FleetEvent) => void
  #condition: EndpointState
  #listed: ReadonlyArray<ListedModel> = []
  #profile: Profile | undefined
  #isAuto = false

  constructor(spec: EndpointSpec, status: Status, now: () => number, announce: (event: FleetEvent) => void) {
    super(spec, {
      now,
      policy: () => ({ checkInterval: 5_000, probes: true, discovery: { enabled: true, interval: 300_000 } }),
      command: () => {},
      hurry: () => {},
      breakerTurned: () => {},
      gone: () => {},
      lanes: {
        policy: () => lanePolicyOf(config.traffic.ejection, true),
        random: () => 0.5,
        turned: () => {},
        loaded: () => {},
        rested: () => {}
      }
    })
    this.#announce = announce
    this.#condition = stateOf(status)
  }

  override get state(): EndpointState {
    return this.#condition
  }
  override set state(state: EndpointState) {
    this.#condition = state
  }
  override get models(): ReadonlyArray<ListedModel> {
    return this.#listed
  }
  override set models(models: ReadonlyArray<ListedModel>) {
    this.#listed = models
  }
  override get profile(): Profile | undefined {
    return this.#profile
  }
  override set profile(profile: Profile | undefined) {
    this.#profile = profile
  }
  override get isAuto(): boolean {
    return this.#isAuto
  }
  override set isAuto(isAuto: boolean) {
    this.#isAuto = isAuto
  }
  override get inFlight(): number {
    return super.inFlight
  }
  override set inFlight(attempts: number) {
    while (super.inFlight < attempts) this.enter()
    while (super.inFlight > attempts) this.leave()
  }

  become(status: Status): void {
    const from = this.#condition
    this.#condition = stateOf(status)
    this.breaker.probed(isRoutable(status))
    this.#announce({ _tag: "StatusChanged", endpoint: this, from, to: this.#condition })
  }

  /** Goes offline at once, as the real one does; a connection that was closed without an answer would only bring about a probe. */
  override attemptFailed(failed: AttemptFailure): void {
    this.failures.push(failed)
    if (!endedUnanswered(failed.failure.kind)) this.become("offline")
  }
}

export interface FakeFields {
  readonly labels?: Readonly<Record<string, string>>
  readonly url?: string
  readonly type?: string
  readonly priority?: number
  readonly status?: Status
  readonly preservePath?: boolean
  readonly headers?: ReadonlyArray<readonly [string, string]>
  readonly tls?: Endpoint["origin"]["tls"] | undefined
}

const stateOf = (status: Status): EndpointState => ({
  status,
  lastChecked: 0,
  lastLatency: 0,
  consecutiveFailures: 0,
  backoffMultiplier: 1,
  nextCheck: 0,
  rateLimitedUntil: 0,
  lastError: ""
})

/** A spec as the configuration would give it. */
export const specOf = (name: string, fields: FakeFields = {}, index = 0): EndpointSpec => {
  const url = new URL(fields.url ?? `http://${name}`)
  const headers = fields.headers ?? []
  return {
    url: url.href,
    displayUrl: url.href,
    name,
    type: fields.type ?? "ollama",
    profile: undefined,
    isAuto: false,
    index,
    priority: fields.priority ?? 100,
    preservePath: fields.preservePath ?? false,
    healthReference: undefined,
    modelReference: undefined,
    probes: true,
    checkInterval: 5_000,
    checkTimeout: 2_000,
    weight: 1,
    maxConcurrent: 0,
    maxResident: 0,
    labels: fields.labels ?? {},
    modelFilter: { include: [], exclude: [] },
    origin: parseOrigin(url.href === `${url.origin}/` ? url.origin : url.href, fields.tls),
    credentials: { headers, names: new Set(headers.map(([header]) => header.toLowerCase())) }
  }
}

/** Of an exchange that may be repeated elsewhere. */
export const claimOf = (sticky: StickyKey | undefined, fields: Partial<ClaimFields> = {}): Claim =>
  new Claim({
    sticky,
    usesLanes: false,
    stream: false,
    mayRepeat: true,
    client: "",
    candidates: [],
    prompt: new Prompt(nothingInspected, [], 0),
    rules: undefined,
    ...fields
  })

export class FakeFleet {
  readonly endpoints: Array<FakeEndpoint> = []
  /** Milliseconds of the monotonic clock. */
  clock: () => number = () => 0
  /** Names of those that a request had looked at. */
  readonly looked: Array<string> = []
  readonly #listeners = new Set<(event: FleetEvent) => void>()

  readonly service: Fleet["Service"] = {
    endpoints: this.endpoints,
    now: () => this.clock(),
    byUrl: (url) => this.endpoints.find((endpoint) => endpoint.url === url),
    onEvent: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
    leaving: [],
    apply: () => Effect.succeed({ added: [], removed: [], changed: [] }),
    drain: (endpoint, time = Number.POSITIVE_INFINITY) => this.#administer(endpoint, { _tag: "Drain", until: this.clock() + time }),
    resume: (endpoint) => this.#administer(endpoint, { _tag: "Resume" }),
    probe: () => Effect.void,
    look: (endpoint) => this.looked.push(endpoint.name),
    refreshModels: () => Effect.succeed(true),
    document: () => Effect.succeed(undefined),
    ready: Effect.void
  }

  #administer(endpoint: Endpoint, event: EndpointEvent): void {
    endpoint.step(event)
    for (const listener of this.#listeners) listener({ _tag: "AdminChanged", endpoint })
  }

  get listeners(): number {
    return this.#listeners.size
  }

  add(name: string, fields: FakeFields = {}): FakeEndpoint {
    const endpoint = new FakeEndpoint(
      specOf(name, fields, this.endpoints.length),
      fields.status ?? "healthy",
      () => this.clock(),
      (event) => {
        for (const listener of this.#listeners) listener(event)
      }
    )
    this.endpoints.push(endpoint)
    return endpoint
  }
}

export const candidatesOf = (endpoints: ReadonlyArray<Endpoint>, nativeName = ""): ReadonlyArray<Candidate> =>
  endpoints.map((endpoint) => ({ endpoint, nativeName }))
