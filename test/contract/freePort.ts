/** Ports that stay free until they are taken: for daemons, which are told theirs, and for servers that come back on their own. */
import { once } from "node:events"
import { createServer } from "node:net"

/** Below the ports that systems hand out by themselves, to any connection of any process. */
const lowest = 12_000
const count = 20_000

/** Each process of the suite begins somewhere else. */
let next = Math.floor(Math.random() * count)

export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = lowest + (next++ % count)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false))
      server.listen(port, "127.0.0.1", () => resolve(true))
    })
    if (!isFree) continue
    server.close()
    await once(server, "close")
    return port
  }
}
