/** What an engine is given for one attempt: URL, headers and body made for one endpoint, limits, and what it must tell. */
import type { ServerResponse } from "node:http"
import type { Lease } from "../balancing/Balancer.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import type { Attempt, Exchange } from "../exchange/Exchange.ts"
import { rewriteModel } from "../routing/ModelRewrite.ts"
import type { CarryRequest } from "./Carrier.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import type { PhaseTimeouts, Sending } from "./Engine.ts"
import { flushes } from "./FlushMode.ts"
import type { ReplyHead } from "./HeaderLines.ts"
import { headerValue } from "./HeaderRules.ts"
import { outboundHead } from "./Outbound.ts"
import { replyHead } from "./ReplyHeaders.ts"
import { outboundPath } from "./TargetUrl.ts"

const orDefault = (value: number, fallback: number): number => (value === 0 ? fallback : value)

/** A generation that is answered whole: backends send their headers when it is finished. */
const isWholeAnswer = ({ inspection, bodySize, rawHeaders }: CarryRequest): boolean => {
  if (inspection.stream === true || bodySize === 0) return false
  if (inspection.field !== "none") return true
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(headerValue(rawHeaders, "content-type"))
}

/** proxying.md 6 and B7. `firstSent`: `performance.now()` of the first dispatch. */
export const timeoutsOf = (proxy: OllaConfig["proxy"], request: CarryRequest, firstSent: number): PhaseTimeouts => {
  const set = proxy.response_header_timeout
  return {
    connect: orDefault(proxy.connection_timeout, 60_000),
    tls: orDefault(proxy.tls_handshake_timeout, 10_000),
    keepAlive: orDefault(proxy.connection_keep_alive, 30_000),
    // Where nobody set it, an answer that comes whole has all the time that there is.
    headers: set === undefined ? (isWholeAnswer(request) ? 0 : 30_000) : set < 0 ? 0 : orDefault(set, 30_000),
    response: proxy.response_timeout > 0 ? firstSent + proxy.response_timeout : 0,
    idle: proxy.read_timeout
  }
}

interface Shared {
  readonly config: () => OllaConfig
  readonly hasBreakers: boolean
}

const sizeOf = (chunks: ReadonlyArray<Buffer>): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0)

export class AttemptSending implements Sending {
  readonly exchange: Exchange
  readonly attempt: Attempt
  readonly endpoint: Endpoint
  readonly method: string
  readonly path: string
  readonly headers: string
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly timeouts: PhaseTimeouts
  readonly translator: AnswerTranslator | undefined
  readonly response: ServerResponse
  readonly bufferSize: number
  readonly #config: OllaConfig
  readonly #hasBreakers: boolean
  readonly #request: CarryRequest
  readonly #held: Lease
  readonly #token: number | undefined

  /** `token`: how the breaker let it through; `firstSent`: `performance.now()` of the exchange's first dispatch. */
  constructor(
    shared: Shared,
    request: CarryRequest,
    held: Lease,
    attempt: Attempt,
    token: number | undefined,
    firstSent: number,
    spoken: Spoken | undefined
  ) {
    const config = shared.config()
    const { exchange, inspection } = request
    const { endpoint, nativeName } = held.candidate
    const rename = nativeName !== "" && nativeName !== inspection.spelling
    this.exchange = exchange
    this.attempt = attempt
    this.endpoint = endpoint
    this.method = exchange.method
    this.path = outboundPath(spoken?.target ?? request.target, endpoint.origin.basePath, endpoint.preservePath)
    this.body = spoken !== undefined ? spoken.body : rename ? rewriteModel(request.body, inspection, nativeName) : request.body
    this.bodySize = this.body === request.body ? request.bodySize : sizeOf(this.body)
    this.headers = outboundHead(request, endpoint, this.bodySize, spoken)
    this.timeouts = timeoutsOf(config.proxy, request, firstSent)
    this.translator = spoken?.answer?.()
    this.response = request.response
    this.bufferSize = config.proxy.stream_buffer_size
    this.#config = config
    this.#hasBreakers = shared.hasBreakers
    this.#request = request
    this.#held = held
    this.#token = token
  }

  reply(raw: ReadonlyArray<string>): ReplyHead {
    if (this.#hasBreakers) this.endpoint.breaker.succeed(this.#token)
    return replyHead(this.exchange, this.endpoint, raw, this.#request.replyHeaders, this.#config.server.cors.enabled)
  }

  relayed(): void {
    this.#held.release()
  }

  flushes(contentType: string): boolean {
    return flushes(this.#config.proxy.profile, contentType, this.#request.inspection.stream)
  }
}
