/** Endpoints and a fleet without probes: a test sets their states, and the listeners are told as they would be. */
import * as Effect from "effect/Effect"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import type { OllaConfig } from "../../src/config/OllaConfig.ts"
import type { Credentials, Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { AttemptFailure, EndpointState, Status } from "../../src/endpoint/EndpointState.ts"
import type { Fleet, FleetEvent } from "../../src/endpoint/Fleet.ts"
import type { Candidate } from "../../src/routing/Router.ts"

/** `proxy`: YAML flow keys under `proxy:`. */
export const configOf = (proxy = "", server = ""): OllaConfig => {
  const { config, diagnostics } = decodeConfig(`proxy: { ${proxy} }\nserver: { ${server} }\n`, "test.yaml", {})
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  return config
}

export interface FakeEndpoint extends Endpoint {
  state: EndpointState
  /** Whatever was reported, in order. */
  readonly failures: Array<AttemptFailure>
  readonly become: (status: Status) => void
}

export interface FakeFields {
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

export class FakeFleet {
  readonly endpoints: Array<FakeEndpoint> = []
  readonly #listeners = new Set<(event: FleetEvent) => void>()

  readonly service: Fleet["Service"] = {
    endpoints: this.endpoints,
    byUrl: (url) => this.endpoints.find((endpoint) => endpoint.url === url),
    onEvent: (listener) => {
      this.#listeners.add(listener)
      return () => this.#listeners.delete(listener)
    },
    refreshModels: () => Effect.succeed(true),
    ready: Effect.void
  }

  get listeners(): number {
    return this.#listeners.size
  }

  /** A demotion takes it offline at once, as the real one does. */
  add(name: string, fields: FakeFields = {}): FakeEndpoint {
    const url = new URL(fields.url ?? `http://${name}`)
    const secure = url.protocol === "https:"
    const headers = fields.headers ?? []
    const credentials: Credentials = { headers, names: new Set(headers.map(([header]) => header.toLowerCase())) }
    const become = (status: Status) => {
      const from = endpoint.state
      endpoint.state = stateOf(status)
      for (const listener of this.#listeners) listener({ _tag: "StatusChanged", endpoint, from, to: endpoint.state })
    }
    const endpoint: FakeEndpoint = {
      url: url.href,
      displayUrl: url.href,
      name,
      type: fields.type ?? "ollama",
      profile: undefined,
      isAuto: false,
      index: this.endpoints.length,
      priority: fields.priority ?? 100,
      preservePath: fields.preservePath ?? false,
      healthUrl: url.href,
      modelUrl: url.href,
      checkInterval: 5_000,
      checkTimeout: 2_000,
      origin: {
        secure,
        hostname: url.hostname.replace(/^\[|\]$/g, ""),
        port: Number(url.port) || (secure ? 443 : 80),
        authority: url.host,
        basePath: url.pathname === "/" ? "" : url.pathname,
        tls: fields.tls
      },
      credentials,
      state: stateOf(fields.status ?? "healthy"),
      models: [],
      modelsSyncedAt: 0,
      discoveryDisabled: false,
      inFlight: 0,
      failures: [],
      become,
      attemptFailed: (failed) => {
        endpoint.failures.push(failed)
        become("offline")
      }
    }
    this.endpoints.push(endpoint)
    return endpoint
  }
}

export const candidatesOf = (endpoints: ReadonlyArray<Endpoint>, nativeName = ""): ReadonlyArray<Candidate> =>
  endpoints.map((endpoint) => ({ endpoint, nativeName }))
