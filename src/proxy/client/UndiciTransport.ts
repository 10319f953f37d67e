/** undici's Pool behind the same face: for TLS, which the own client leaves to it, and as a switch (`OLLA_ENGINE_CLIENT=undici`). */
import { type Dispatcher, Pool } from "undici"
import { type FailureKind, failure } from "../../exchange/Failure.ts"
import { maxHead } from "./ResponseHead.ts"
import type { Outgoing, Transport } from "./Transport.ts"

const kindOf = (error: NodeJS.ErrnoException, committed: boolean): FailureKind => {
  switch (error.code) {
    case "ECONNREFUSED":
      return "refused"
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "dns"
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "unreachable"
    case "UND_ERR_CONNECT_TIMEOUT":
    case "ETIMEDOUT":
      return "connect_timeout"
    case "UND_ERR_HEADERS_TIMEOUT":
      return "header_timeout"
    case "UND_ERR_BODY_TIMEOUT":
      return "idle_timeout"
    case "UND_ERR_HEADERS_OVERFLOW":
      return "malformed"
  }
  if (committed) return "truncated"
  if (/^(?:ERR_TLS|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_SSL|EPROTO)/.test(error.code ?? "") || /certificate/i.test(error.message))
    return "tls"
  return /^HPE_/.test(error.code ?? "") ? "malformed" : "closed"
}

export const undiciTransport = (): Transport => {
  const pools = new Map<string, InstanceType<typeof Pool>>()
  const used = new WeakSet<object>()
  const poolFor = ({ endpoint, deadlines }: Outgoing): InstanceType<typeof Pool> => {
    const known = pools.get(endpoint.url)
    if (known !== undefined) return known
    const { origin } = endpoint
    const tls = origin.tls
    const host = origin.hostname.includes(":") ? `[${origin.hostname}]` : origin.hostname
    const pool = new Pool(`${origin.secure ? "https" : "http"}://${host}:${origin.port}`, {
      connections: null,
      pipelining: 1,
      maxHeaderSize: maxHead,
      keepAliveTimeout: 90_000,
      keepAliveMaxTimeout: 90_000,
      headersTimeout: 0,
      bodyTimeout: 0,
      allowH2: false,
      connect: {
        timeout: deadlines.connect + (origin.secure ? deadlines.tls : 0),
        keepAlive: true,
        keepAliveInitialDelay: deadlines.keepAlive,
        ...(tls === undefined
          ? {}
          : {
              rejectUnauthorized: tls.rejectUnauthorized,
              ...(tls.ca === undefined ? {} : { ca: tls.ca }),
              ...(tls.cert === undefined ? {} : { cert: tls.cert }),
              ...(tls.key === undefined ? {} : { key: tls.key }),
              ...(tls.serverName === undefined ? {} : { servername: tls.serverName })
            })
      }
    })
    pools.set(endpoint.url, pool)
    return pool
  }
  return {
    send: (outgoing, fresh, relay) => {
      let controller: Dispatcher.DispatchController | undefined
      let aborted = false
      let committed = false
      let received = 0
      const reused = !fresh && used.has(poolFor(outgoing))
      const headers = outgoing.headers.filter((_, i) => outgoing.headers[i - (i % 2)]?.toLowerCase() !== "content-length")
      poolFor(outgoing).dispatch(
        {
          method: outgoing.method as Dispatcher.HttpMethod,
          path: outgoing.path,
          headers: headers as Array<string>,
          body:
            outgoing.body.length === 0 ? null : outgoing.body.length === 1 ? (outgoing.body[0] as Buffer) : Buffer.concat(outgoing.body),
          reset: fresh,
          headersTimeout: outgoing.deadlines.headers > 0 ? outgoing.deadlines.headers : 0,
          bodyTimeout: outgoing.deadlines.idle > 0 ? outgoing.deadlines.idle : 0
        },
        {
          onRequestStart: (given) => {
            controller = given
            if (aborted) given.abort(new Error("aborted"))
          },
          onResponseStart: (given, status) => {
            if (status < 200) return
            committed = true
            used.add(poolFor(outgoing))
            const raw = ((given.rawHeaders as ReadonlyArray<Buffer | string> | undefined) ?? []).map((part) =>
              part.toString("latin1" as never)
            )
            const length = raw.findIndex((part, i) => i % 2 === 0 && part.toLowerCase() === "content-length")
            relay.onHead({ status, raw, chunked: false, length: length < 0 ? -1 : Number(raw[length + 1]), keep: true, keepFor: -1 })
          },
          onResponseData: (given, chunk) => {
            if (aborted) return
            received += chunk.length
            if (!relay.onBytes(chunk, false)) given.pause()
          },
          onResponseEnd: () => {
            if (!aborted) relay.onEnd(received)
          },
          onResponseError: (_given, error) => {
            if (aborted) return
            const kind = kindOf(error as NodeJS.ErrnoException, committed)
            const named = kind === "header_timeout" ? outgoing.deadlines.headersKind : kind
            relay.onFail(failure(named, (error as NodeJS.ErrnoException).code ?? error.message), kind === "closed" && reused)
          }
        }
      )
      return {
        resume: () => controller?.resume(),
        abort: () => {
          aborted = true
          controller?.abort(new Error("aborted"))
        }
      }
    },
    close: () => {
      for (const pool of pools.values()) pool.destroy().catch(() => {})
      pools.clear()
    }
  }
}
