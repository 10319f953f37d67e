/**
 * Ends a connection by a reset once its peer has what was written. An answer that is delimited by the connection's close has no
 * other way to say that it broke off: a plain close is its good end. A reset drops what is still on its way, so that it has to wait,
 * and no system call of node's tells for how long: Linux lists what a peer has not acknowledged yet in `/proc/net/tcp`.
 */
import { readFile } from "node:fs/promises"
import type { Socket } from "node:net"

/** How often is looked, in milliseconds. */
const lookEvery = 50
/** Looks in a row that must find nothing on its way: whoever has everything gets time to read it. */
const quietLooks = 2
/** The same where the system does not tell what is on its way. */
const blindLooks = 10

const tables = ["/proc/net/tcp", "/proc/net/tcp6"]

interface Waiting {
  readonly socket: Socket
  /** `performance.now()` after which nothing is waited for. */
  readonly until: number
  quiet: number
}

const waiting = new Set<Waiting>()
let looking = false

/** Only TCP has resets. Over TLS an end without a word of its own says the same. */
export const resetNow = (socket: Socket): void => {
  if ("encrypted" in socket || socket.remotePort === undefined) socket.destroy()
  else socket.resetAndDestroy()
}

/** `patience`: milliseconds after which the peer has had time enough. */
export const resetWhenRead = (socket: Socket, patience: number): void => {
  if (socket.destroyed) return
  const entry = { socket, until: performance.now() + patience, quiet: 0 }
  waiting.add(entry)
  socket.once("close", () => waiting.delete(entry))
  if (!looking) lookAgain()
}

const lookAgain = (): void => {
  looking = waiting.size > 0
  if (looking) setTimeout(look, lookEvery).unref()
}

const look = async (): Promise<void> => {
  const unread = await unreadByPorts()
  const now = performance.now()
  for (const entry of waiting) {
    const { socket, until } = entry
    const onItsWay = socket.writableLength > 0 || (unread?.get(portsOf(socket.localPort, socket.remotePort)) ?? 0) > 0
    entry.quiet = onItsWay ? 0 : entry.quiet + 1
    if (entry.quiet < (unread === undefined ? blindLooks : quietLooks) && now < until) continue
    waiting.delete(entry)
    resetNow(socket)
  }
  lookAgain()
}

const portsOf = (local: number | undefined, remote: number | undefined): string => `${local}>${remote}`

/** Bytes that peers have not acknowledged, by the ports of both ends; `undefined`: the system does not tell. */
const unreadByPorts = async (): Promise<ReadonlyMap<string, number> | undefined> => {
  const texts = await Promise.all(tables.map((path) => readFile(path, "latin1").catch(() => "")))
  if (texts.every((text) => text === "")) return undefined
  const found = new Map<string, number>()
  for (const text of texts) {
    for (const [, local, remote, queued] of text.matchAll(
      /: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]{2} ([0-9A-F]{8}):/g
    )) {
      const bytes = parseInt(queued as string, 16)
      if (bytes > 0) found.set(portsOf(parseInt(local as string, 16), parseInt(remote as string, 16)), bytes)
    }
  }
  return found
}
