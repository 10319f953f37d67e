/**
 * Opening one connection to a backend: TCP first, then TLS, each within a limit of its own, and a failure that says which of
 * the two it was. undici's own connector has one limit for both and one error.
 */
import net from "node:net"
import tls from "node:tls"
import type { buildConnector } from "undici"
import type { Origin } from "../../endpoint/Endpoint.ts"
import { type Failure, type FailureKind, failure } from "../../exchange/Failure.ts"
import { connectKind } from "./ConnectKind.ts"
import { afterLimit } from "./PatientTimer.ts"
import type { Deadlines } from "./Transport.ts"

/** undici hands it on untouched to the request that waits for the connection. */
export class DialError extends Error {
  readonly failure: Failure

  constructor(why: Failure) {
    super(why.detail)
    this.failure = why
  }
}

/** `onSocket` gets each socket as soon as there is one, so that a caller may give up while it is still connecting. */
export const connectorTo =
  (
    origin: Origin,
    limits: Pick<Deadlines, "connect" | "tls" | "keepAlive">,
    onSocket: (socket: net.Socket) => void
  ): buildConnector.connector =>
  (_options, callback) => {
    const plain = net.connect({
      host: origin.hostname,
      port: origin.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: limits.keepAlive
    })
    let current: net.Socket = plain
    let callOff = () => {}

    const done = () => {
      callOff()
      current.off("error", onError).off("close", onClose)
      callback(null, current)
    }
    const fail = (kind: FailureKind, detail: string, limit?: number) => {
      callOff()
      current.off("close", onClose)
      current.destroy()
      callback(new DialError(failure(kind, detail, limit)), null)
    }
    const within = (kind: FailureKind, limit: number) => {
      callOff()
      if (limit > 0) callOff = afterLimit(limit, () => fail(kind, "no connection in time", limit))
    }
    const onError = (error: NodeJS.ErrnoException) => fail(kindOf(error, current !== plain), error.code ?? error.message)
    const onClose = () => fail("closed", "connection closed while it was being opened")
    const take = (socket: net.Socket) => {
      current = socket
      socket.once("error", onError).once("close", onClose)
      onSocket(socket)
    }

    take(plain)
    within("connect_timeout", limits.connect)
    plain.once("connect", () => {
      if (!origin.secure) return done()
      plain.off("error", onError).off("close", onClose)
      take(tls.connect({ socket: plain, ...tlsOptions(origin) }).once("secureConnect", done))
      within("tls_timeout", limits.tls)
    })
  }

const tlsOptions = (origin: Origin): tls.ConnectionOptions => {
  const { tls: own } = origin
  const serverName = own?.serverName ?? (net.isIP(origin.hostname) === 0 ? origin.hostname : undefined)
  return {
    ALPNProtocols: ["http/1.1"],
    // What the certificate is checked against when the host is an address and no name is sent.
    host: origin.hostname,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(own === undefined ? {} : { rejectUnauthorized: own.rejectUnauthorized }),
    ...(own?.context !== undefined
      ? { secureContext: own.context }
      : {
          ...(own?.ca === undefined ? {} : { ca: own.ca }),
          ...(own?.cert === undefined ? {} : { cert: own.cert }),
          ...(own?.key === undefined ? {} : { key: own.key })
        })
  }
}

/** `shaking`: TCP stands, and TLS is being agreed on. */
const kindOf = (error: NodeJS.ErrnoException, shaking: boolean): FailureKind => {
  if (!shaking) return connectKind(error)
  switch (error.code) {
    case "ECONNRESET":
    case "EPIPE":
      return "reset"
    case "ETIMEDOUT":
      return "tls_timeout"
  }
  return "tls"
}
