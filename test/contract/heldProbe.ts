/**
 * Loaded into a daemon with `--import`: at SIGUSR2 it writes how many endpoints and connection pools are still held after a collection, as
 * one line of JSON on standard error. It notes them as they are made, since to search the heap for them takes seconds.
 */
import { pathToFileURL } from "node:url"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Effect from "effect/Effect"

export interface Held {
  readonly endpoints: number
  readonly pools: number
}

const dist = process.env["OLLA_DIST"] ?? ""
const load = (path: string) => import(pathToFileURL(`${dist}/${path}.js`).href)
const { EndpointActor } = (await load("endpoint/EndpointActor")) as typeof import("../../src/endpoint/EndpointActor.ts")
const { ConnectionPool } = (await load("proxy/client/ConnectionPool")) as typeof import("../../src/proxy/client/ConnectionPool.ts")

const endpoints: Array<WeakRef<object>> = []
const pools: Array<WeakRef<object>> = []
const { make } = EndpointActor
Object.assign(EndpointActor, {
  make: (...args: Parameters<typeof make>) =>
    Effect.tap(make(...args), ({ endpoint }) => Effect.sync(() => void endpoints.push(new WeakRef(endpoint))))
})
const { take } = ConnectionPool.prototype
const noted = new WeakSet<object>()
ConnectionPool.prototype.take = function (...args) {
  if (!noted.has(this)) pools.push(new WeakRef(this))
  noted.add(this)
  return take.apply(this, args)
}

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void
const alive = (of: ReadonlyArray<WeakRef<object>>): number => of.filter((each) => each.deref() !== undefined).length

process.on("SIGUSR2", () => {
  collect()
  const held: Held = { endpoints: alive(endpoints), pools: alive(pools) }
  process.stderr.write(`held ${JSON.stringify(held)}\n`)
})
