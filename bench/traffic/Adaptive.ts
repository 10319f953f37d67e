/** Olla's own choice, below the simulations' clock: its lanes, its costs, its memory of prompts; its waiting line where hosts have limits. */
import { Adaptive } from "../../src/balancing/adaptive/Adaptive.ts"
import type { Claim } from "../../src/balancing/Claim.ts"
import { Lease } from "../../src/balancing/Lease.ts"
import { WaitingLine } from "../../src/balancing/WaitingLine.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { Lane } from "../../src/endpoint/lane/Lane.ts"
import { Lanes } from "../../src/endpoint/lane/Lanes.ts"
import type { LaneReport } from "../../src/endpoint/lane/LaneWork.ts"
import { PrefixTable } from "../../src/endpoint/lane/PrefixTable.ts"
import { goesFirst, pushesOut, residentsOf, Swap } from "../../src/endpoint/lane/Swap.ts"
import { SignalWatch } from "../../src/endpoint/SignalWatch.ts"
import type { Candidate } from "../../src/routing/Router.ts"
import type { Dispatcher, MakeDispatcher } from "./Dispatchers.ts"
import { Random } from "./Random.ts"
import type { Asked, Host, World } from "./World.ts"

/** Milliseconds between two looks at what a server tells of itself. */
const signalsEvery = 2_000
/** Blocks of a machine in one of Olla's: 64 tokens and 256. */
const blocksInOne = 4

export interface AdaptiveOptions {
  /** What servers tell: their load as it is, always the same, or nothing. */
  readonly metrics: "live" | "frozen" | "none"
  /** `max_concurrent` of the endpoints; 0: none. */
  readonly limit: number
}

/** What an endpoint is to a lane and to the choice. */
const endpointOf = (world: World, { options }: Host, index: number, limit: number, random: Random, loaded: () => void): Endpoint => {
  let inFlight = 0
  const endpoint = {
    name: `host-${index}`,
    url: `http://host-${index}`,
    priority: 100,
    spec: { weight: 1, maxConcurrent: limit, maxResident: options.maxResident ?? 0, labels: {} },
    models: [],
    profile: { promptCacheTokens: 400_000 },
    get inFlight() {
      return inFlight
    },
    enter: () => void inFlight++,
    leave: () => void inFlight--
  }
  const port = {
    now: world.time.now,
    policy: () => ({ failures: 3, duration: 10_000, maxDuration: 300_000, slowStart: 0, missingFor: 30_000 }),
    random: random.next,
    turned: () => {},
    loaded,
    missed: () => {},
    rested: () => {}
  }
  return Object.assign(endpoint, { lanes: new Lanes(endpoint as never, port) }) as unknown as Endpoint
}

/** Of Olla's blocks two numbers each. */
const hashesOf = (blocks: ReadonlyArray<number>): Uint32Array => {
  const hashes = new Uint32Array(2 * Math.floor(blocks.length / blocksInOne))
  for (let n = 0; n < hashes.length / 2; n++) {
    const block = blocks[(n + 1) * blocksInOne - 1] as number
    hashes[2 * n] = block % 0x1_0000_0000
    hashes[2 * n + 1] = Math.floor(block / 0x1_0000_0000)
  }
  return hashes
}

class AdaptiveDispatcher implements Dispatcher {
  readonly name: string
  readonly #world: World
  readonly #options: AdaptiveOptions
  readonly #endpoints: ReadonlyArray<Endpoint>
  readonly #adaptive: Adaptive
  readonly #leases = new Map<Asked, Lease>()
  readonly #line: WaitingLine<Asked>
  readonly #swaps: ReadonlyArray<Swap>
  #asksAgain = false
  readonly #tellings: ReadonlyArray<Telling>

  constructor(name: string, world: World, options: AdaptiveOptions) {
    const random = new Random(7)
    this.name = name
    this.#world = world
    this.#options = options
    this.#endpoints = world.hosts.map((host, index) => endpointOf(world, host, index, options.limit, random, () => this.#lookAt(index)))
    this.#adaptive = new Adaptive({
      now: world.time.now,
      random: random.next,
      prefixes: new PrefixTable(() => 32 * 1024 * 1024),
      seed: [1, 2]
    })
    this.#swaps = world.hosts.map(() => new Swap())
    this.#tellings = world.hosts.map(() => ({ running: 0, waiting: 0, watch: new SignalWatch(), ended: 0 }))
    this.#line = new WaitingLine(() => ({ mostWaiting: 256, mostOfClient: 64 }))
    for (const endpoint of this.#endpoints) for (const model of world.models) endpoint.lanes.of(model)
    this.#lookAtSignals()
  }

  #laneOf(index: number, model: string): Lane {
    return (this.#endpoints[index] as Endpoint).lanes.of(model)
  }

  arrived(asked: Asked): void {
    if (this.#dispatch(asked)) return
    const wish = { client: asked.client, urgency: "normal", cost: asked.promptTokens + 256, bytes: 0 } as const
    const ticket = this.#line.join(asked, wish, this.#world.time.now())
    // Who is refused never gets a first token.
    if (typeof ticket !== "string") this.#serve()
  }

  /** Whoever can be served, in the order of the line. */
  #serve(): void {
    const now = this.#world.time.now()
    for (const ticket of this.#line.inOrder(now))
      if (this.#dispatch(ticket.holder)) this.#line.serve(ticket)
      else this.#want(ticket.holder, now)
    // Whoever waits for a swap asks again before it is forgotten that he does.
    if (this.#line.size > 0 && !this.#asksAgain) {
      this.#asksAgain = true
      this.#world.time.after(1_000, () => {
        this.#asksAgain = false
        this.#serve()
      })
    }
  }

  #want({ model }: Asked, now: number): void {
    for (const [index, { spec }] of this.#endpoints.entries())
      if (spec.maxResident > 0) (this.#swaps[index] as Swap).want(this.#laneOf(index, model), now)
  }

  #isUsable(index: number, { model }: Asked): boolean {
    const endpoint = this.#endpoints[index] as Endpoint
    const { maxConcurrent, maxResident } = endpoint.spec
    if (maxConcurrent > 0 && endpoint.inFlight >= maxConcurrent) return false
    const { inFlight } = endpoint
    const server = { most: maxResident, inFlight, residents: residentsOf(endpoint.lanes) }
    return (this.#swaps[index] as Swap).admits(endpoint.lanes.of(model), server, this.#world.time.now())
  }

  /** False: nobody can be asked now. */
  #dispatch(asked: Asked): boolean {
    const candidates: Array<Candidate> = []
    for (const [index, endpoint] of this.#endpoints.entries())
      if (this.#isUsable(index, asked)) candidates.push({ endpoint, nativeName: asked.model } as Candidate)
    if (candidates.length === 0) return false
    const hashes = hashesOf(asked.blocks)
    const claim = {
      usesLanes: true,
      stream: true,
      candidates,
      prompt: { tokens: asked.promptTokens, mostTokens: undefined, blocks: () => hashes },
      tierOf: () => 0
    } as unknown as Claim
    const chosen = this.#adaptive.choose(candidates, claim) as Candidate
    const index = this.#endpoints.indexOf(chosen.endpoint)
    const lane = this.#laneOf(index, asked.model)
    this.#pushOut(index, lane)
    const lease = new Lease(chosen, lane, this.#adaptive.reason)
    this.#adaptive.begin(lease, lane, claim)
    lease.stint = lane.work.begin(Math.max(0, asked.promptTokens - lease.cached), Math.round(lane.work.answer), true)
    this.#leases.set(asked, lease)
    this.#world.dispatch(asked, index)
    return true
  }

  /** A load for which there is no room pushes out the model that was used longest ago: known before the server says so. */
  #pushOut(index: number, lane: Lane): void {
    const endpoint = this.#endpoints[index] as Endpoint
    const { maxResident } = endpoint.spec
    if (!pushesOut(lane, { most: maxResident, inFlight: endpoint.inFlight, residents: residentsOf(endpoint.lanes) })) return
    const name = goesFirst(endpoint.lanes)
    if (name !== undefined) endpoint.lanes.of(name).work.reported(false, this.#world.time.now())
  }

  firstToken(asked: Asked): void {
    this.#leases.get(asked)?.stint?.firstByte(true)
  }

  ended(asked: Asked): void {
    const lease = this.#leases.get(asked)
    this.#leases.delete(asked)
    lease?.stint?.end(true)
    lease?.release()
    ;(this.#tellings[asked.host] as Telling).ended++
    lease?.lane?.work.answered(asked.answerTokens)
    this.#serve()
  }

  #lookAtSignals(): void {
    const { time, hosts, under } = this.#world
    for (let index = 0; index < hosts.length; index++) this.#lookAt(index)
    if (under > 0 || time.now() < 60_000) time.after(signalsEvery, () => this.#lookAtSignals())
  }

  #lookAt(index: number): void {
    const now = this.#world.time.now()
    const { machine, options } = this.#world.hosts[index] as Host
    const { metrics } = this.#options
    for (const { model, work } of (this.#endpoints[index] as Endpoint).lanes) {
      if (options.maxResident !== undefined) work.reported(machine.memory.listed.includes(model), now)
      else if (metrics !== "none") work.report = this.#told(index)
    }
  }

  /** What a server of vLLM's kind says of its load, as the lanes of its endpoint get it. */
  #told(index: number): LaneReport {
    const now = this.#world.time.now()
    const { machine } = this.#world.hosts[index] as Host
    const told = this.#tellings[index] as Telling
    // Whatever it says after the first minute, it says for ever.
    if (this.#options.metrics === "live" || now < 60_000) {
      told.running = machine.running.size
      told.waiting = machine.waiting.length
    }
    const { running, waiting, watch, ended } = told
    const figures = { running, waiting, kvUsed: undefined, slots: undefined, cacheTokens: undefined }
    const report = { all: figures, byModel: new Map(), loaded: undefined, isAsleep: undefined }
    watch.told(report, { askedAt: now, now, interval: signalsEvery }, ended, 0)
    const foreign = Math.max(0, running + waiting - (this.#endpoints[index] as Endpoint).inFlight)
    const { isFrozen, until } = watch
    return { running, waiting, kvUsed: undefined, slots: undefined, foreign: isFrozen ? 0 : foreign, at: now, until, isFrozen }
  }
}

/** What one server said last, and what is made of it. */
interface Telling {
  running: number
  waiting: number
  readonly watch: SignalWatch
  /** Attempts that have ended there. */
  ended: number
}

export const adaptiveWith =
  (name: string, options: Partial<AdaptiveOptions> = {}): MakeDispatcher =>
  (world) =>
    new AdaptiveDispatcher(name, world, { metrics: "live", limit: 0, ...options })
