/** The listener over TLS: HTTP/1.1 only, certificates that may be replaced, a bound on handshakes that do not come to their end. */
import { constants } from "node:crypto"
import type { Server as HttpServer, ServerOptions } from "node:http"
import { createServer } from "node:https"
import type { Socket, Server as TcpServer } from "node:net"
import type { TLSSocket } from "node:tls"
import type { TlsListenerConfig } from "../../config/OllaConfig.ts"
import type { CertificateStore } from "./CertificateStore.ts"
import { Contexts } from "./Certificates.ts"
import type { OpenResponse } from "./OpenResponse.ts"
import type { RequestMessage } from "./RequestMessage.ts"

/** Handshakes under way at a time; more connections are closed. */
const mostHandshakes = 1_000
/** First byte of a TLS record that begins a handshake. */
const handshakeRecord = 0x16

export interface SecureOptions {
  readonly tls: TlsListenerConfig
  readonly store: CertificateStore
  /** Somebody speaks plain HTTP here. */
  readonly plain: (socket: Socket) => void
}

/** The same of a connection and of the TLS over it. */
const placeOf = ({ remoteAddress, remotePort, localPort }: Socket): string => `${remoteAddress} ${remotePort} ${localPort}`

type Accept = (req: RequestMessage, res: OpenResponse) => void

const reasonOf = (error: NodeJS.ErrnoException): string => {
  const code = error.code ?? ""
  if (code === "ECONNRESET") return "closed"
  if (code === "ERR_TLS_HANDSHAKE_TIMEOUT") return "timeout"
  if (/CERT|PEER_DID_NOT_RETURN/.test(code)) return "client_certificate"
  return /VERSION|PROTOCOL/.test(code) ? "version" : "other"
}

/** Certificates are replaced until the returned function is called. */
export const secureServer = (
  options: ServerOptions<typeof RequestMessage, typeof OpenResponse>,
  { tls, store, plain }: SecureOptions,
  accept: Accept
): { readonly server: HttpServer<typeof RequestMessage, typeof OpenResponse>; readonly forget: () => void } => {
  let contexts = new Contexts(store.current)
  const first = () => store.current.pairs[0]?.options ?? {}
  const server = createServer(
    {
      ...options,
      ...first(),
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: tls.handshake_timeout,
      requestCert: tls.client_auth !== "none",
      rejectUnauthorized: tls.client_auth === "require",
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION ?? 0,
      SNICallback: (name, done) => done(null, contexts.of(name))
    },
    accept
  )
  const off = store.onReplace((certificates) => {
    contexts = new Contexts(certificates)
    server.setSecureContext(first())
  })
  // The first byte is looked at before the handshake, for whoever forgot the s.
  const [handshake] = server.listeners("connection") as ReadonlyArray<(this: TcpServer, socket: Socket) => void>
  server.removeAllListeners("connection")
  let open = 0
  /** Connections whose handshake is under way, each with what ends its waiting. */
  const waiting = new Map<string, () => void>()
  server.on("connection", (socket: Socket) => {
    if (open >= mostHandshakes) {
      store.failed("too_many")
      socket.destroy()
      return
    }
    open++
    const place = placeOf(socket)
    const silent = setTimeout(() => socket.destroy(), tls.handshake_timeout)
    const done = () => {
      clearTimeout(silent)
      if (waiting.delete(place)) open--
    }
    waiting.set(place, done)
    socket.once("close", done)
    const ignore = () => {}
    socket.on("error", ignore)
    const look = () => {
      const byte = socket.read(1) as Buffer | null
      if (byte === null) {
        // The end, or nothing yet.
        if (!socket.destroyed && !socket.readableEnded) socket.once("readable", look)
        return
      }
      clearTimeout(silent)
      socket.off("error", ignore)
      socket.unshift(byte)
      if (byte[0] === handshakeRecord) handshake?.call(server, socket)
      else {
        done()
        plain(socket)
      }
    }
    socket.once("readable", look)
  })
  server.on("secureConnection", (socket: TLSSocket) => {
    waiting.get(placeOf(socket))?.()
  })
  // Not a request's error: nobody is there to be answered.
  server.removeAllListeners("tlsClientError")
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    store.failed(reasonOf(error))
    socket.destroy()
  })
  return { server: server as unknown as HttpServer<typeof RequestMessage, typeof OpenResponse>, forget: off }
}
