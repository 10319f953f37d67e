/**
 * One client request from accept to last byte: its identity, the times of its phases, its attempts and the one outcome.
 * Mutable on purpose and owned by one request: every phase writes its own fields once, telemetry reads them at the end.
 */
import { performance } from "node:perf_hooks"
import type { AttemptVerdict } from "./AttemptVerdict.ts"
import type { Failure } from "./Failure.ts"

/** Of the whole exchange, in `performance.now()` milliseconds; 0 while a phase has not been reached. */
export interface ExchangeTimings {
  accepted: number
  /** The request body is in. */
  received: number
  routed: number
  /** The outcome stood. */
  settled: number
  /** The client's socket had taken the last byte, or was gone. */
  ended: number
}

/** Of one attempt, in `performance.now()` milliseconds; 0 while a phase has not been reached. */
export interface AttemptTimings {
  leased: number
  /** The request was made, and its sending began. */
  started: number
  /** A connection was there, TLS included; on a kept one, the lease. */
  connected: number
  /** The system had taken the request's last byte, or the answer's first came before that. */
  sent: number
  /** The answer's header block is in. */
  headers: number
  firstByte: number
  lastByte: number
}

/** What routing said, in the words of the `X-Olla-Routing-*` headers. */
export interface RoutingVerdict {
  readonly strategy: "strict" | "optimistic" | "discovery" | "alias"
  readonly action: "routed" | "fallback" | "rejected"
  /** Empty: no reason header. */
  readonly reason: string
  /** 200, or the status of the rejection. */
  readonly status: number
}

/** An alias led on to another model. */
export interface ModelMove {
  /** As configured, and so are the targets. */
  readonly alias: string
  readonly from: string
  readonly to: string
  readonly reason: "unavailable" | "saturated" | "rate_limited" | "failed" | "context"
}

/** A time that it spent waiting for somebody who can take it, in `performance.now()` milliseconds. */
export interface Wait {
  readonly from: number
  /** 0 while it waits. */
  to: number
}

const noWaits: ReadonlyArray<Wait> = []

export interface StickyVerdict {
  readonly outcome: "hit" | "miss" | "repin" | "disabled"
  readonly source: "session_header" | "prefix_hash" | "auth_header" | "ip" | "none"
}

/** The endpoint of an attempt, as far as an exchange knows it: the object is the same for all attempts of one endpoint. */
export interface AttemptedEndpoint {
  /** Base URL. */
  readonly url: string
  readonly name: string
}

/** Whom an attempt asks, and for what. */
export interface AttemptTarget {
  readonly endpoint: AttemptedEndpoint
  readonly endpointName: string
  readonly endpointType: string
  /** Name of the profile whose metrics extraction applies; empty: none. */
  readonly profileName: string
  /** The model's name on that endpoint; empty without a model. */
  readonly model: string
}

/** Who learns from an attempt how fast its endpoint is. */
export interface AttemptListener {
  /** The answer's body begins. `ok`: it is an answer, not an error. */
  readonly firstByte: (ok: boolean) => void
  /** It had so many tokens, where the backend says so; told after its end. */
  readonly wrote: (tokens: number) => void
}

/** One try on one endpoint. */
export class Attempt implements AttemptTarget {
  readonly endpoint: AttemptedEndpoint
  readonly endpointName: string
  readonly endpointType: string
  readonly profileName: string
  readonly model: string
  readonly timings: AttemptTimings
  /** `performance.now()` milliseconds; 0 while it is under way. */
  ended = 0
  /** HTTP status of the answer; 0 while there is none. */
  status = 0
  /** Body bytes accepted by the client's socket. */
  bytes = 0
  failure: Failure | undefined = undefined
  /** What the client was sent last of a relayed answer; frames without payload do not count. */
  lastPiece: Uint8Array | string = ""
  /** Something of the backend's answer has been handed to the client: nobody else can answer any more. */
  isCommitted = false
  /** It goes out on a kept connection. */
  isReused = false
  /** Of its span; empty: none so far. */
  spanId = ""
  /** Path and query as they were asked for there; empty: it was not sent. */
  target = ""
  /** The one trial of a breaker that is half open. */
  isTrial = false
  /** Why this endpoint, in the words of `X-Olla-Pick`; empty: nobody says. */
  pick = ""
  /** Milliseconds to the first byte as they were expected; 0: nobody looked. */
  cost = 0
  /** Leading tokens of the prompt that were probably kept there, and all of them; 0: nobody looked. */
  cachedTokens = 0
  promptTokens = 0
  /** Whether the model was in memory there, and its condition, when it was chosen; empty: no such thing is kept. */
  residency = ""
  laneState = ""
  /** What its end says of the model there; absent while it is under way, and where nobody judges. */
  verdict: AttemptVerdict | undefined = undefined
  /** CPU time of translating request and answer, in milliseconds; only where the exchange is sampled. */
  translating = 0
  /** When a kept connection was found dead and a fresh one was opened, `performance.now()` milliseconds; 0: that did not happen. */
  reconnected = 0

  /** Absent: nobody wants to know. */
  listener: AttemptListener | undefined = undefined

  /** `leased`: when the endpoint was leased, `performance.now()` milliseconds. */
  constructor(target: AttemptTarget, leased: number) {
    this.endpoint = target.endpoint
    this.endpointName = target.endpointName
    this.endpointType = target.endpointType
    this.profileName = target.profileName
    this.model = target.model
    this.timings = { leased, started: 0, connected: 0, sent: 0, headers: 0, firstByte: 0, lastByte: 0 }
  }

  /** Its sending begins, at `performance.now()` milliseconds. `fresh`: once more, since a kept connection was found dead. */
  start(at: number, fresh: boolean): void {
    const { timings } = this
    if (timings.started === 0) timings.started = at
    if (!fresh) return
    timings.connected = timings.sent = 0
    this.isReused = false
    this.reconnected = at
  }

  /** A kept connection carries it. */
  reuse(): void {
    this.isReused = true
    this.timings.connected = this.timings.leased
  }

  /** A connection has been made for it. */
  connect(): void {
    this.timings.connected = performance.now()
  }

  /** The request is out, or is being answered before it is; told more than once, the first counts. */
  requestSent(): void {
    if (this.timings.sent === 0) this.timings.sent = performance.now()
  }

  /** Bytes of the answer's body are here; told with each of them, the first counts. */
  bytesCame(): void {
    if (this.timings.firstByte > 0) return
    this.timings.firstByte = performance.now()
    this.listener?.firstByte(this.status >= 200 && this.status <= 299)
  }

  /**
   * The same endpoint is asked once more, in other words: what came of the first answer is no part of this attempt's record, and the
   * time that it took is time in which the backend was waited for.
   */
  restart(): void {
    const { timings } = this
    timings.headers = timings.firstByte = timings.lastByte = 0
    this.status = 0
    this.bytes = 0
    this.isCommitted = false
    this.lastPiece = ""
  }
}

export type Outcome =
  /** The answer was relayed to its end, whatever its status. */
  | { readonly _tag: "completed"; readonly status: number }
  /** The client left; `status` is the backend's, or 499 when there was none. */
  | {
      readonly _tag: "cancelled"
      readonly status: number
      readonly committed: boolean
      /** It was not the client who left: his key was revoked, and what ran with it ended. */
      readonly reason?: "key_revoked"
    }
  /** Nothing could be relayed, or the relay broke off (`committed`). */
  | { readonly _tag: "failed"; readonly status: number; readonly failure: Failure; readonly committed: boolean }
  /** Turned away before an endpoint was chosen: limits, routing, bad request. */
  | {
      readonly _tag: "rejected"
      readonly status: number
      readonly reason: string
      /** For the log: what is near a name that nobody has, who cannot be asked why. */
      readonly detail?: string
    }

export interface TranslatorUse {
  readonly name: string
  readonly mode: "passthrough" | "translation"
  readonly fallbackReason: string
  /** The client's dialect, and the one that the endpoint of the last attempt was asked in; empty: nobody was asked. */
  readonly client: string
  readonly backend: string
  /** Names of what was left out of the request, comma separated. */
  readonly dropped: string
}

/** Who asks, where keys say that. */
export interface ExchangeClient {
  /** Of its entry; `anonymous`: nobody said. */
  readonly name: string
  readonly isAnonymous: boolean
  /** Highest class that its requests may have where they wait. */
  readonly class: "high" | "normal" | "low"
  /** Headers, lower-cased, that say who it is, and go no further; beside those that never do. */
  readonly drops: ReadonlySet<string>
}

/** Whose share a request takes: of the name of its key, so that an office behind one address is not one client. */
export const clientOf = ({ client, clientIp }: Pick<Exchange, "client" | "clientIp">): string =>
  client === undefined || client.isAnonymous ? clientIp : client.name

export class Exchange {
  /** Adopted or made when the headers have been looked at. */
  id: string
  readonly method: string
  /** As received, before prefix stripping, without query. */
  readonly path: string
  /** As received, without `?`. */
  readonly query: string
  /** TCP peer, no port, IPv6 without brackets. */
  readonly peer: string
  /** The peer, or what a trusted proxy says. */
  readonly clientIp: string
  /** Epoch milliseconds of the accept, for log records. */
  readonly startedAt: number
  readonly timings: ExchangeTimings
  /** Client-facing model name, lower-cased; empty: none was found. */
  model = ""
  /** How the client speaks to this listener. */
  scheme: "http" | "https" = "http"
  /** `undefined`: nobody is asked for a key. */
  client: ExchangeClient | undefined = undefined
  /** Whom a trusted proxy names; empty: nobody. */
  user = ""
  /** It counts among those of its client that are under way. */
  holdsPlace = false
  /** Tokens taken from its client's limits before anybody knew how many it would be. */
  reserved = 0
  /** What the client calls itself, for the log; empty: nobody logs, or it says nothing. */
  userAgent = ""
  /** The client's, where it is valid and continued; empty: none. */
  traceparent = ""
  /** Of the trace that it belongs to, the client's or our own; empty: none. */
  traceId = ""
  /** Of its own span, and of the one that it links to; empty: none. */
  spanId = ""
  linked = ""
  /** Backends are told that it is traced, and it is sent at its end. */
  isSampled = false
  /** Its spans are on their way. */
  isExported = false
  /** What decided on its sampling, 0 to 1; it is part of the trace's id where there is one. */
  randomness = 0
  /** The body's `stream` flag; `undefined`: not said. */
  stream: boolean | undefined = undefined
  /** Set on translator routes, and where something else is translated. */
  translator: TranslatorUse | undefined = undefined
  verdict: RoutingVerdict | undefined = undefined
  /** Of an alias: the target that the last attempt was for, as configured; empty: no alias was asked for, or nobody. */
  servedModel = ""
  /** The last time that a chain of models led on. */
  moved: ModelMove | undefined = undefined
  /** What of the prompt was made equal for the caches of servers; empty: nothing. */
  hygiene = ""
  sticky: StickyVerdict | undefined = undefined
  sessionId = ""
  candidates = 0
  requestBytes = 0
  readonly attempts: Array<Attempt> = []
  #waits: ReadonlyArray<Wait> = noWaits
  /** How urgent it was when it waited; empty: it did not. */
  urgency: "" | "high" | "normal" | "low" = ""
  #outcome: Outcome | undefined = undefined
  /** Somebody will read usage figures from the answer: only then are its head and tail kept. */
  wantsUsage = true
  /** Head and tail of the answer's body, kept for usage figures; read only after the end. */
  readonly kept: {
    head: Uint8Array | undefined
    tail: Array<Uint8Array>
    /** Of the answer, names and values by turns. */
    headers: ReadonlyArray<string>
    contentType: string
  } = {
    head: undefined,
    tail: [],
    headers: [],
    contentType: ""
  }

  constructor(fields: {
    readonly id: string
    readonly method: string
    readonly path: string
    readonly query: string
    readonly peer: string
    readonly clientIp: string
    readonly startedAt: number
    readonly accepted: number
  }) {
    this.id = fields.id
    this.method = fields.method
    this.path = fields.path
    this.query = fields.query
    this.peer = fields.peer
    this.clientIp = fields.clientIp
    this.startedAt = fields.startedAt
    this.timings = { accepted: fields.accepted, received: 0, routed: 0, settled: 0, ended: 0 }
  }

  /** How it ended; `undefined` while it is under way. */
  get outcome(): Outcome | undefined {
    return this.#outcome
  }

  /** The one end of the exchange. False: it has ended before, and this changes nothing. */
  settle(outcome: Outcome): boolean {
    if (this.#outcome !== undefined) return false
    this.#outcome = outcome
    this.timings.settled = performance.now()
    return true
  }

  /** How often and how long it waited for somebody who can take it. */
  get waits(): ReadonlyArray<Wait> {
    return this.#waits
  }
  /** It has waited, and nobody has taken it since. */
  get isInLine(): boolean {
    const last = this.#waits.at(-1)
    return last !== undefined && (last.to === 0 || last.from >= (this.lastAttempt?.timings.leased ?? 0))
  }
  /** Milliseconds that it has waited, up to `at`. */
  waited(at: number): number {
    let sum = 0
    for (const { from, to } of this.#waits) sum += Math.max(0, (to === 0 ? at : to) - from)
    return sum
  }
  /** `at`: `performance.now()` milliseconds. */
  beginWait(at: number): void {
    if (this.#waits.at(-1)?.to !== 0) this.#waits = [...this.#waits, { from: at, to: 0 }]
  }
  /** Somebody takes it. */
  endWait(at: number): void {
    const last = this.#waits.at(-1)
    if (last?.to === 0) last.to = at
  }

  get lastAttempt(): Attempt | undefined {
    return this.attempts[this.attempts.length - 1]
  }
}
