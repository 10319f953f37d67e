/** How a request reaches a backend: the own client for `http:`, undici for `https:` and as a switch. */
import type { Endpoint } from "../../endpoint/Endpoint.ts"
import type { Deadlines, Relay } from "./Connection.ts"
import { ConnectionPool } from "./ConnectionPool.ts"
import { Sweeper } from "./Sweeper.ts"

export interface Outgoing {
  readonly endpoint: Pick<Endpoint, "url" | "origin">
  readonly method: string
  /** Request target. */
  readonly path: string
  /** All header lines. */
  readonly headers: string
  readonly body: ReadonlyArray<Buffer>
  readonly bodySize: number
  readonly deadlines: Deadlines & { readonly tls: number; readonly keepAlive: number }
  /** Largest single read, bytes; 0: the default. */
  readonly readSize: number
  /** Now, by `performance.now()`. */
  readonly at: number
}

/** One request on its way. */
export interface Sent {
  readonly resume: () => void
  readonly abort: () => void
  /** Bytes of the answer's body so far. */
  readonly payload: number
}

export interface Transport {
  /** `fresh`: not on a kept connection. */
  readonly send: (outgoing: Outgoing, fresh: boolean, relay: Relay) => Sent
  readonly close: () => void
}

/** The last guard of the request line: whatever made this path, it must not end the line or begin another. */
const isTarget = /^[\x21-\x7e\x80-\xff]+$/

const requestHead = (outgoing: Outgoing): string => {
  if (!isTarget.test(outgoing.path)) throw new Error("a path with blanks or control characters must not go out")
  // biome-ignore lint/style/useTemplate: a template would ask each part whether it is a string
  return outgoing.method + " " + outgoing.path + " HTTP/1.1\r\n" + outgoing.headers + "\r\n"
}

/** Our own HTTP/1.1 client, one pool for each endpoint URL. A pool that has nothing left is dropped. */
export const ownTransport = (): Transport => {
  const pools = new Map<string, ConnectionPool>()
  const sweeper = new Sweeper((gone) => {
    for (const [url, pool] of pools) if (pool === gone) pools.delete(url)
  })
  return {
    send: (outgoing, fresh, relay) => {
      let pool = pools.get(outgoing.endpoint.url)
      if (pool === undefined) {
        pool = new ConnectionPool(outgoing.endpoint.origin, sweeper)
        pools.set(outgoing.endpoint.url, pool)
      }
      const connection = pool.take(fresh, outgoing)
      connection.send(outgoing, requestHead(outgoing), relay)
      return connection
    },
    close: () => {
      for (const pool of pools.values()) pool.close()
      pools.clear()
    }
  }
}
