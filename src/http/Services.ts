/** What the routes work with: the rooms of the daemon, each by its service. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { Balancer } from "../balancing/Balancer.ts"
import { Catalogue } from "../catalogue/Catalogue.ts"
import type { OllaConfig, RuleConfig } from "../config/OllaConfig.ts"
import { Reload } from "../config/Reload.ts"
import { Settings } from "../config/Settings.ts"
import { type DnsStatus, DnsStatuses } from "../endpoint/DnsSource.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { Observer } from "../exchange/Observer.ts"
import { type Tracing, TracingDecisions } from "../exchange/Tracing.ts"
import { normaliseAddress } from "../guard/ClientAddress.ts"
import { Guard } from "../guard/Guard.ts"
import { type Access, KeyAccess } from "../guard/keys/Access.ts"
import { Profiles } from "../profile/Profiles.ts"
import { Carrier } from "../proxy/Carrier.ts"
import { Router } from "../routing/Router.ts"
import { RuleBook } from "../routing/Rules.ts"
import { KeyFigures, type KeyStatistics } from "../telemetry/KeyStatistics.ts"
import { Journal } from "../telemetry/LogSink.ts"
import { RequestLog } from "../telemetry/requests/RequestLog.ts"
import { Statistics } from "../telemetry/Statistics.ts"
import type { SpanCounts } from "../telemetry/tracing/SpanQueue.ts"
import { TraceCounts } from "../telemetry/tracing/Traces.ts"
import type { CertificateStore } from "./listener/CertificateStore.ts"
import { RequestHead } from "./listener/RequestHead.ts"

export interface Services {
  readonly settings: Settings["Service"]
  readonly reload: Reload["Service"]
  readonly profiles: Profiles["Service"]
  readonly fleet: Fleet["Service"]
  /** Names that stand for endpoints. */
  readonly dnsStatuses: () => ReadonlyArray<DnsStatus>
  readonly catalogue: Catalogue["Service"]
  readonly router: Router["Service"]
  readonly rules: RuleBook
  readonly balancer: Balancer["Service"]
  readonly carrier: Carrier["Service"]
  readonly guard: Guard["Service"]
  readonly statistics: Statistics["Service"]
  readonly observer: Observer["Service"]
  readonly tracing: Tracing
  /** `undefined`: no traces are sent. */
  readonly traceCounts: (() => SpanCounts) | undefined
  readonly log: RequestLog["Service"]
  /** For what is told of a request beside its own records. */
  readonly journal: Journal["Service"]
  readonly access: Access
  /** A key may have crossed the network in clear: tells whose, if it is one. */
  readonly clearText: (rawHeaders: ReadonlyArray<string>, address: string) => void
  /** `undefined`: the listener speaks plain HTTP. */
  readonly certificates: CertificateStore | undefined
  /** `undefined`: nobody counts. */
  readonly keyStatistics: KeyStatistics | undefined
  /** Forks with the daemon's own context. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Is any record of requests written at all? */
  readonly logsRequests: () => boolean
  /** Does anybody read usage figures? */
  readonly wantsUsage: () => boolean
  readonly isStopping: () => boolean
}

const noRules: ReadonlyArray<RuleConfig> = []

const rulesOf = ({ traffic }: OllaConfig): ReadonlyArray<RuleConfig> => (traffic.enabled ? traffic.rules : noRules)

/** `isStopping`: the daemon takes no further work. */
export const makeServices = Effect.fnUntraced(function* (isStopping: () => boolean, certificates?: CertificateStore) {
  const settings = yield* Settings
  const journal = yield* Journal
  const access = yield* KeyAccess
  return {
    settings,
    reload: yield* Reload,
    profiles: yield* Profiles,
    fleet: yield* Fleet,
    dnsStatuses: yield* DnsStatuses,
    catalogue: yield* Catalogue,
    router: yield* Router,
    rules: new RuleBook(() => rulesOf(settings.current())),
    balancer: yield* Balancer,
    carrier: yield* Carrier,
    guard: yield* Guard,
    statistics: yield* Statistics,
    observer: yield* Observer,
    tracing: yield* TracingDecisions,
    traceCounts: yield* TraceCounts,
    log: yield* RequestLog,
    journal,
    access,
    certificates,
    clearText: (rawHeaders, address) => {
      const name = access.nameOf(new RequestHead({ httpVersionMajor: 1, httpVersionMinor: 1, rawHeaders }))
      if (name !== "") journal.write("warn", "A key came in clear, rotate it", { key: name, client_ip: normaliseAddress(address) })
    },
    keyStatistics: yield* KeyFigures,
    fork: Effect.runForkWith(yield* Effect.context<never>()),
    logsRequests: () => journal.enabled("info"),
    wantsUsage: () => settings.current().server.request_logging && journal.enabled("info"),
    isStopping
  } satisfies Services
})
