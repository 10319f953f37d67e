/** A carrier over a fake fleet and an engine that does what a test says, on the test clock. */
import { EventEmitter } from "node:events"
import type { ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { layer as balancerLayer } from "../../src/balancing/BalancerLive.ts"
import type { StickyKey } from "../../src/balancing/StickyKey.ts"
import { Settings } from "../../src/config/Settings.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { monotonicOf } from "../../src/endpoint/Monotonic.ts"
import { type Attempt, Exchange } from "../../src/exchange/Exchange.ts"
import { endedUnanswered, type Failure, type FailureKind, failure } from "../../src/exchange/Failure.ts"
import { Observer } from "../../src/exchange/Observer.ts"
import { Carrier, type CarryRequest, outcomeOf, type Refused } from "../../src/proxy/Carrier.ts"
import { layer as carrierLayer, Engines } from "../../src/proxy/CarrierLive.ts"
import { type Engine, engineOf, type Sending } from "../../src/proxy/Engine.ts"
import type { Inspection } from "../../src/routing/Router.ts"
import { candidatesOf, configOf, type FakeFields, FakeFleet } from "../balancing/fakes.ts"

/** What one attempt comes to. */
export type Fate =
  | { readonly _tag: "answers"; readonly status: number }
  | { readonly _tag: "says"; readonly status: number; readonly body: string; readonly headers: ReadonlyArray<string> }
  | { readonly _tag: "fails"; readonly failure: Failure; readonly committed: boolean; readonly told: number }
  /** Its client was kept waiting by an opening before it failed without a head. */
  | { readonly _tag: "opensAndFails"; readonly failure: Failure }
  /** Its translator wants the same endpoint asked once more. */
  | { readonly _tag: "asksAgain" }
  | { readonly _tag: "hangs" }
  | { readonly _tag: "dies" }

export const answers = (status = 200): Fate => ({ _tag: "answers", status })
/** An answer with a body, told as engines tell one. */
export const says = (status: number, body = "", headers: ReadonlyArray<string> = []): Fate => ({ _tag: "says", status, body, headers })
/** `told`: the status that the client saw, when it was committed. */
export const fails = (kind: FailureKind, committed = false, told = 200): Fate => ({
  _tag: "fails",
  failure: failure(kind, kind),
  committed,
  told
})
export const opensAndFails = (kind: FailureKind): Fate => ({ _tag: "opensAndFails", failure: failure(kind, kind) })
export const asksAgain: Fate = { _tag: "asksAgain" }
export const hangs: Fate = { _tag: "hangs" }
export const dies: Fate = { _tag: "dies" }

export class FakeResponse extends EventEmitter {
  headersSent = false
  statusCode = 200
  destroyed = false
  socket = null

  written = ""
  headers: ReadonlyArray<string> = []

  writeHead(status: number, headers: ReadonlyArray<string>): void {
    this.headersSent = true
    this.statusCode = status
    this.headers = headers
  }

  write(bytes: Buffer): boolean {
    this.written += bytes.toString()
    return true
  }

  ended = false

  end(bytes?: Buffer): void {
    if (bytes !== undefined) this.write(bytes)
    this.ended = true
  }

  destroy(): void {
    this.destroyed = true
  }
}

/** The carrier as effects: interruption aborts. */
export const carrying = Effect.map(Carrier, ({ start }) => ({
  carry: (request: CarryRequest): Effect.Effect<void, Refused> =>
    Effect.callback((resume) => {
      const running = start(request, (end) => {
        request.exchange.settle(outcomeOf(end))
        resume(end._tag === "refused" ? Effect.fail(end) : Effect.void)
      })
      return Effect.sync(() => {
        request.exchange.settle(running.abort())
      })
    })
}))

export class Scene {
  readonly fleet = new FakeFleet()
  /** By endpoint name; the usual fate is a good answer. */
  readonly fates = new Map<string, Fate | ((nth: number) => Fate)>()
  readonly sent: Array<Sending> = []
  readonly dispatched: Array<string> = []
  readonly ended: Array<Attempt> = []
  readonly #config: ReturnType<typeof configOf>

  constructor(proxy = "", traffic = "") {
    this.#config = configOf(proxy, "", traffic)
  }

  add(name: string, fields?: FakeFields) {
    return this.fleet.add(name, fields)
  }

  /** Attempts so far, as endpoint names. */
  get tried(): ReadonlyArray<string> {
    return this.sent.map(({ endpoint }) => endpoint.name)
  }

  readonly #engine = (name: "olla" | "sherpa"): Engine =>
    engineOf(
      name,
      (sending) =>
        Effect.suspend(() => {
          this.sent.push(sending)
          const given = this.fates.get(sending.endpoint.name) ?? answers()
          const fate = typeof given === "function" ? given(this.tried.filter((each) => each === sending.endpoint.name).length) : given
          const response = sending.response as unknown as FakeResponse
          switch (fate._tag) {
            case "answers":
              sending.attempt.status = fate.status
              sending.answered()
              response.headersSent = true
              response.statusCode = fate.status
              return Effect.succeed(undefined)
            case "says": {
              const { attempt } = sending
              attempt.status = fate.status
              attempt.timings.sent = attempt.timings.headers = performance.now()
              sending.answered()
              const translator = sending.translatorOf(fate.status, fate.body.length)
              const head = { status: fate.status, headers: fate.headers }
              translator?.head(head)
              const said =
                translator === undefined
                  ? { head, bytes: Buffer.from(fate.body) }
                  : (translator.push(Buffer.from(fate.body)) ?? translator.end())
              if (said?.elsewhere !== undefined) return Effect.fail(said.elsewhere)
              if (said?.head !== undefined) response.writeHead(said.head.status, said.head.headers)
              response.end(said?.bytes)
              return Effect.succeed(undefined)
            }
            case "fails":
              // They had all of the request.
              if (endedUnanswered(fate.failure.kind)) sending.attempt.timings.sent = performance.now()
              if (fate.committed) {
                sending.attempt.status = 200
                sending.attempt.timings.headers = performance.now()
                sending.answered()
                sending.attempt.isCommitted = true
                response.headersSent = true
                response.statusCode = fate.told
              }
              return Effect.fail(fate.failure)
            case "opensAndFails":
              response.headersSent = true
              return Effect.fail(fate.failure)
            case "asksAgain":
              sending.attempt.status = 400
              Object.assign(sending.attempt.timings, { sent: 1, headers: 2, firstByte: 3, lastByte: 4 })
              return Effect.succeed({ target: "/x", body: [], headers: [], answer: undefined } as const)
            case "hangs":
              return Effect.never
            case "dies":
              return Effect.die(new Error("a bug"))
          }
        }),
      Effect.runFork
    )

  get layer(): Layer.Layer<Carrier> {
    const settings = Settings.layerOf(this.#config)
    const fleet = Layer.effect(
      Fleet,
      Effect.map(Clock.Clock, (clock) => {
        this.fleet.clock = () => monotonicOf(clock)
        return this.fleet.service
      })
    )
    const engines = Layer.succeed(Engines, { byName: (name) => this.#engine(name === "sherpa" ? "sherpa" : "olla") })
    const observer = Layer.succeed(Observer, {
      dispatched: (_exchange, attempt) => this.dispatched.push(attempt.endpointName),
      attemptEnded: (_exchange, attempt) => this.ended.push(attempt),
      ended: () => {}
    })
    return carrierLayer.pipe(Layer.provide(balancerLayer), Layer.provide(Layer.mergeAll(settings, fleet, engines, observer)))
  }

  /** Everybody, who calls the model so. */
  candidates(nativeName: string) {
    return candidatesOf(this.fleet.endpoints, nativeName)
  }

  request(
    some: Partial<Pick<CarryRequest, "candidates" | "nextChoice" | "dialect" | "rawHeaders" | "bodySize">> & {
      readonly sticky?: StickyKey
      readonly method?: string
      readonly inspection?: Partial<Inspection>
      readonly among?: ReadonlyArray<Endpoint>
    } = {}
  ): CarryRequest & { readonly response: ServerResponse } {
    const exchange = new Exchange({
      id: "an-id",
      method: some.method ?? "POST",
      path: "/olla/proxy/x",
      query: "",
      peer: "127.0.0.1",
      clientIp: "127.0.0.1",
      startedAt: 0,
      accepted: performance.now()
    })
    return {
      exchange,
      target: "/x",
      rawHeaders: some.rawHeaders ?? ["Host", "front"],
      trustedPeer: false,
      body: [],
      bodySize: some.bodySize ?? 0,
      inspection: { model: "", spelling: "", field: "none", stream: undefined, capabilities: [], ...some.inspection },
      candidates: some.candidates ?? candidatesOf(some.among ?? this.fleet.endpoints),
      ...(some.nextChoice === undefined ? {} : { nextChoice: some.nextChoice }),
      sticky: some.sticky,
      dialect: some.dialect,
      refusesRedirects: false,
      replyHeaders: [],
      response: new FakeResponse() as unknown as ServerResponse,
      bodyTaken: () => {}
    }
  }
}

export const refusedOf = (exit: Exit.Exit<void, Refused>): Refused | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error
  return undefined
}
