/**
 * A collector that hangs, dies and comes back under 100 requests a second, all of them traced. Says every promise that was broken and
 * exits with 1 then: no request fails, an outage is told once and its end too, and the heap after a forced collection is within 10 % of
 * what it was after the warm-up, at every point at which nothing waits. Prints the resident memory as it goes: V8 gives it back late.
 *
 *   node bench/collectorChaos.ts [--seconds 60] [--warm 20] [--rate 100] [--protocol http/json] [--old-space 0]
 */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"
import { setTimeout as after } from "node:timers/promises"
import { residentMb, startBackend, startOlla } from "./processes.ts"

const argument = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback)
}
const seconds = Number(argument("seconds", "60"))
const warm = Number(argument("warm", "20"))
const rate = Number(argument("rate", "100"))
/** MB, where V8 is not to take what it likes. */
const oldSpace = Number(argument("old-space", "0"))

type Mode = "fine" | "hangs" | "dead"

class Collector {
  readonly #server = createServer((request, response) => {
    request.resume().on("end", () => this.#answer(response))
  })
  readonly #sockets = new Set<Socket>()
  #hanging: Array<ServerResponse> = []
  #mode: Mode = "fine"
  port = 0

  constructor() {
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket)
      socket.on("close", () => this.#sockets.delete(socket)).on("error", () => {})
    })
  }

  async turn(mode: Mode): Promise<void> {
    this.#mode = mode
    const hanging = this.#hanging
    this.#hanging = []
    if (mode !== "hangs") for (const response of hanging) this.#answer(response)
    if (mode === "dead") {
      for (const socket of this.#sockets) socket.destroy()
      this.#server.close()
    } else if (!this.#server.listening) {
      await new Promise<void>((ready) => this.#server.listen(this.port, "127.0.0.1", ready))
      this.port = (this.#server.address() as AddressInfo).port
    }
  }

  #answer(response: ServerResponse): void {
    if (this.#mode === "hangs") this.#hanging.push(response)
    else response.writeHead(200, { "content-type": "application/json" }).end("{}")
  }
}

const collector = new Collector()
await collector.turn("fine")
const backend = await startBackend()
const olla = await startOlla([backend.port], {
  name: "olla",
  logging: true,
  yaml: `telemetry: {otlp: {endpoint: "http://127.0.0.1:${collector.port}", interval: 1s, timeout: 3s, protocol: ${argument("protocol", "http/json")}}}`,
  execArgs: [
    "--expose-gc",
    ...(oldSpace === 0 ? [] : [`--max-old-space-size=${oldSpace}`]),
    "--import",
    join(import.meta.dirname, "heapProbe.ts")
  ]
})
let said = ""
olla.child.stdout?.on("data", (part: Buffer) => {
  said += part
    .toString()
    .split("\n")
    .filter((line) => line.includes("Traces "))
    .map((line) => `${line}\n`)
    .join("")
})

let failed = 0
let done = 0
const body = JSON.stringify({ model: "test-model", messages: [{ role: "user", content: "hello" }] })
const ask = () =>
  fetch(`http://127.0.0.1:${olla.port}${olla.path}`, { method: "POST", headers: { "content-type": "application/json" }, body })
    .then(async (response) => {
      await response.arrayBuffer()
      if (response.status !== 200) failed++
    })
    .catch(() => failed++)
    .finally(() => done++)
const load = async (forSeconds: number) => {
  const began = performance.now()
  for (let n = 0; n < forSeconds * rate; n++) {
    void ask()
    const due = began + ((n + 1) * 1000) / rate - performance.now()
    if (due > 0) await after(due)
  }
}

const heap = (): Promise<{ readonly heapUsed: number; readonly external: number; readonly rss: number }> =>
  new Promise((resolve) => {
    olla.child.once("message", (message) => resolve(message as never))
    olla.child.send("heap")
  })
const mb = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1)
const told = async (what: string) => {
  const { heapUsed, external } = await heap()
  const metrics = await (await fetch(`http://127.0.0.1:${olla.port}/internal/metrics`)).text()
  const figure = (name: string) =>
    [...metrics.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (.*)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0)
  console.log(
    `${what.padEnd(28)} heap ${mb(heapUsed)} MB, outside of it ${mb(external)} MB, resident ${residentMb(olla.pid).toFixed(0)} MB; ` +
      `spans sent ${figure("olla_trace_spans_exported_total")}, dropped ${figure("olla_trace_spans_dropped_total")}, waiting ${figure("olla_trace_queue_spans")}`
  )
  return { heapUsed, external }
}

const broken: Array<string> = []
await load(warm)
await after(2_000)
const before = await told("after the warm-up")
const story: ReadonlyArray<Mode> = ["hangs", "dead", "fine", "dead", "hangs", "fine"]
for (const mode of story) {
  await collector.turn(mode)
  const resting = mode === "fine"
  await load(seconds / story.length)
  if (resting) await after(35_000)
  const now = await told(`${mode} for ${(seconds / story.length).toFixed(0)} s`)
  const growth = (now.heapUsed + now.external) / (before.heapUsed + before.external) - 1
  if (resting && growth > 0.1) broken.push(`the heap grew by ${(growth * 100).toFixed(1)} %`)
}
await after(500)
const [outages, ends] = ["Traces cannot be sent", "Traces are sent again"].map((words) => said.split(words).length - 1) as [number, number]
console.log(`${done} requests, ${failed} failed; ${outages} outages told, ${ends} ends`)
if (failed > 0) broken.push(`${failed} requests failed`)
if (outages > 2 || ends > outages) broken.push(`${outages} outages were told, and ${ends} ends, of two`)
await olla.stop()
await backend.stop()
for (const each of broken) console.log(`BROKEN: ${each}`)
console.log(broken.length === 0 ? "every promise was kept" : `${broken.length} promises were broken`)
process.exit(broken.length === 0 ? 0 : 1)
