/**
 * What a scrape of /internal/metrics costs when everything has series: 50 endpoints, each of which has been asked for each of 200 models,
 * as whole answers and as streams. Prints the daemon's CPU time for a scrape in both forms and how long the text is.
 *
 *   node bench/scrape.ts [endpoints] [models] [--dist folder]
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { resolve } from "node:path"
import { cpuMicros, startOlla } from "./processes.ts"

const count = Number(process.argv[2] ?? 50)
const each = Number(process.argv[3] ?? 200)
const at = process.argv.indexOf("--dist")
const scrapes = 20

const names = Array.from({ length: each }, (_, n) => `team/model-${n}`)
const listing = JSON.stringify({ object: "list", data: names.map((id) => ({ id, object: "model", created: 1, owned_by: "vllm" })) })
const usage = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 }
const backend = createServer((request, response) => {
  if (request.method === "GET") return void response.writeHead(200, { "content-type": "application/json" }).end(listing)
  request.resume().on("end", () => {
    if (request.headers["x-stream"] === undefined)
      return void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ choices: [], usage }))
    response.writeHead(200, { "content-type": "text/event-stream" }).write('data: {"choices":[]}\n\n')
    setTimeout(() => response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`), 1)
  })
})
await new Promise<void>((ready) => backend.listen(0, "127.0.0.1", ready))
const { port } = backend.address() as AddressInfo

const olla = await startOlla(
  Array.from({ length: count }, (_, n) => `http://127.0.0.1:${port}/e${n}`),
  {
    name: "olla",
    logging: true,
    yaml: "proxy: {load_balancer: round-robin}",
    ...(at < 0 ? {} : { dist: resolve(process.argv[at + 1] ?? "") })
  }
)
try {
  for (let n = 0; n < count * 2; n++)
    await Promise.all(
      names.map(async (model) =>
        (
          await fetch(`http://127.0.0.1:${olla.port}${olla.path}`, {
            method: "POST",
            headers: { "content-type": "application/json", ...(n % 2 === 0 ? { "x-stream": "yes" } : {}) },
            body: JSON.stringify({ model, stream: n % 2 === 0, messages: [] })
          })
        ).text()
      )
    )
  for (const accept of ["text/plain", "application/openmetrics-text; version=1.0.0"]) {
    const scrape = async () => (await fetch(`http://127.0.0.1:${olla.port}/internal/metrics`, { headers: { accept } })).text()
    let [text, cost, longest] = [await scrape(), Number.POSITIVE_INFINITY, 0]
    for (let n = 0; n < scrapes; n++) {
      const [before, began] = [cpuMicros(olla.pid), performance.now()]
      text = await scrape()
      cost = Math.min(cost, cpuMicros(olla.pid) - before)
      longest = Math.max(longest, performance.now() - began)
    }
    console.log(
      `${accept.split(";")[0]}: ${(cost / 1000).toFixed(1)} ms CPU at best of ${scrapes}, ${longest.toFixed(0)} ms at longest, ${text.split("\n").length} lines, ${(text.length / 1024).toFixed(0)} KB`
    )
  }
} finally {
  await olla.stop()
  backend.closeAllConnections()
  backend.close()
}
