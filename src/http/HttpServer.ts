/**
 * The listener: one raw `node:http` server for everything, since a proxied request may not pay for a framework. Hardened
 * by the configuration's limits; the port is taken before anything is probed, answers begin when the daemon is ready.
 */
import { createServer, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import * as Effect from "effect/Effect"
import { timerMillis } from "../config/Duration.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { ActiveSet } from "../exchange/ActiveSet.ts"
import { effectiveHeaderLimit, mostHeaders } from "../guard/SizeLimits.ts"
import { cut, cutAfterFlush } from "../proxy/ClientSocket.ts"
import { allowed, Front } from "./Front.ts"
import type { CertificateStore } from "./listener/CertificateStore.ts"
import { endConnection, isEnding } from "./listener/ConnectionEnd.ts"
import { hearHalfCloses } from "./listener/HalfClose.ts"
import { dropSilent, unlessItCame } from "./listener/LateTimeout.ts"
import { hangUp, isHungUp, type ListenerRefusal, statusOf } from "./listener/ListenerRefusal.ts"
import { BindError, hostsOf, listen, stopListening } from "./listener/Listening.ts"
import { Newcomers } from "./listener/Newcomers.ts"
import { OpenResponse } from "./listener/OpenResponse.ts"
import { inTurn } from "./listener/Pipelining.ts"
import { redirecting } from "./listener/Redirecting.ts"
import { RequestMessage } from "./listener/RequestMessage.ts"
import { secureServer } from "./listener/SecureServer.ts"
import { listenLocally } from "./listener/UnixSocket.ts"
import { longestUpload, watchUploads } from "./listener/UploadPace.ts"
import type { RouteModule } from "./Routes.ts"
import type { Services } from "./Services.ts"
import { overflowWords } from "./SizeRefusal.ts"

/** How often node looks for requests that are too slow, in milliseconds: a 408 comes at most this late. */
const slowCheckEvery = 1_000

export interface HttpServer {
  readonly addresses: ReadonlyArray<AddressInfo>
  /** From now on requests are answered; those that came before have waited. */
  readonly open: (services: Services, modules: ReadonlyArray<RouteModule>) => void
  /** From now on each answer is the last one of its connection, so that clients and balancers come back elsewhere; new ones are still served. */
  readonly retire: () => void
  /** Stops accepting, lets open requests go on for `grace` milliseconds, then cuts. Resolves with how many were cut. */
  readonly stop: (grace: number) => Promise<number>
  /** Resolves when a listener breaks down after it began: the daemon is deaf then, and must end. */
  readonly failed: Promise<Error>
}

/** Answers a connection of which no request is left to answer. `code`: the parser's. */
type Refuse = (socket: Socket, code: string, reason?: string) => void

/** node's word for a request that takes too long. */
const tooSlow = "ERR_HTTP_REQUEST_TIMEOUT"
/** Its parser's, for a client that leaves in the middle of what it sends. */
const leftHalfway = "HPE_INVALID_EOF_STATE"
/** Its parser's, for bytes that follow a request with `Connection: close`. */
const afterLast = "HPE_CLOSED_CONNECTION"

/** Its parser's, for a head beyond all limits. */
const headOverflow = "HPE_HEADER_OVERFLOW"

/** `reason`: the parser's sentence, where it is its error. */
type ParserError = NodeJS.ErrnoException & { readonly reason?: string }

/** What node's parser refuses is answered by the request that it belongs to, where there is one, and the connection closed. */
const onClientError = (open: ActiveSet<OpenResponse>, error: ParserError, socket: Socket, refuse: Refuse): void => {
  // Reading on lets the client come to its answer: cutting here would take that from it.
  if (isHungUp(socket)) return
  const code = error.code ?? ""
  const isSlow = code === tooSlow
  // No byte was sent: a client had opened it in reserve.
  if (code === "ECONNRESET" || !socket.writable || (isSlow && socket.bytesRead === 0)) {
    socket.destroy()
    return
  }
  for (const res of open) {
    if (res.socket !== socket) continue
    // Bytes after the last request of the connection, or a next request that is slow to come: the answer that is under way goes on.
    if ((code === afterLast || isSlow) && res.req.complete) return
    return breakOff(res, code, refuse)
  }
  refuse(socket, code, error.reason)
}

/** What its client sent in time may only wait to be read. */
const onTooSlow = (open: ActiveSet<OpenResponse>, error: ParserError, socket: Socket, refuse: Refuse): void =>
  unlessItCame(
    socket,
    () => [...open].some((res) => res.socket === socket),
    () => onClientError(open, error, socket, refuse)
  )

/** The rest of this request cannot be parsed. */
const breakOff = (res: OpenResponse, code: string, refuse: Refuse): void => {
  const { socket } = res.req
  const { taker } = res.req
  // After the beginning of an answer no other one can be sent.
  if (res.headersSent) cutAfterFlush(res)
  // Nobody is left to read an answer: the owner of the request hears of the connection's close.
  else if (code === leftHalfway) socket.destroy()
  else if (taker !== undefined) taker.fail(code === tooSlow ? "tooSlow" : "unreadable")
  else refuse(socket, code)
}

/** `write_timeout` bounds a whole answer, however well it flows. */
const cutAfter = (res: ServerResponse, time: number): void => {
  const timer = setTimeout(() => cut(res), time)
  res.once("close", () => clearTimeout(timer))
}

/** Milliseconds that a kept connection may wait for its next request; 0: for ever. */
export const idleTime = ({ idle_timeout, read_timeout }: OllaConfig["server"]): number => (idle_timeout > 0 ? idle_timeout : read_timeout)

/** What of the configuration holds for a connection, all in milliseconds, 0 for no limit; a reload may change each of them. */
const timesOf = (config: OllaConfig["server"]) => {
  const idle = idleTime(config)
  const headerTime = config.read_header_timeout > 0 ? timerMillis(config.read_header_timeout) : 10_000
  return {
    // The headers are part of what read_timeout bounds.
    headersTimeout: Math.min(headerTime, config.read_timeout > 0 ? config.read_timeout : headerTime),
    // Bodies are judged by their pace (UploadPace); this bounds those that no route reads.
    requestTimeout: timerMillis(longestUpload(config.read_timeout, config.request_limits.max_body_size)),
    keepAliveTimeout: idle > 0 ? timerMillis(idle) : 0,
    readTime: config.read_timeout,
    writeTime: config.write_timeout > 0 ? timerMillis(config.write_timeout) : 0
  }
}

/** `secure`: the certificates of `server.tls`. */
export const makeHttpServer = (config: OllaConfig["server"], secure?: CertificateStore): Effect.Effect<HttpServer, BindError> =>
  Effect.tryPromise({
    try: () => bind(config, secure),
    catch: (cause) => (cause instanceof BindError ? cause : new BindError(String(cause)))
  })

const bind = async (config: OllaConfig["server"], secure: CertificateStore | undefined): Promise<HttpServer> => {
  const waiting: Array<() => void> = []
  let handle: ((req: RequestMessage, res: OpenResponse) => void) | undefined
  const onRequest = (req: RequestMessage, res: OpenResponse) => {
    if (handle !== undefined) handle(req, res)
    else waiting.push(() => handle?.(req, res))
  }
  const open = new ActiveSet<OpenResponse>()
  let services: Services | undefined
  const tell = (refusal: ListenerRefusal) => {
    if (services?.logsRequests() === true) services.log.unread(refusal)
  }
  const headLimit = effectiveHeaderLimit(config.request_limits.max_header_size)
  const tooMuchHead = overflowWords(headLimit)
  const refuse: Refuse = (socket, code, reason) =>
    hangUp(socket, statusOf(code, reason), code, tell, code === headOverflow ? tooMuchHead : {})
  const refusePlain = (socket: Socket) =>
    hangUp(socket, "400 Bad Request", "plain HTTP", tell, { detail: ": this port speaks HTTPS, ask for https://" })
  let unwatch = (): void => {}
  let unlisten = (): void => {}
  let retiring = false
  /** Connections that came so far. */
  let arrivals = 0
  const newcomers = new Newcomers()
  // One function for all of them: `this` is the response.
  function leave(this: OpenResponse): void {
    open.delete(this)
    this.context?.closed()
  }
  let { readTime, writeTime, ...times } = timesOf(config)
  const options = {
    noDelay: true,
    keepAlive: true,
    // node refuses a little above the configured limit; the exact rule is the guard's.
    maxHeaderSize: headLimit + 4096,
    ...times,
    connectionsCheckingInterval: slowCheckEvery,
    // Judged by headProblem, which answers in the form of every other error.
    requireHostHeader: false,
    insecureHTTPParser: false,
    IncomingMessage: RequestMessage,
    ServerResponse: OpenResponse
  }
  const servers: Array<Server<typeof RequestMessage, typeof OpenResponse>> = []
  const addresses: Array<AddressInfo> = []
  const failed = Promise.withResolvers<Error>()
  let port = config.port
  /** What has to be given back when no further connection is taken. */
  const ends: Array<() => void> = []
  const make = (isLocal: boolean): Server<typeof RequestMessage, typeof OpenResponse> => {
    const begin = (req: RequestMessage, res: OpenResponse) => {
      const { socket } = req
      // The answer before it was the last one of its connection, or its client is gone.
      if (isEnding(socket) || socket.destroyed) return
      // On its way when the stop came: it is answered, and its connection goes with it.
      if (retiring) res.shouldKeepAlive = false
      if (!res.shouldKeepAlive) endConnection(socket)
      open.add(res)
      res.on("close", leave)
      if (writeTime > 0) cutAfter(res, writeTime)
      onRequest(req, res)
    }
    const accept = (req: RequestMessage, res: OpenResponse) => {
      newcomers.spoke(req.socket)
      if (!isEnding(req.socket)) inTurn(req.socket, res, () => begin(req, res))
    }
    const made =
      secure === undefined || isLocal ? undefined : secureServer(options, { tls: config.tls, store: secure, plain: refusePlain }, accept)
    const server = made?.server ?? createServer(options, accept)
    if (made !== undefined) ends.push(made.forget)
    const arrival = made === undefined ? "connection" : "secureConnection"
    server.on(arrival, (socket: Socket) => {
      arrivals++
      newcomers.accepted(socket)
    })
    hearHalfCloses(server, open, arrival)
    server.on("checkContinue", accept)
    server.on("checkExpectation", accept)
    server.on("connect", (_req, socket) => hangUp(socket, "405 Method Not Allowed", "CONNECT", tell, { headers: `Allow: ${allowed}\r\n` }))
    server.on("clientError", (error: NodeJS.ErrnoException, socket) =>
      (error.code === tooSlow ? onTooSlow : onClientError)(open, error, socket as Socket, refuse)
    )
    server.on("timeout", dropSilent)
    // node would drop what is beyond it without a word; the guard refuses a request that reaches it.
    server.maxHeadersCount = mostHeaders
    return server
  }
  const fail = (cause: unknown, where: string): never => {
    for (const one of servers) one.close()
    for (const end of ends) end()
    if (cause instanceof BindError) throw cause
    const { message, code } = cause as NodeJS.ErrnoException
    throw new BindError(`failed to bind ${where}: ${message}`, code)
  }
  const { path, mode, only } = config.unix_socket
  if (path !== "") {
    const server = make(true)
    try {
      ends.push(await listenLocally(server, path, Number.parseInt(mode, 8)))
      server.on("error", failed.resolve)
      servers.push(server)
    } catch (cause) {
      fail(cause, path)
    }
  }
  for (const { host, optional } of path !== "" && only ? [] : hostsOf(config.host)) {
    const server = make(false)
    try {
      const address = await listen(server, port, host, config.reuse_port)
      server.on("error", failed.resolve)
      port = address.port
      servers.push(server)
      addresses.push(address)
    } catch (cause) {
      if (optional && addresses.length > 0 && (cause as NodeJS.ErrnoException).code !== "EADDRINUSE") continue
      fail(cause, `${config.host}:${config.port}`)
    }
  }
  if (secure !== undefined && config.tls.redirect_port > 0)
    for (const { host, optional } of hostsOf(config.host)) {
      const server = redirecting(
        () => port,
        (req) => services?.clearText(req.rawHeaders, req.socket.remoteAddress ?? "")
      )
      try {
        await listen(server, config.tls.redirect_port, host, config.reuse_port)
        ends.push(() => {
          server.close()
          server.closeAllConnections()
        })
      } catch (cause) {
        if (!optional) fail(cause, `${config.host}:${config.tls.redirect_port} (server.tls.redirect_port)`)
      }
    }
  const retire = () => {
    retiring = true
    // A kept connection takes no further request.
    for (const res of open) if (!res.headersSent) res.setHeader("Connection", "close")
  }
  return {
    addresses,
    retire,
    failed: failed.promise,
    open: (given, modules) => {
      services = given
      const { settings } = given
      unlisten = settings.onReplace(() => {
        ;({ readTime, writeTime, ...times } = timesOf(settings.current().server))
        // node looks at them at each connection and each of its rounds.
        for (const server of servers) Object.assign(server, times)
      })
      const front = new Front(given, modules)
      handle = (req, res) => front.handle(req, res)
      unwatch = watchUploads(
        open,
        () => readTime,
        (res) => breakOff(res, tooSlow, refuse)
      )
      for (const one of waiting.splice(0)) one()
    },
    stop: async (grace) => {
      retire()
      const closed = await stopListening(servers, () => arrivals)
      await newcomers.haveSpoken(grace)
      const closeIdle = () => {
        // node takes a connection for idle whose answer has ended and is still on its way: its close brings us here again.
        for (const res of open) if (res.writableEnded && !res.writableFinished) return
        for (const server of servers) server.closeIdleConnections()
      }
      closeIdle()
      // A connection whose answer had begun before is kept by its client: it goes as soon as the answer is whole.
      for (const res of open) res.once("close", () => setImmediate(closeIdle))
      let unfinished = 0
      const timer = setTimeout(() => {
        unfinished = open.size
        for (const res of open) cut(res)
        for (const server of servers) server.closeAllConnections()
      }, timerMillis(grace))
      await Promise.all(closed)
      clearTimeout(timer)
      for (const server of servers) server.close()
      for (const end of ends) end()
      unwatch()
      unlisten()
      return unfinished
    }
  }
}
