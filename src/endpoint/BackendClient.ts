/**
 * GETs to backends for probes and listings: redirects, credentials, TLS and body limits in one place. Never uses a proxy from the
 * environment, and never follows a redirect to another origin: the health of another server says nothing about this backend. Each
 * request has its own connection: a probe over a kept one would not notice a server that no longer accepts.
 */
import { gunzip } from "node:zlib"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Agent, type Dispatcher } from "undici"
import { isForWantOfDescriptors } from "./Descriptors.ts"
import { monotonicOf } from "./Monotonic.ts"
import { sharedLookup } from "./NameLookup.ts"
import type { Credentials, TlsOptions } from "./Origin.ts"
import { ownTraceparent } from "./OwnSpan.ts"

export interface BackendRequest {
  readonly url: string
  /** Set first; a configured header of the same name replaces them. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly credentials: Credentials
  readonly tls: TlsOptions | undefined
  /** Bytes, after decompression. */
  readonly maxBody: number
  /** `discard` reads up to `maxBody` and one second, whatever comes; `text` fails with what cannot be read whole. */
  readonly body: "discard" | "text"
}

export interface BackendAnswer {
  readonly status: number
  readonly retryAfter: string | undefined
  /** First value; by lower-cased name. */
  readonly header: (name: string) => string | undefined
  /** Milliseconds to the headers. */
  readonly latency: number
  /** Empty with `discard`. */
  readonly body: string
  /** The answer is a redirect to another origin, which is not followed. */
  readonly leadsAway?: boolean
}

/** A plain value: a backend that is down is routine. */
export interface BackendFailure {
  readonly _tag: "BackendFailure"
  /** `local`: this process could not even ask; nothing is learned of the backend. */
  readonly kind: "network" | "timeout" | "tooLarge" | "local"
  /** For status and log: no address, no secret. */
  readonly cause: string
  /** For the log. */
  readonly detail: string
  /** An answer had begun. */
  readonly answered: boolean
}

export class BackendClient extends Context.Service<
  BackendClient,
  {
    /** Interruption closes the connection. Time limits are the caller's. */
    readonly get: (request: BackendRequest) => Effect.Effect<BackendAnswer, BackendFailure>
  }
>()("olla/endpoint/BackendClient") {
  static readonly layer: Layer.Layer<BackendClient> = Layer.effect(
    BackendClient,
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      // They keep no connections, so that one whose certificates were replaced has nothing to close.
      const agents = new WeakMap<TlsOptions, Agent>()
      const lookup = sharedLookup()
      const agentOf = (tls: TlsOptions | undefined): Agent =>
        new Agent({
          connect: { ...connectOptions(tls), lookup },
          allowH2: false,
          maxHeaderSize,
          headersTimeout: 0,
          bodyTimeout: 0
        })
      const plain = agentOf(undefined)
      yield* Effect.addFinalizer(() => Effect.promise(() => plain.destroy()))
      const agentFor = (tls: TlsOptions | undefined): Agent => {
        if (tls === undefined) return plain
        const known = agents.get(tls)
        if (known !== undefined) return known
        const agent = agentOf(tls)
        agents.set(tls, agent)
        return agent
      }
      const now = () => monotonicOf(clock)
      return {
        get: (request) =>
          Effect.flatMap(ownTraceparent, (traceparent) =>
            Effect.tryPromise({ try: (signal) => get(request, traceparent, agentFor, now, signal), catch: asFailure })
          )
      }
    })
  )
}

/** Bytes of an answer's head; more than any engine takes, so that no probe is stricter than a request. */
const maxHeaderSize = 64 * 1024

const connectOptions = (tls: TlsOptions | undefined) => ({
  // The caller's time limit applies instead.
  timeout: 0,
  ...(tls === undefined
    ? {}
    : {
        rejectUnauthorized: tls.rejectUnauthorized,
        ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
        ...(tls.context === undefined ? {} : { secureContext: tls.context })
      })
})

const maxRedirects = 3
const redirects = new Set([301, 302, 303, 307, 308])
/** How long an answer that is not looked at may keep sending, in milliseconds. */
const discardFor = 1000

const get = async (
  request: BackendRequest,
  traceparent: string,
  agentFor: (tls: TlsOptions | undefined) => Dispatcher,
  now: () => number,
  signal: AbortSignal
): Promise<BackendAnswer> => {
  const started = now()
  let url = new URL(request.url)
  const home = url.origin
  const agent = agentFor(request.tls)
  for (let hop = 0; ; hop++) {
    const { statusCode, headers, body } = await agent.request({
      origin: home,
      path: url.pathname + url.search,
      method: "GET",
      headers: traceparent === "" ? headersOf(request) : { ...headersOf(request), traceparent },
      reset: true,
      signal
    })
    body.on("error", () => {})
    const location = redirects.has(statusCode) ? single(headers["location"]) : undefined
    const target = location === undefined ? undefined : targetOf(location, url)
    if (target === undefined || target.origin !== home) {
      const answer = {
        status: statusCode,
        header: (name: string) => single(headers[name]),
        retryAfter: single(headers["retry-after"]),
        latency: now() - started
      }
      if (target !== undefined) {
        body.destroy()
        return { ...answer, body: "", leadsAway: true }
      }
      if (request.body === "discard") {
        // The status is the answer. What follows is read in the background, so that a backend does not see its reply cut off.
        void discard(body, request.maxBody)
        return { ...answer, body: "" }
      }
      return { ...answer, body: await readText(body, single(headers["content-encoding"]), request.maxBody) }
    }
    body.destroy()
    if (hop === maxRedirects) throw plain("network", "too many redirects", `stopped after ${maxRedirects} redirects`, false)
    url = target
  }
}

/** Where a redirect leads. */
const targetOf = (location: string, from: URL): URL => {
  if (!URL.canParse(location, from)) throw plain("network", "redirect to an invalid address", "unreadable Location header", false)
  const url = new URL(location, from)
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw plain("network", "redirect to an invalid address", `redirect to scheme ${url.protocol}`, false)
  return url
}

const single = (value: string | Array<string> | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)

const headersOf = (request: BackendRequest): Record<string, string> => {
  const out: Record<string, string> = { "Accept-Encoding": "gzip" }
  const names = new Map([["accept-encoding", "Accept-Encoding"]])
  for (const [name, value] of [...request.headers, ...request.credentials.headers]) {
    const before = names.get(name.toLowerCase())
    if (before !== undefined) delete out[before]
    names.set(name.toLowerCase(), name)
    out[name] = value
  }
  return out
}

type Body = Dispatcher.ResponseData["body"]

const discard = async (body: Body, maxBody: number): Promise<void> => {
  const timer = setTimeout(() => body.destroy(), discardFor)
  let size = 0
  try {
    for await (const chunk of body) {
      size += (chunk as Buffer).length
      if (size > maxBody) break
    }
  } catch {
    // The status has been told; how the body ends means nothing.
  } finally {
    clearTimeout(timer)
    body.destroy()
  }
}

/** Some servers begin with a byte order mark, which JSON does not know. */
const textOf = (bytes: Buffer): string => bytes.toString("utf8").replace(/^\uFEFF/, "")

const readText = async (body: Body, encoding: string | undefined, maxBody: number): Promise<string> => {
  const chunks: Array<Buffer> = []
  let size = 0
  try {
    for await (const chunk of body) {
      size += (chunk as Buffer).length
      if (size > maxBody) throw tooLarge(maxBody)
      chunks.push(chunk as Buffer)
    }
  } catch (cause) {
    throw isFailure(cause) ? cause : cutOff(cause)
  } finally {
    body.destroy()
  }
  const whole = Buffer.concat(chunks)
  const coding = encoding?.trim().toLowerCase() ?? ""
  if (coding === "" || coding === "identity") return textOf(whole)
  if (coding !== "gzip" && coding !== "x-gzip")
    throw plain(
      "network",
      `answered in the encoding ${JSON.stringify(coding.slice(0, 20))}, which was not asked for`,
      "content-encoding",
      true
    )
  return new Promise((resolve, reject) => {
    gunzip(whole, { maxOutputLength: maxBody }, (error, plainBody) => {
      if (error === null) resolve(textOf(plainBody))
      else if ("code" in error && error.code === "ERR_BUFFER_TOO_LARGE") reject(tooLarge(maxBody))
      else reject(plain("network", "the compressed answer is damaged", error.message, true))
    })
  })
}

/** The headers had come: whatever broke, the answer is not whole. */
const cutOff = (cause: unknown): BackendFailure => {
  const failure = asFailure(cause)
  return { ...failure, cause: failure.kind === "timeout" ? failure.cause : "the answer broke off", answered: true }
}

const plain = (kind: BackendFailure["kind"], cause: string, detail: string, answered: boolean): BackendFailure => ({
  _tag: "BackendFailure",
  kind,
  cause,
  detail,
  answered
})

const tooLarge = (limit: number): BackendFailure =>
  plain("tooLarge", `the answer is larger than ${limit / 1_048_576} MiB`, `limit of ${limit} bytes`, true)

const isFailure = (cause: unknown): cause is BackendFailure =>
  typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === "BackendFailure"

/** Error codes to what an operator is told; the first that fits. */
const causes: ReadonlyArray<readonly [RegExp, string]> = [
  [/^ECONNREFUSED$/, "connection refused"],
  [/^(?:ECONNRESET|EPIPE|ECONNABORTED)$/, "connection reset"],
  [/^(?:ENOTFOUND|EAI_)/, "no such host"],
  [/^EHOSTUNREACH$/, "no route to host"],
  [/^ENETUNREACH$/, "network is unreachable"],
  [/^(?:CERT_|ERR_TLS_CERT|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|INVALID_CA|HOSTNAME_MISMATCH)/, "the certificate is not trusted"],
  [/^(?:ERR_SSL|ERR_TLS|EPROTO)/, "TLS handshake failed"],
  [/^UND_ERR_HEADERS_OVERFLOW$/, "the head of the answer is larger than 64 KiB"],
  [/^UND_ERR_SOCKET$/, "connection closed before an answer"],
  [/^(?:HPE_|UND_ERR_)/, "malformed HTTP answer"]
]

export const asFailure = (cause: unknown): BackendFailure => {
  if (isFailure(cause)) return cause
  const error = rootOf(cause)
  const detail = error instanceof Error ? error.message : String(error)
  const code = codeOf(error)
  if (isForWantOfDescriptors(code)) return plain("local", "this process is out of file descriptors", detail, false)
  if (code === "ETIMEDOUT" || code === "UND_ERR_CONNECT_TIMEOUT" || code === "ESOCKETTIMEDOUT")
    return plain("timeout", "timeout", detail, false)
  const known = causes.find(([pattern]) => pattern.test(code))
  const name = known === undefined ? "network error" : code.startsWith("CERT_") ? `${known[1]} (${code})` : known[1]
  return plain("network", name, detail, false)
}

/** The parser's errors do not always have a code. */
const codeOf = (error: unknown): string => {
  if (error instanceof Error && (error.name === "HTTPParserError" || error.message === "bad response" || error.message === "bad upgrade"))
    return "HPE_"
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : ""
}

/** Happy-eyeballs failures come as an aggregate of one error per address. */
const rootOf = (cause: unknown): unknown => {
  if (cause instanceof AggregateError && cause.errors.length > 0) return cause.errors[0]
  if (cause instanceof Error && !("code" in cause) && cause.cause !== undefined) return rootOf(cause.cause)
  return cause
}
