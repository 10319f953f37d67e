/**
 * The baseline: `node:http` in front, `undici.Pool.dispatch` behind, object headers, body piped, `res.write` for every
 * chunk; no routing, no accounting, no failover. What a proxy in Node costs at least when it is written plainly.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Pool } from "undici"

const pools = process.argv.slice(2).map(
  (url) =>
    new Pool(url, {
      connect: { rejectUnauthorized: false },
      connections: null,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: 600_000
    })
)
let turn = 0
const hop = new Set(["connection", "keep-alive", "transfer-encoding", "host", "upgrade", "te", "trailer"])

const server = createServer({ noDelay: true, keepAliveTimeout: 600_000 }, (req, res) => {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(req.headers)) if (!hop.has(name) && typeof value === "string") headers[name] = value
  pools[turn++ % pools.length]?.dispatch(
    { method: (req.method ?? "GET") as "GET", path: req.url ?? "/", headers, body: req.method === "GET" ? null : req },
    {
      onRequestStart() {},
      onResponseStart(_controller, status, answered) {
        const out: Record<string, string | Array<string>> = {}
        for (const [name, value] of Object.entries(answered)) if (!hop.has(name) && value !== undefined) out[name] = value
        res.writeHead(status, out)
        if (out["content-length"] === undefined) res.flushHeaders()
      },
      onResponseData(controller, chunk) {
        if (!res.write(chunk)) {
          controller.pause()
          res.once("drain", () => controller.resume())
        }
      },
      onResponseEnd() {
        res.end()
      },
      onResponseError() {
        res.destroy()
      }
    }
  )
})
server.listen(0, "127.0.0.1", 4096, () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
process.stdin.resume().on("end", () => process.exit(0))
