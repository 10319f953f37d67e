/** The demo as a newcomer has it: break a backend with a key, see the next one answer, end with another key. */
import { spawn } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import OpenAI from "openai"
import { expect, it } from "vitest"
import { ask, chat } from "./ask.ts"
import { freePort } from "./freePort.ts"

const startDemo = async (...words: ReadonlyArray<string>) => {
  const port = await freePort()
  const child = spawn(process.execPath, [join(import.meta.dirname, "..", "..", "dist", "main.js"), "demo", ...words], {
    cwd: mkdtempSync(join(tmpdir(), "olla-demo-")),
    env: { PATH: process.env["PATH"] ?? "", OLLA_SERVER_PORT: String(port) },
    stdio: ["pipe", "pipe", "pipe"]
  })
  const said = { out: "", err: "" }
  child.stdout.on("data", (chunk: Buffer) => {
    said.out += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    said.err += chunk.toString()
  })
  const saw = (text: string | RegExp) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (typeof text === "string" ? said.err.includes(text) : text.test(said.err)) resolve()
      }
      child.stderr.on("data", look)
      look()
    })
  const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)))
  return { port, child, said, saw, ended }
}

it("tells a story until q ends it", async () => {
  const { child, said, saw, ended } = await startDemo("--story", "failover")
  await saw(/ -- all three are well --\n +\d+ s {2}chat: [1-9]\d* answers; first token .*\n +by gpu-1 \d+, gpu-2 \d+, gpu-3 \d+/)
  child.stdin.write("q")
  expect(await ended).toBe(0)
  expect(said.out).toBe("")
})

it("fails over when a key stops the backend that answered, with a line a request, and ends with q", async () => {
  const { port, child, said, saw, ended } = await startDemo()
  await saw("q ends")
  const answeredBy = async () => {
    const answer = await ask(port, {
      path: "/olla/openai/v1/chat/completions",
      method: "POST",
      body: chat("meta-llama/Llama-3.3-70B-Instruct")
    })
    expect(answer.status).toBe(200)
    return answer.header("x-olla-endpoint")
  }
  const first = await answeredBy()
  const key = first === "gpu-1" ? "2" : "3"
  child.stdin.write(key)
  await saw(`${key} ${first} is stopped`)
  expect(await answeredBy()).toBe(first === "gpu-1" ? "gpu-2" : "gpu-1")
  // The official client hangs up at the last event of a stream: that is no client that left.
  const openai = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "any", maxRetries: 0 })
  const messages = [{ role: "user" as const, content: "Hello" }]
  for await (const _ of await openai.chat.completions.create({ model: "gemma-3-12b", stream: true, messages }));
  child.stdin.write("q")
  expect(await ended).toBe(0)
  const requests = said.out.split("\n").filter((line) => /"msg":"[^"]*Request/.test(line))
  expect(requests.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({ msg: "Request completed", endpoint: first }),
    expect.objectContaining({ msg: "Request completed", endpoint: first === "gpu-1" ? "gpu-2" : "gpu-1" }),
    expect.objectContaining({ msg: "Request completed", endpoint: "studio" })
  ])
}, 60_000)
