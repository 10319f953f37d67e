/** Our own HTTP/1.1 client behind the transport's face, for `http:` backends: one pool for each origin. */
import type { Origin } from "../../endpoint/Endpoint.ts"
import { ConnectionPool } from "./ConnectionPool.ts"
import { Sweeper } from "./Sweeper.ts"
import type { Transport } from "./Transport.ts"

/** A pool that has nothing left is dropped. */
export const ownTransport = (): Transport => {
  const pools = new Map<Origin, ConnectionPool>()
  const sweeper = new Sweeper((gone) => {
    if (gone instanceof ConnectionPool) pools.delete(gone.origin)
  })
  return {
    send: (outgoing, fresh, relay) => {
      const { origin } = outgoing
      let pool = pools.get(origin)
      if (pool === undefined) {
        pool = new ConnectionPool(origin, sweeper)
        pools.set(origin, pool)
      }
      const connection = pool.take(fresh, outgoing)
      connection.send(outgoing, relay)
      return connection
    },
    retire: (origin) => pools.get(origin)?.retire(),
    close: () => {
      for (const pool of pools.values()) pool.close()
      pools.clear()
    }
  }
}
