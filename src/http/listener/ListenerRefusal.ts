/** What the listener answers a connection itself, because no request could be made of what came. */
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { normaliseAddress } from "../../guard/ClientAddress.ts"
import { requestId } from "./RequestId.ts"

/** One such answer, for the access log. */
export interface ListenerRefusal {
  readonly id: string
  /** `ip:port` of the TCP peer. */
  readonly remote: string
  readonly status: number
  /** The parser's word for what is wrong. */
  readonly reason: string
  /** Body bytes. */
  readonly responseBytes: number
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
  HPE_INVALID_TRANSFER_ENCODING: "501 Not Implemented"
}

/**
 * Status and its name for a code of node's parser. It has one code for a coding that nobody knows and for one that comes beside a
 * length; only its sentence (`reason`) tells them apart, and the second is a wrong message in either order (RFC 9112 6.3).
 */
export const statusOf = (code: string, reason = ""): string =>
  (reason.includes("Content-Length") ? undefined : statuses[code]) ?? "400 Bad Request"

/** Milliseconds that the client has to read the refusal before the connection is dropped. */
const lastWordTime = 1_000

const ignore = (): void => {}

/** Connections that have had their last word. What their clients still write fails the parser again and again. */
const told = new WeakSet<Duplex>()

export const isHungUp = (socket: Duplex): boolean => told.has(socket)

/** What else is said. */
export interface LastWords {
  /** Whole lines. */
  readonly headers?: string
  /** Behind the status. */
  readonly detail?: string
}

/** The last answer on a connection: a status and its name, in a line. node has released the socket, so it is closed here. */
export const hangUp = (
  socket: Duplex,
  status: string,
  reason: string,
  tell: (refusal: ListenerRefusal) => void,
  { headers = "", detail = "" }: LastWords = {}
): void => {
  const { remoteAddress, remotePort } = socket as Socket
  told.add(socket)
  const id = requestId("")
  const body = `${status.slice(4)}${detail}\n`
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ${body.length}\r\n${headers}Connection: close\r\nX-Olla-Request-ID: ${id}\r\n\r\n${body}`
  )
  const timer = setTimeout(() => socket.destroy(), lastWordTime)
  socket.once("close", () => clearTimeout(timer))
  socket.on("error", ignore)
  // Read away what is still coming: a reset would take the answer with it, and without reading its end would not be seen.
  socket.resume()
  const remote = `${normaliseAddress(remoteAddress ?? "")}:${remotePort ?? 0}`
  tell({ id, remote, status: Number(status.slice(0, 3)), reason, responseBytes: body.length })
}
