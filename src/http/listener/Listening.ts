/** Taking a port, on every address that a host's name stands for. */
import type { Server } from "node:http"
import { type AddressInfo, Server as TcpServer } from "node:net"

export class BindError extends Error {
  readonly _tag = "BindError"
  /** The system's, as far as it said one: `EADDRINUSE`. */
  readonly code: string

  constructor(message: string, code = "") {
    super(message)
    this.code = code
  }
}

/** `localhost` is both loopbacks, where there are two; empty is every interface. */
export const hostsOf = (host: string): ReadonlyArray<{ readonly host: string | undefined; readonly optional: boolean }> => {
  const plain = host.replace(/^\[|\]$/g, "")
  if (plain === "") return [{ host: undefined, optional: false }]
  if (plain === "localhost")
    return [
      { host: "127.0.0.1", optional: false },
      { host: "::1", optional: true }
    ]
  return [{ host: plain, optional: false }]
}

/** `reusePort`: other processes of this user that ask for the same may listen there too; the system deals connections out among them. */
export const listen = (server: Server, port: number, host: string | undefined, reusePort: boolean): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen({ port, host, backlog: 1024, reusePort }, () => {
      server.off("error", reject)
      resolve(server.address() as AddressInfo)
    })
  })

/** A turn of the event loop that takes no longer than this, in milliseconds, had nothing to do. */
const quietTurn = 0.1
/** Milliseconds after which any turn without arrivals will do: under load none is ever that short. */
const patience = 100
/** Turns that are looked at, however long they take, while each brings arrivals: a process that hardly gets a processor has few in that time. */
const fewestTurns = 64

/**
 * Stops listening at a moment when nothing waits in the queue, since that would be lost with the socket: right after a turn of the
 * event loop in which nothing arrived and which was short. `arrivals` counts connections. Connections stay as they are; each of the
 * promises resolves when the last one of its server is closed.
 */
export const stopListening = async (servers: ReadonlyArray<Server>, arrivals: () => number): Promise<ReadonlyArray<Promise<void>>> => {
  const began = performance.now()
  // From wherever this was called to the end of a turn; only then a whole one is looked at.
  await new Promise<void>((resolve) => setImmediate(resolve))
  for (let isQuiet = false, turns = 1; !isQuiet; turns++) {
    const [before, at] = [arrivals(), performance.now()]
    await new Promise<void>((resolve) => setImmediate(resolve))
    const now = performance.now()
    isQuiet =
      (turns >= fewestTurns && now - began > 2 * patience) || (arrivals() === before && (now - at < quietTurn || now - began > patience))
  }
  // Not http's own way of closing, which is through all connections before it comes to the listening socket.
  return servers.map((server) => new Promise<void>((resolve) => void TcpServer.prototype.close.call(server, () => resolve())))
}
