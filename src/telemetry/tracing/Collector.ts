/**
 * One request to a collector, and what its answer means (OTLP/HTTP). The encoding is the OpenTelemetry project's; its exporters are not
 * used, since they do not tell what was rejected, honour `Retry-After` only within one time-out, and wait for a trickling answer
 * for ever.
 */
import * as http from "node:http"
import * as https from "node:https"
import type { IExportTraceServiceResponse, ISerializer } from "@opentelemetry/otlp-transformer"
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"
import type { TraceSettings } from "../../config/TraceSettings.ts"
import { build } from "../../version.ts"

export type TraceSerializer = ISerializer<Array<ReadableSpan>, IExportTraceServiceResponse>

export type Sent =
  /** `rejected`: spans that the collector did not take, and why. */
  | { readonly _tag: "sent"; readonly rejected: number; readonly why: string }
  /** It may work later; `after`: milliseconds, where the collector said so. */
  | { readonly _tag: "later"; readonly why: string; readonly after: number | undefined }
  /** These spans never will. */
  | { readonly _tag: "refused"; readonly why: string }

export interface Collector {
  readonly send: (body: Uint8Array) => Effect.Effect<Sent>
  readonly close: () => void
}

const busy: ReadonlySet<number> = new Set([429, 502, 503, 504])
/** What a collector asks to be left alone for counts up to this, in milliseconds. */
const longestPause = 60_000
/** Bytes of an answer that are read: it has a few words at most. */
const mostAnswered = 64 * 1024

/** `undefined`: it says nothing that can be used. Seconds or a date. */
const pauseOf = (text: string | undefined, now: number): number | undefined => {
  if (text === undefined) return undefined
  const millis = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isNaN(millis) ? undefined : Math.min(longestPause, Math.max(0, millis))
}

/** What an answer means. `body`: what was read of it. */
const meaningOf = (
  status: number,
  { "retry-after": retryAfter, "content-type": contentType = "" }: http.IncomingHttpHeaders,
  body: Uint8Array,
  serializer: Pick<TraceSerializer, "deserializeResponse">,
  now: number
): Sent => {
  if (busy.has(status)) return { _tag: "later", why: `it answers ${status}`, after: pauseOf(retryAfter, now) }
  if (status >= 300 && status < 400) return { _tag: "refused", why: `it answers ${status}, a redirect: set its own address` }
  if (status < 200 || status >= 300) return { _tag: "refused", why: `it answers ${status}` }
  const isPage = /^text\/html/i.test(contentType)
  if (isPage) return { _tag: "refused", why: "it answers with a web page: it is no collector" }
  if (body.length === 0) return { _tag: "sent", rejected: 0, why: "" }
  try {
    const { partialSuccess } = serializer.deserializeResponse(body)
    const rejected = Number(partialSuccess?.rejectedSpans ?? 0)
    return { _tag: "sent", rejected: rejected > 0 ? rejected : 0, why: partialSuccess?.errorMessage ?? "" }
  } catch {
    return { _tag: "refused", why: "what it answers is nothing that a collector says" }
  }
}

const codeOf = (error: NodeJS.ErrnoException): string => error.code ?? error.message

export const openCollector = (
  { url, headers, protocol }: Pick<TraceSettings, "url" | "headers" | "protocol">,
  serializer: Pick<TraceSerializer, "deserializeResponse">
): Collector => {
  const target = new URL(url)
  const { Agent, request } = target.protocol === "https:" ? https : http
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const own = {
    "User-Agent": `${build.name}/${build.version}`,
    ...headers,
    "Content-Type": protocol === "http/json" ? "application/json" : "application/x-protobuf"
  }
  return {
    send: (body) =>
      Effect.callback<Sent>((resume) => {
        const end = (sent: Sent) => resume(Effect.succeed(sent))
        const later = (error: NodeJS.ErrnoException) => end({ _tag: "later", why: codeOf(error), after: undefined })
        const asked = request(target, { method: "POST", agent, headers: { ...own, "Content-Length": body.length } }, (answer) => {
          const parts: Array<Buffer> = []
          let size = 0
          answer.on("data", (part: Buffer) => {
            size += part.length
            if (size <= mostAnswered) parts.push(part)
            else answer.destroy(new Error("its answer is too long"))
          })
          answer.on("error", later)
          answer.on("end", () => end(meaningOf(answer.statusCode ?? 0, answer.headers, Buffer.concat(parts), serializer, Date.now())))
        })
        asked.on("error", later)
        asked.end(body)
        return Effect.sync(() => asked.destroy())
      }),
    close: () => agent.destroy()
  }
}
