/** A small load under reloads of all kinds: nobody notices, and nothing of what went is held. `bench/reloads.ts` is the large one. */
import { writeFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { chat } from "./ask.ts"
import { type Daemon, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"
import type { Held } from "./heldProbe.ts"

const root = join(import.meta.dirname, "..", "..")
const agent = new Agent({ keepAlive: true })
/** Two of each kind: the first one stays, the second one comes and goes. */
let slow: ReadonlyArray<SimulatedBackend>
let quick: ReadonlyArray<SimulatedBackend>
let daemon: Daemon

const balancers = ["priority", "round-robin", "least-connections"]
const yamlOf = (n: number): string => {
  const isBack = n % 2 === 0
  const own = `priority: ${1 + ((n * 7) % 5)}, headers: {X-Turn: "${n}"}, auth: {type: bearer, token_file: token}`
  const entries = [...slow, ...quick].flatMap((backend, i) =>
    isBack || i % 2 === 0 ? [{ name: i === 0 ? `first-${n}` : `b${i}`, backend, extra: own }] : []
  )
  return `${endpointsYaml(entries, rareChecks)}proxy: {load_balancer: ${balancers[n % 3]}, engine: ${n % 4 < 2 ? "olla" : "sherpa"}}
model_aliases: {big: [m], alias-${n}: [m]}
logging: {level: ${isBack ? "info" : "warn"}}
`
}
const write = (n: number, more = ""): void => {
  writeFileSync(join(daemon.folder, "token"), `secret-${n}`)
  daemon.rewrite(yamlOf(n) + more)
}

/** What went wrong; empty: an answer, whole. */
const ask = (path: string, body: string, wanted: number, last = ""): Promise<string> =>
  new Promise((resolve) => {
    const headers = { "X-Olla-Action": "1" }
    const asking = request({ agent, host: "127.0.0.1", port: daemon.port, method: "POST", path, headers }, (answer) => {
      let text = ""
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString()
      })
      answer.on("error", (error) => resolve(error.message))
      answer.on("close", () => {
        const isWhole = answer.complete && answer.statusCode === wanted && text.includes(last)
        resolve(isWhole ? "" : `${answer.statusCode}, ${answer.complete ? text : "cut"}`)
      })
    })
    asking.on("error", (error) => resolve(error.message))
    asking.end(body)
  })
const complete = (model: string, stream: boolean) =>
  ask("/olla/proxy/v1/chat/completions", chat(model, stream), 200, stream ? "[DONE]" : "")

let told = ""
const held = async (): Promise<Held> => {
  told = ""
  daemon.child.kill("SIGUSR2")
  const line = await eventually(
    () => /held (.*)\n/.exec(told)?.[1],
    (found) => found !== undefined
  )
  return JSON.parse(line ?? "{}")
}

beforeAll(async () => {
  const two = (model: string, rest: object) =>
    [1, 2].map(() => startBackend({ kind: "openai-compatible", models: [model], quiet: true, ...rest }))
  slow = await Promise.all(two("s", { tokens: 12, tokensPerSecond: 20 }))
  quick = await Promise.all(two("m", { tokens: 4 }))
  daemon = await startDaemon(yamlOf(0), {
    files: { token: "secret-0" },
    env: { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "heldProbe.ts")).href}`, OLLA_DIST: join(root, "dist") }
  })
  daemon.child.stderr?.on("data", (chunk: Buffer) => {
    told += chunk.toString()
  })
})
afterAll(async () => {
  agent.destroy()
  await daemon?.stop()
  await Promise.all([...(slow ?? []), ...(quick ?? [])].map((backend) => backend.stop()))
})

it("ten reloads under streams and requests fail none of them, and leave nothing behind", async () => {
  const failures: Array<string> = []
  const count = async (what: string, asked: Promise<string>) => {
    const why = await asked
    if (why !== "") failures.push(`${what}: ${why}`)
  }
  let runs = true
  const streams = Promise.all(
    Array.from({ length: 20 }, async () => {
      while (runs) await count("stream", complete("s", true))
    })
  )
  for (let n = 1; n <= 10; n++) {
    write(n, n === 5 ? "proxy: [" : "")
    const before = Array.from({ length: 15 }, (_, i) => count("request", complete(i % 2 === 0 ? "m" : "big", i % 3 === 0)))
    const reload = count("reload", ask("/internal/reload", "", n === 5 ? 422 : 200))
    const after = Array.from({ length: 15 }, (_, i) => count("request", complete(i % 2 === 0 ? "m" : "big", i % 3 === 0)))
    await Promise.all([...before, reload, ...after])
  }
  runs = false
  await streams
  expect(failures).toEqual([])
  // Pools that are of no use go at the next sweep.
  await eventually(held, ({ endpoints, pools }) => endpoints === 4 && pools <= 4)
})
