/**
 * Every undocumented part of Node that Olla uses, each with the documented way as its fallback. Node's own modules use these names in
 * all versions that Olla runs on; `test/proxy/NodeInternals.test.ts` tells which one a new version has lost.
 */
import type { Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"

interface ResponseInside {
  readonly _storeHeader?: (text: string, headers: ReadonlyArray<string>) => void
  readonly _send?: (data: string, encoding: "latin1") => boolean
  readonly _expect_continue?: boolean
}

/**
 * Gives a response its first lines as they are; from `framing` (name/value pairs) node learns how the body is framed. False: this
 * response must take the documented way, because this Node lacks the method or a `100 Continue` is still to be sent.
 */
export const storeHead = (response: ServerResponse, text: string, framing: ReadonlyArray<string>): boolean => {
  const inside = response as unknown as ResponseInside
  if (inside._storeHeader === undefined || inside._expect_continue === true) return false
  inside._storeHeader(text, framing)
  return true
}

/**
 * Sends the head before there is a body. `flushHeaders` does so in UTF-8, while every other way writes a head in Latin-1: bytes
 * above 127 in a header would arrive twice as long as they came.
 */
export const flushHead = (response: ServerResponse): void => {
  const inside = response as unknown as ResponseInside
  if (inside._send === undefined) response.flushHeaders()
  else inside._send("", "latin1")
}

interface HandleInside {
  readonly writeQueueSize?: number
  readonly reading?: boolean
  readonly readStart?: () => number
  /** Of a TLS handle: that of the connection beneath. */
  readonly _parent?: HandleInside
}

const handleOf = (socket: Socket): HandleInside | null | undefined => (socket as { readonly _handle?: HandleInside | null })._handle

/** Changes as the system takes what was written to a socket; 0: it has all. */
export const unsentOf = (socket: Socket): number =>
  // node looks at the same figure for its own socket timeouts; to the stream, a write that is under way is one step.
  socket.writableLength === 0 ? 0 : (handleOf(socket)?.writeQueueSize ?? socket.writableLength)

/** What a second `readStart` says while the first one holds (libuv's `EALREADY`, whatever its number). */
const isReading = (handle: HandleInside): boolean => (handle.readStart?.() ?? -1) < 0

/**
 * Tells, once a TLS socket has ended, whether its peer said so (`close_notify`, RFC 8446 6.1) or the connection beneath just ended,
 * which anybody on the way can bring about. To node's stream both are the same end. But when the peer says so, the connection beneath
 * is still being read at that moment, or reading had been stopped, and then nothing else can have brought the end.
 * On a Node without these fields every end passes for a good one.
 */
export const closeNotifyOf = (socket: TLSSocket): (() => boolean) => {
  let notified = true
  const push = socket.push
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    const handle = chunk === null ? handleOf(socket) : undefined
    const beneath = handle?._parent
    if (handle?.reading === true && beneath?.readStart !== undefined) notified = isReading(beneath)
    return push.call(socket, chunk, encoding)
  }
  return () => notified
}

interface RequestInside {
  _consuming?: boolean
}

/** Tells node whether somebody reads this request's body: its response, once finished, reads away what nobody does. */
export const setConsumed = (request: object, consumed: boolean): void => {
  ;(request as RequestInside)._consuming = consumed
}

/** The getter that a prototype has of a property; without one, `undefined` for everybody. */
export const getterOf = <Self extends object, A>(prototype: object, name: string): ((this: Self) => A) => {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name)?.get
    if (found !== undefined) return found as (this: Self) => A
  }
  return () => undefined as A
}

/**
 * A client that ends its sending half is left to whoever listens to its socket's `end`. node's own answer to that would be to end the
 * connection behind what is already written, however long that takes, and nobody would hear of it before.
 */
export const keepHalfOpen = (server: Server): void => {
  ;(server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true
}
