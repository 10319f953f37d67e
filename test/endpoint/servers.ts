/** Real servers on free ports, closed when the test's scope ends. */
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const listen = <S extends net.Server>(server: S, close: (server: S) => void): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<string>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)))
    }),
    () => Effect.sync(() => close(server))
  )

/** The base URL of an HTTP server. */
export const serve = (handler: http.RequestListener): Effect.Effect<string, never, Scope.Scope> =>
  Effect.suspend(() =>
    listen(http.createServer(handler), (server) => {
      server.closeAllConnections()
      server.close()
    })
  )

/** The base URL of a server that does with each connection what it is told. */
export const serveRaw = (handler: (socket: net.Socket) => void): Effect.Effect<string, never, Scope.Scope> =>
  Effect.suspend(() => {
    const sockets = new Set<net.Socket>()
    const server = net.createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      handler(socket)
    })
    return listen(server, () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
  })
