/** A daemon's end as its clients and the balancer in front of it see it: it says so first, and another one takes its port over. */
import { Agent, request } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { freePort } from "./freePort.ts"
import { endpoints, openEnded, type Run, server, start, streaming } from "./lifecycle.ts"

const unlimited = ", rate_limits: {global_requests_per_minute: 0, per_ip_requests_per_minute: 0}"
let backend: SimulatedBackend

interface Answer {
  readonly status: number
  readonly connection: string | undefined
  readonly body: string
}

const ask = (port: number, path: string, agent: Agent, body?: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asking = request({ host: "127.0.0.1", port, path, agent, method: body === undefined ? "GET" : "POST" }, (answer) => {
      let text = ""
      answer.on("data", (chunk: Buffer) => {
        text += chunk.toString()
      })
      answer.once("error", reject)
      answer.once("end", () => resolve({ status: answer.statusCode ?? 0, connection: answer.headers.connection, body: text }))
    })
    asking.once("error", reject)
    asking.end(body)
  })

const once = new Agent({ keepAlive: false })
const chat = '{"model":"llama3.2","messages":[{"role":"user","content":"hi"}]}'

beforeAll(async () => {
  backend = await startBackend({ kind: "openai-compatible", models: ["llama3.2"] })
})
afterAll(async () => {
  once.destroy()
  await backend.stop()
})

describe("a drain delay", () => {
  it("keeps serving while readiness is gone, and every answer is the last one of its connection", async () => {
    const [port, open] = [await freePort(), await openEnded()]
    const run = start(server(port, ", drain_delay: 1h, shutdown_timeout: 0s") + endpoints(open.url))
    await run.saw("Olla started")
    const kept = new Agent({ keepAlive: true })
    expect(await ask(port, "/internal/ready", kept)).toMatchObject({ status: 200, connection: "keep-alive" })
    const stream = await streaming(port)
    run.child.kill("SIGTERM")
    await run.saw("Still serving")
    expect(await ask(port, "/internal/ready", kept)).toEqual({
      status: 503,
      connection: "close",
      body: '{"status":"not_ready","reason":"stopping"}'
    })
    expect(await ask(port, "/olla/proxy/v1/models", once)).toMatchObject({ status: 200, connection: "close" })
    const next = await streaming(port)
    open.finish()
    expect(await next.whole).toContain("[DONE]")
    run.child.kill("SIGTERM")
    expect(await stream.wasCut).toBe(true)
    expect(await run.ended).toBe(143)
    kept.destroy()
  })

  it("is followed by the time that open requests have", async () => {
    const [port, open] = [await freePort(), await openEnded()]
    const run = start(server(port, ", drain_delay: 50ms, shutdown_timeout: 1h") + endpoints(open.url))
    await run.saw("Olla started")
    const stream = await streaming(port)
    run.child.kill("SIGTERM")
    // Nobody listens any more.
    for (let isOpen = true; isOpen; )
      isOpen = await ask(port, "/internal/ready", once).then(
        () => true,
        () => false
      )
    open.finish()
    expect(await stream.whole).toContain("[DONE]")
    expect(await run.ended).toBe(0)
  })
})

describe("a port that is shared", () => {
  const sharing = (port: number) => server(port, `, reuse_port: true, drain_delay: 200ms${unlimited}`)
  /**
   * Once more after a reset, as every SDK does: the system resets a connection that comes in the moment in which a listener closes, and
   * on a busy machine that moment may be long.
   */
  const persistent = (port: number, agent: Agent): Promise<Answer> => {
    const once = () => ask(port, "/olla/proxy/v1/chat/completions", agent, chat)
    return once().catch((error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? once() : Promise.reject(error)))
  }
  /** Asks again and again, over new connections and kept ones, until it is told to end; what went wrong. */
  const load = (port: number) => {
    let isOver = false
    let answered = 0
    const faults: Array<string> = []
    const client = async (agent: Agent) => {
      while (!isOver) {
        await persistent(port, agent).then(
          ({ status, body }) => {
            answered++
            if (status !== 200) faults.push(`${status} ${body}`)
          },
          (error) => faults.push(String(error))
        )
      }
      agent.destroy()
    }
    const clients = [true, false, true, false].map((keepAlive) => client(new Agent({ keepAlive })))
    return {
      answered: () => answered,
      end: async () => {
        isOver = true
        await Promise.all(clients)
        return faults
      }
    }
  }
  const served = (run: Run) => run.records().filter(({ msg }) => msg === "Request completed").length

  it("goes from one daemon to the next without a request that fails", { timeout: 20_000 }, async () => {
    const port = await freePort()
    const yaml = sharing(port) + endpoints(backend.url)
    const old = start(yaml)
    await old.saw("Olla started")
    const clients = load(port)
    const young = start(yaml)
    await young.saw("Olla started")
    old.child.kill("SIGTERM")
    expect(await old.ended).toBe(0)
    const atEnd = clients.answered()
    while (clients.answered() < atEnd + 20) await new Promise((resolve) => setImmediate(resolve))
    expect(await clients.end()).toEqual([])
    expect(served(old)).toBeGreaterThan(0)
    expect(served(young)).toBeGreaterThanOrEqual(20)
  })

  it("is not shared with a daemon that does not want to, in either order", async () => {
    const port = await freePort()
    const alone = start(server(port) + endpoints())
    await alone.saw("Olla started")
    const late = start(sharing(port) + endpoints())
    expect(await late.ended).toBe(1)
    expect(late.out()).toContain(`process ${alone.child.pid} holds it`)
    expect(late.out()).toContain("server.reuse_port too")
  })
})
