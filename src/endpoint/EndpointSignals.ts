/**
 * What one backend tells of its load and of what it has in memory, read again and again and handed to its lanes. It says nothing of the
 * endpoint's health: whoever does not tell is only not known.
 */
import * as Effect from "effect/Effect"
import { type LoadFigures, readSignals, type SignalReport } from "../profile/SignalReading.ts"
import type { SignalSource } from "../profile/SignalSource.ts"
import { build } from "../version.ts"
import type { Endpoint } from "./Endpoint.ts"
import { isRoutable } from "./EndpointState.ts"
import { joinUrl } from "./EndpointUrl.ts"
import type { FleetContext } from "./FleetContext.ts"
import type { Lane } from "./lane/Lane.ts"
import { restsAfter } from "./lane/Lanes.ts"
import type { LaneReport } from "./lane/LaneWork.ts"
import { restingInterval, SignalWatch } from "./SignalWatch.ts"

/** Bytes: a server with many models and histograms tells a lot. */
const maxBody = 4 * 1024 * 1024
/** Milliseconds that an answer is waited for, at most. */
const longestRead = 1000

const headers: ReadonlyArray<readonly [string, string]> = [
  ["User-Agent", `${build.shortName}-Signals/${build.version}`],
  ["Accept", "application/json, text/plain, */*"]
]

/** Attempts of Olla's own when a report was asked for: whatever is beyond them is somebody else's. */
interface OwnLoad {
  readonly endpoint: number
  readonly byLane: ReadonlyMap<Lane, number>
}

interface Watched {
  readonly source: SignalSource
  readonly watch: SignalWatch
  own: OwnLoad
}

export class EndpointSignals {
  readonly #endpoint: Endpoint
  readonly #fleet: FleetContext
  /** In the order of the profile's sources. */
  #watches: ReadonlyArray<Watched> = []

  constructor(endpoint: Endpoint, fleet: FleetContext) {
    this.#endpoint = endpoint
    this.#fleet = fleet
  }

  /** Milliseconds until it is to be looked at; Infinity: nobody asks, or nobody would answer. */
  get untilDue(): number {
    if (!this.#isWanted) return Number.POSITIVE_INFINITY
    this.#fit()
    const now = this.#fleet.now()
    return this.#watches.reduce((least, { watch }) => Math.min(least, Math.max(0, watch.dueAt - now)), Number.POSITIVE_INFINITY)
  }

  /** What it has in memory is to be asked for at once. */
  hurryMemory(): void {
    for (const { source, watch } of this.#watches)
      if ((source.loaded !== undefined || source.asleep !== "") && watch.failures === 0) watch.dueAt = 0
  }

  /** Somebody uses it again. */
  hurryAll(): void {
    for (const { watch } of this.#watches) if (watch.failures === 0) watch.dueAt = 0
  }

  /** Reads what is due. */
  readonly read: Effect.Effect<void> = Effect.suspend(() => {
    if (!this.#isWanted) return this.#drop()
    this.#fit()
    const now = this.#fleet.now()
    const due = this.#watches.filter(({ watch }) => watch.dueAt <= now)
    // Models may have been listed meanwhile.
    if (due.length === 0) return Effect.sync(() => this.#hand())
    return Effect.forEach(due, (one) => this.#readOne(one), { concurrency: "unbounded", discard: true })
  })

  get #isWanted(): boolean {
    return this.#fleet.signals() > 0 && isRoutable(this.#endpoint.state.status)
  }

  /** Milliseconds between two looks. */
  get #interval(): number {
    const interval = this.#fleet.signals()
    const isUsed = this.#fleet.now() - this.#endpoint.lanes.usedAt < restsAfter || this.#endpoint.inFlight > 0
    return isUsed ? interval : Math.max(interval, restingInterval)
  }

  /** The kind may have been found out meanwhile, or say something else. */
  #fit(): void {
    const sources = this.#endpoint.profile?.signals ?? []
    if (sources.length === this.#watches.length && sources.every((source, n) => source === this.#watches[n]?.source)) return
    this.#watches = sources.map((source) => ({ source, watch: new SignalWatch(), own: nobody }))
  }

  /** Another server may be there when it is asked again. */
  #drop(): Effect.Effect<void> {
    for (const { watch } of this.#watches) watch.forget()
    for (const lane of this.#endpoint.lanes) lane.work.untold()
    return Effect.void
  }

  #readOne(one: Watched): Effect.Effect<void> {
    const { source, watch } = one
    const { spec, credentials, origin, name } = this.#endpoint
    const { client, now, random } = this.#fleet
    const askedAt = now()
    const own: OwnLoad = {
      endpoint: this.#endpoint.inFlight,
      byLane: new Map([...this.#endpoint.lanes].map((lane) => [lane, lane.inFlight]))
    }
    return client.get({ url: joinUrl(spec.url, source.path, true), headers, credentials, tls: origin.tls, maxBody, body: "text" }).pipe(
      Effect.timeoutOrElse({ duration: Math.min(this.#fleet.signals(), longestRead), orElse: () => Effect.succeed(undefined) }),
      Effect.catch(() => Effect.succeed(undefined)),
      Effect.flatMap((answer) => {
        const report = answer?.status === 200 ? readSignals(source, answer.body) : undefined
        const jitter = 2 * random() - 1
        if (report === undefined) {
          watch.missed(now(), this.#interval, jitter)
          this.#hand()
          if (watch.failures > 1) return Effect.void
          const { path } = source
          return Effect.logDebug("what a backend tells of its load could not be read", { endpoint: name, path, status: answer?.status })
        }
        one.own = own
        watch.told(report, { askedAt, now: now(), interval: this.#interval }, this.#endpoint.attemptsEnded, jitter)
        this.#hand()
        return Effect.void
      })
    )
  }

  /** Tells the lanes what is known by now. Each model of its list has one. */
  #hand(): void {
    const { lanes, models } = this.#endpoint
    for (const { name } of models) lanes.of(name)
    const now = this.#fleet.now()
    for (const lane of lanes) {
      lane.work.report = this.#reportFor(lane, now)
      this.#tellMemory(lane, now)
    }
  }

  #reportFor(lane: Lane, now: number): LaneReport | undefined {
    let running: number | undefined
    let waiting: number | undefined
    let kvUsed: number | undefined
    let slots: number | undefined
    let own = 0
    let at = 0
    let until = 0
    let isFrozen = false
    for (const { watch, own: its } of this.#watches) {
      const report = watch.reportAt(now)
      if (report === undefined) continue
      const figures = figuresFor(lane, report)
      if (figures.cacheTokens !== undefined) lane.keepsTokens(figures.cacheTokens)
      if (figures.running === undefined && figures.waiting === undefined && figures.kvUsed === undefined && figures.slots === undefined)
        continue
      if (figures.running !== undefined || figures.waiting !== undefined) {
        own = report.byModel.has(lane.model) ? (its.byLane.get(lane) ?? 0) : its.endpoint
        isFrozen = watch.isFrozen
      }
      running ??= figures.running
      waiting ??= figures.waiting
      kvUsed ??= figures.kvUsed
      slots ??= figures.slots
      at = Math.max(at, watch.askedAt)
      until = Math.max(until, watch.until)
    }
    if (until === 0) return undefined
    const foreign = isFrozen ? 0 : Math.max(0, (running ?? 0) + (waiting ?? 0) - own)
    return { running: running ?? 0, waiting: waiting ?? 0, kvUsed, slots, foreign, at, until, isFrozen }
  }

  #tellMemory(lane: Lane, now: number): void {
    for (const { source, watch } of this.#watches) {
      if (source.loaded === undefined && source.asleep === "") continue
      const report = watch.reportAt(now)
      if (report === undefined) {
        if (watch.until > 0) lane.work.outdated()
      } else if (report.isAsleep !== undefined) lane.work.reported(!report.isAsleep, watch.askedAt)
      else if (report.loaded !== undefined && lane.model !== "") lane.work.reported(report.loaded.has(lane.model), watch.askedAt)
    }
  }
}

const nobody: OwnLoad = { endpoint: 0, byLane: new Map() }

const figuresFor = ({ model }: Lane, { all, byModel }: SignalReport): LoadFigures => {
  const its = byModel.get(model)
  if (its === undefined) return all
  return {
    running: its.running ?? all.running,
    waiting: its.waiting ?? all.waiting,
    kvUsed: its.kvUsed ?? all.kvUsed,
    slots: its.slots ?? all.slots,
    cacheTokens: its.cacheTokens ?? all.cacheTokens
  }
}
