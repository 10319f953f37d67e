/** Serving without a file: backends of the command line, of a variable, and of this machine. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask, chat } from "./ask.ts"
import { freePort } from "./freePort.ts"
import { closing, endpoints, type Run, server, start } from "./lifecycle.ts"

const backend = async (kind: "ollama" | "vllm", models: ReadonlyArray<string>): Promise<SimulatedBackend> => {
  const started = await startBackend({ kind, models, text: "Hello ", quiet: true })
  closing.push(() => void started.stop())
  return started
}

const servedBy = async (port: number, model: string): Promise<string> => {
  const answer = await ask(port, { path: "/olla/openai/v1/chat/completions", method: "POST", body: chat(model) })
  return `${answer.status} ${answer.header("x-olla-endpoint")}`
}

const stopped = async (run: Run) => {
  run.child.kill("SIGTERM")
  expect(await run.ended).toBe(0)
}

describe("without a file", () => {
  it("serves what --backend and OLLA_BACKENDS name", async () => {
    const [port, one, other] = [await freePort(), await backend("vllm", ["a"]), await backend("ollama", ["b"])]
    const env = { OLLA_SERVER_PORT: String(port), OLLA_BACKENDS: other.url }
    const run = start(undefined, env, ["--backend", `${one.url},vllm`])
    await run.saw("Olla started")
    expect(await servedBy(port, "a")).toBe(`200 127.0.0.1:${one.port}`)
    expect(await servedBy(port, "b")).toBe(`200 127.0.0.1:${other.port}`)
    await stopped(run)
  })

  it("serves what it finds on this machine, says so in one line, and writes it down when asked", async () => {
    const [port, found] = [await freePort(), await backend("ollama", ["b"])]
    const env = { OLLA_SERVER_PORT: String(port), OLLAMA_HOST: `127.0.0.1:${found.port}` }
    const run = start(undefined, env)
    await run.saw("Olla started")
    expect(await servedBy(port, "b")).toBe(`200 127.0.0.1:${found.port}`)
    const lines = run.records().filter(({ msg }) => String(msg).includes("olla config init"))
    expect(lines).toEqual([expect.objectContaining({ msg: expect.stringContaining(`http://127.0.0.1:${found.port} (ollama)`) })])
    await stopped(run)
    const init = start(undefined, env, ["config", "init"])
    expect(await init.ended).toBe(0)
    expect(init.out()).toContain(`config.yaml is written, with http://127.0.0.1:${found.port} (ollama)`)
    expect(existsSync(join(init.cwd, "config.yaml"))).toBe(true)
  })

  it("says who named an address that is none", async () => {
    const run = start(undefined, {}, ["--backend", "ftp://x"])
    expect(await run.ended).toBe(1)
    expect(run.out()).toContain("--backend: ")
  })
})

describe("with a file", () => {
  it("serves what --backend names beside it", async () => {
    const [port, one, other] = [await freePort(), await backend("vllm", ["a"]), await backend("ollama", ["b"])]
    const run = start(server(port) + endpoints(one.url), {}, ["serve", "--backend", other.url])
    await run.saw("Olla started")
    expect(await servedBy(port, "a")).toBe(`200 127.0.0.1:${one.port}`)
    expect(await servedBy(port, "b")).toBe(`200 127.0.0.1:${other.port}`)
    await stopped(run)
  })
})
