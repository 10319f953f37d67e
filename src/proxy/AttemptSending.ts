/** What an engine is given for one attempt: URL, headers and body made for one endpoint, limits, and what it must tell. */
import type { ServerResponse } from "node:http"
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import { failure } from "../exchange/Failure.ts"
import { rewriteModel } from "../routing/ModelRewrite.ts"
import { chunksFor } from "../routing/PromptHygiene.ts"
import type { Candidate } from "../routing/Router.ts"
import type { CarryRequest } from "./Carrier.ts"
import type { Deadlines } from "./client/Transport.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import { EarlyAnswer } from "./EarlyStream.ts"
import type { AttemptProgress, Sending } from "./Engine.ts"
import { flushes } from "./FlushMode.ts"
import type { ReplyHead } from "./HeaderLines.ts"
import { HeldAnswer, isRewordable, type Judge } from "./HeldAnswer.ts"
import { outboundHead } from "./Outbound.ts"
import { mayRefusePath } from "./PathRefusal.ts"
import { replyHead } from "./ReplyHeaders.ts"
import { outboundPath } from "./TargetUrl.ts"

const orDefault = (value: number, fallback: number): number => (value === 0 ? fallback : value)

/** How long the head of a good answer waits for its first byte where somebody else could be asked, in milliseconds. */
const headWait = 5_000

/** What of an attempt its limits depend on. */
export interface Timed {
  /** `performance.now()` of the exchange's first lease, from which `proxy.response_timeout` counts. */
  readonly firstLeased: number
  /** `performance.now()` of this one. */
  readonly leased: number
  /** Lanes are kept: whoever fails before the first byte may be replaced. */
  readonly usesLanes: boolean
  readonly stream: boolean
  /** Milliseconds that a stream's first byte may take; 0: no limit. */
  readonly firstToken: number
  /** Its model is to be loaded first, or being loaded. */
  readonly isCold: boolean
}

/** The limits of one attempt (docs/proxying.md). */
export const timeoutsOf = ({ proxy, traffic }: OllaConfig, timed: Timed): Deadlines => {
  const { firstLeased, leased, usesLanes, stream, firstToken, isCold } = timed
  const set = proxy.response_header_timeout
  const headers = set === undefined || set < 0 ? 0 : orDefault(set, 30_000)
  const firstByte = usesLanes && stream ? firstToken : 0
  const unhurried = (limit: number) => (limit > 0 && usesLanes && isCold ? Math.max(limit, traffic.cold_start_timeout) : limit)
  return {
    connect: orDefault(proxy.connection_timeout, 60_000),
    tls: orDefault(proxy.tls_handshake_timeout, 10_000),
    keepAlive: orDefault(proxy.connection_keep_alive, 30_000),
    // While a model loads or reads a long prompt nothing comes for minutes: no limit unless one is configured.
    headers: unhurried(headers),
    response: proxy.response_timeout > 0 ? firstLeased + proxy.response_timeout : 0,
    firstByte: firstByte > 0 ? leased + unhurried(firstByte) : 0,
    hold: usesLanes ? Math.max(headWait, unhurried(firstByte)) : 0,
    idle: proxy.read_timeout
  }
}

const sizeOf = (chunks: ReadonlyArray<Buffer>): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)

/** Its body is of no use, whatever it is. */
const redirected = (status: number): AnswerTranslator => {
  const end = { elsewhere: failure("redirected", `the endpoint answered with a redirect (status ${status})`) }
  return { head: () => undefined, push: () => end, end: () => end, fail: () => undefined }
}

const asItCame: Spoken = { target: "", body: [], headers: [], answer: undefined }
const identity = ["accept-encoding", "identity"]

/** Between its pieces comments may have to stand. */
const uncompressed = (spoken: Spoken = asItCame): Spoken =>
  spoken.headers.includes("accept-encoding") ? spoken : { ...spoken, headers: [...spoken.headers, ...identity] }

/** Whose attempt it is. */
export interface AttemptOwner extends AttemptProgress, Judge {
  /** Somebody else could be asked, if this endpoint turned out not to serve the path. */
  mayAskOther(): boolean
  /** An answer of this status is not passed on before it is known whether somebody else is asked. */
  withholds(status: number): boolean
}

export class AttemptSending implements Sending {
  readonly exchange: Exchange
  readonly attempt: Attempt
  readonly endpoint: Endpoint
  readonly method: string
  readonly path: string
  readonly headers: string
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly timeouts: Deadlines
  readonly needsBody: boolean
  readonly translator: AnswerTranslator | undefined
  readonly response: ServerResponse
  readonly bufferSize: number
  readonly #config: OllaConfig
  readonly #request: CarryRequest
  readonly #candidate: Candidate
  readonly #spoken: Spoken | undefined
  readonly #told: AttemptOwner

  constructor(
    config: OllaConfig,
    request: CarryRequest,
    candidate: Candidate,
    attempt: Attempt,
    timed: Timed,
    spoken: Spoken | undefined,
    told: AttemptOwner
  ) {
    const { exchange, inspection } = request
    const { endpoint, nativeName } = candidate
    const rename = nativeName !== "" && nativeName !== inspection.spelling
    this.exchange = exchange
    this.attempt = attempt
    this.endpoint = endpoint
    this.method = exchange.method
    this.path = outboundPath(spoken?.target ?? request.target, endpoint.origin.basePath, endpoint.preservePath, endpoint.profile?.paths)
    attempt.target = this.path
    const body = request.original === undefined ? request.body : chunksFor({ chunks: request.body, original: request.original }, endpoint)
    this.body = spoken !== undefined ? spoken.body : rename ? rewriteModel(body, inspection, nativeName) : body
    this.bodySize = this.body === request.body ? request.bodySize : sizeOf(this.body)
    const worded = request.early === undefined ? spoken : uncompressed(spoken)
    this.headers = outboundHead(request, endpoint, this.bodySize, worded, attempt.spanId)
    request.early?.attempt()
    this.timeouts = timeoutsOf(config, timed)
    this.needsBody = timed.usesLanes && inspection.model !== ""
    this.translator = spoken?.answer?.()
    this.response = request.response
    this.bufferSize = config.proxy.stream_buffer_size
    this.#config = config
    this.#request = request
    this.#candidate = candidate
    this.#spoken = spoken
    this.#told = told
  }

  reply(raw: ReadonlyArray<string>): ReplyHead {
    const { cors, server_timing } = this.#config.server
    return replyHead(this.exchange, this.endpoint, raw, this.#request.replyHeaders, cors.enabled, server_timing)
  }

  translatorOf(status: number, length: number): AnswerTranslator | undefined {
    const { early } = this.#request
    const translator = this.#translatorOf(status, length)
    return early === undefined || translator === undefined ? translator : new EarlyAnswer(early, translator, this.exchange)
  }

  #translatorOf(status: number, length: number): AnswerTranslator | undefined {
    const { early } = this.#request
    // Whoever was kept waiting has the head of a stream: what comes is told in it.
    const isWaiting = this.translator === undefined && (this.response.headersSent || early !== undefined)
    const waited = isWaiting ? this.#request.waited?.(this.#candidate) : undefined
    const otherwise = this.#spoken === undefined && waited === undefined && mayRefusePath(status, length) ? this.#otherwise() : undefined
    const translator = this.translator ?? waited ?? otherwise
    // A client that has got a beginning is told in its stream.
    const isTelling = this.response.headersSent && early?.isAlone !== true
    if (status > 300 && status < 400 && this.#request.refusesRedirects && !isTelling) return redirected(status)
    const refusesPath = mayRefusePath(status, length) && this.#told.mayAskOther()
    const maySpeakOtherwise = this.#spoken?.maySpeakOtherwise === true || otherwise !== undefined
    // Whoever has been kept waiting is told of an error in the middle of a stream: once its dialect has been asked, it is told.
    const isTold = isTelling && maySpeakOtherwise && isRewordable(status)
    const judge = !isTold && this.#told.withholds(status) ? this.#told : undefined
    if (!refusesPath && judge === undefined) return translator
    return new HeldAnswer({
      translator,
      maySpeakOtherwise,
      model: this.#request.inspection.spelling,
      mayRefusePath: refusesPath,
      judge
    })
  }

  #otherwise(): AnswerTranslator | undefined {
    return this.response.headersSent ? undefined : this.#request.otherwise?.(this.#candidate)
  }

  answered(): void {
    this.#told.answered()
  }

  bodyTaken(once: boolean): void {
    this.#told.bodyTaken(once)
  }

  relayed(): void {
    this.#told.relayed()
  }

  flushes(contentType: string): boolean {
    return flushes(this.#config.proxy.profile, contentType, this.#request.inspection.stream)
  }
}
