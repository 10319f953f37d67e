/**
 * The backends of `fleet.ts`, in their own process: as many small servers as the argument says, each on its own port.
 * Prints the ports as one line of JSON. Lines on standard input: `trouble` makes the first hang and the next hundred flap,
 * `calm` ends it. Ends with its parent.
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { createInterface } from "node:readline"

const count = Number(process.argv[2] ?? 1000)
/** Half of a flapping backend's period, milliseconds. */
const flap = 1500
let trouble = false

const models = (index: number, many: number): string =>
  JSON.stringify({
    object: "list",
    data: Array.from({ length: many }, (_, n) => ({
      id: `team-${index}/model-${n}`,
      object: "model",
      created: 1_700_000_000,
      owned_by: "vllm",
      max_model_len: 32768
    }))
  })

const start = (index: number): Promise<Server> => {
  const listing = models(index, 3)
  const server = createServer((request, response) => {
    const hangs = trouble && index === 0
    const fails = trouble && index > 0 && index <= 100 && Math.floor(Date.now() / flap) % 2 === 0
    if (hangs) return
    if (fails) response.writeHead(503).end()
    else if (request.url === "/v1/models") response.writeHead(200, { "content-type": "application/json" }).end(listing)
    else if (request.url?.startsWith("/many/") === true) response.end(models(index, Number(request.url.slice(6))))
    else response.end("ok")
  })
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)))
}

const servers = await Promise.all(Array.from({ length: count }, (_, index) => start(index)))
process.stdout.write(`${JSON.stringify(servers.map((server) => (server.address() as AddressInfo).port))}\n`)
createInterface({ input: process.stdin })
  .on("line", (line) => {
    trouble = line === "trouble"
  })
  .on("close", () => process.exit(0))
