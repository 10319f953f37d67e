/**
 * A daemon whose file descriptors are used up: it says so, and blames no backend. With each client of backends: `olla`'s own, undici, and
 * undici over TLS; by address and by a name, which cannot be looked up then.
 */
import { execFileSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { Agent, request } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"

const isSettable = (): boolean => {
  try {
    execFileSync("prlimit", ["--version"], { stdio: "ignore" })
    return readdirSync("/proc/self/fd").length > 0
  } catch {
    return false
  }
}

const chat = JSON.stringify({ model: "m", max_tokens: 5, messages: [{ role: "user", content: "hi" }] })

describe.runIf(isSettable()).each(["olla", "sherpa"])("without a file descriptor left, with the engine %s,", (engine) => {
  let backend: SimulatedBackend
  let daemon: Daemon
  /** One connection, from before. */
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })

  const ask = (method: string, path: string, body = "") =>
    new Promise<{ status: number; text: string; retryAfter: string | undefined }>((resolve, reject) => {
      const asking = request(`${daemon.url}${path}`, { method, agent, headers: { "content-type": "application/json" } }, (answer) => {
        let text = ""
        answer.on("data", (bytes: Buffer) => {
          text += bytes.toString()
        })
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text, retryAfter: answer.headers["retry-after"] }))
      })
      asking.on("error", reject)
      asking.end(body)
    })

  /** What is open stays open; the next one would be the first number that is free. */
  const useUp = () => {
    const pid = String(daemon.child.pid)
    const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
    let free = 0
    while (open.has(free)) free++
    execFileSync("prlimit", ["--pid", pid, `--nofile=${free}`])
  }

  beforeAll(async () => {
    backend = await startBackend({ kind: "vllm", models: ["m"] })
    const { port } = new URL(backend.url)
    const endpoint = (name: string, url: string) =>
      `      - {url: "${url}", name: ${name}, type: vllm, ${rareChecks}, health_check: none}\n`
    const endpoints = [
      endpoint("address", backend.url),
      endpoint("name", `http://localhost:${port}`),
      endpoint("secure", `https://127.0.0.1:${port}`)
    ]
    // A look at the load that ends meanwhile would give its descriptor back.
    const quiet = "traffic: {signals: {interval: 0s}}"
    daemon = await startDaemon(`proxy: {engine: ${engine}}\n${quiet}\ndiscovery:\n  static:\n    endpoints:\n${endpoints.join("")}`)
    await ask("GET", "/internal/health")
  })
  afterAll(async () => {
    agent.destroy()
    await daemon?.stop()
    await backend?.stop()
  })

  it.each(["/olla/proxy/v1/chat/completions", "/olla/anthropic/v1/messages"])(
    "a request is told so, and when to come again (%s)",
    async (path) => {
      useUp()
      const answer = await ask("POST", path, chat)
      expect(answer).toMatchObject({ status: 503, retryAfter: "1", text: expect.stringContaining("Olla has no file descriptor left") })
    }
  )

  it("no endpoint is blamed", async () => {
    const { text } = await ask("GET", "/internal/status/endpoints")
    const { endpoints } = JSON.parse(text) as { readonly endpoints: ReadonlyArray<Record<string, unknown>> }
    expect(endpoints.map(({ name, status, circuit_breaker }) => [name, status, circuit_breaker])).toEqual(
      endpoints.map(({ name }) => [name, expect.not.stringMatching(/offline|unhealthy/), engine === "olla" ? "closed" : expect.anything()])
    )
  })
})
