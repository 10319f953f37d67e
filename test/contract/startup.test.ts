/** How soon the daemon answers, whatever its backends do, and what its last words of the start are. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, eventually, quickest, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

interface Troubled {
  readonly url: string
  readonly stop: () => Promise<unknown>
}

const listener = `require("node:net").createServer().listen(0, "127.0.0.1", 1, function () { console.log(this.address().port) })`

/** Its queue of connections is full and nobody takes from it: a connection is never made. */
const hangingAtConnect = async (): Promise<Troubled> => {
  const child: ChildProcess = spawn(process.execPath, ["-e", listener], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer]
  const port = Number(String(line))
  child.kill("SIGSTOP")
  const sockets: Array<Socket> = []
  for (let n = 0; n < 4; n++) sockets.push(connect(port, "127.0.0.1").on("error", () => {}))
  await once(sockets[0] as Socket, "connect")
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      child.kill("SIGKILL")
    }
  }
}

const refusing = async (): Promise<Troubled> => ({ url: `http://127.0.0.1:${await freePort()}`, stop: async () => {} })

const hangingAt = async (scope: "health" | "listing"): Promise<Troubled> => {
  const backend: SimulatedBackend = await startBackend({ kind: "vllm", models: ["m"] })
  backend.setFault({ _tag: "hang" }, scope)
  return backend
}

const toFirstAnswer = async (yaml: string): Promise<{ readonly millis: number; readonly daemon: Daemon }> => {
  const since = performance.now()
  const daemon = await startDaemon(yaml, { settles: false })
  expect((await fetch(`${daemon.url}/internal/health`)).status).toBe(200)
  return { millis: performance.now() - since, daemon }
}

const alone = async (): Promise<number> => {
  const { millis, daemon } = await toFirstAnswer("discovery: {static: {endpoints: []}}\n")
  await daemon.stop()
  return millis
}

describe("the daemon answers within 3 s of its start", () => {
  it.each([
    ["refuses", refusing, "connection refused: troubled"],
    ["hangs when it is connected to", hangingAtConnect, "not checked yet: troubled"],
    ["hangs at its health route", () => hangingAt("health"), "not checked yet: troubled"],
    ["hangs at its listing", () => hangingAt("listing"), undefined]
  ] as const)(
    "beside a backend that %s",
    async (_, trouble, why) => {
      const well = await startBackend({ kind: "vllm", models: ["well"] })
      const troubled = await trouble()
      const more = "check_interval: 1m, check_timeout: 28s"
      const yaml = `discovery:\n  static:\n    endpoints:\n      - {url: "${troubled.url}", type: vllm, name: troubled, ${more}}\n      - {url: "${well.url}", type: vllm, name: well, ${more}}\n`
      try {
        // On a busy machine the start alone takes longer than all of it should.
        const limit = Math.max(3000, 2500 + (await alone()))
        const millis = await quickest(limit, async () => {
          const started = await toFirstAnswer(yaml)
          try {
            const answer = await fetch(`${started.daemon.url}/olla/openai/v1/chat/completions`, {
              method: "POST",
              headers: { "content-type": "application/json" },
              body: JSON.stringify({ model: "well", messages: [{ role: "user", content: "hi" }] })
            })
            expect(answer.status).toBe(200)
            const output = await eventually(started.daemon.output, (text) => text.includes("Olla started"))
            if (why !== undefined) expect(output).toContain(`1 of 2 endpoints reachable: ${why}`)
            expect(output).toMatch(new RegExp(`"Olla started".*"endpoints":"${why === undefined ? 2 : 1}/2"`))
          } finally {
            await started.daemon.stop()
          }
          return started.millis
        })
        if (process.env["SHOW_FIGURES"] !== undefined) process.stdout.write(`${_}: ${Math.round(millis)} ms\n`)
        expect(millis).toBeLessThan(limit)
      } finally {
        await troubled.stop()
        await well.stop()
      }
    },
    40_000
  )
})
