/**
 * Host names of backends, looked up once for all who ask meanwhile. A lookup occupies one of the runtime's few threads until the
 * resolver gives up, long after the probe that wanted it has: probe after probe of a name that nobody answers for would take
 * all of them, and with them every other endpoint's lookups.
 */
import { type LookupOptions, lookup as systemLookup } from "node:dns"
import type { LookupFunction } from "node:net"

type Callback = Parameters<LookupFunction>[2]
/** What is used of `dns.lookup`. */
export type Lookup = (hostname: string, options: LookupOptions, callback: Callback) => void

export const sharedLookup = (lookup: Lookup = systemLookup): LookupFunction => {
  const pending = new Map<string, Array<Callback>>()
  return (hostname, options, callback) => {
    const key = `${hostname} ${options.all === true} ${options.family ?? 0} ${options.hints ?? 0} ${options.order ?? ""}`
    const others = pending.get(key)
    if (others !== undefined) {
      others.push(callback)
      return
    }
    const waiting = [callback]
    pending.set(key, waiting)
    lookup(hostname, options, (...found) => {
      pending.delete(key)
      for (const each of waiting) each(...found)
    })
  }
}
