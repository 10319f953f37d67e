import { createServer, type RequestListener } from "node:http"
import { createServer as createTcpServer, type Server } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { findServers, localCandidates, ollamaUrl } from "../../src/endpoint/LocalServers.ts"
import { detectionOf } from "../../src/profile/Detection.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { startBackend } from "../../src/simulator/Backend.ts"
import { profiles } from "../catalogue/fakes.ts"

const closing: Array<() => unknown> = []
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()))
})

const listening = async (server: Server): Promise<string> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`
}
const serving = (answer: RequestListener) => listening(createServer(answer))

const detection = detectionOf(profiles.all)

describe("OLLAMA_HOST", () => {
  it.each([
    ["", undefined],
    ["127.0.0.1", "http://127.0.0.1:11434"],
    ["0.0.0.0", "http://localhost:11434"],
    ["0.0.0.0:11435", "http://localhost:11435"],
    [":11435", "http://localhost:11435"],
    ["[::]:11435", "http://localhost:11435"],
    ["[::1]", "http://[::1]:11434"],
    ['"gpu:1"', "http://gpu:1"],
    ["http://gpu", "http://gpu"],
    ["https://gpu.example/ollama/", "https://gpu.example/ollama"],
    ["http://gpu:1/", "http://gpu:1"],
    ["a b", undefined]
  ])("%j is %s", (text, url) => expect(ollamaUrl(text)).toBe(url))
})

describe("the addresses that are looked at", () => {
  const { all } = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })

  it("are those that the profiles name, each once, behind OLLAMA_HOST", () => {
    const urls = localCandidates(all, { OLLAMA_HOST: "0.0.0.0:5" })
    expect(urls[0]).toBe("http://localhost:5")
    for (const port of [11434, 1234, 8000, 8080, 12434]) expect(urls).toContain(`http://localhost:${port}`)
    expect(new Set(urls).size).toBe(urls.length)
  })
})

describe("a look around", () => {
  it("finds servers by their answers, in order", async () => {
    const [ollama, vllm] = await Promise.all([
      startBackend({ kind: "ollama", models: ["m"], quiet: true }),
      startBackend({ kind: "vllm", models: ["n"], quiet: true })
    ])
    closing.push(
      () => ollama.stop(),
      () => vllm.stop()
    )
    expect(await findServers([vllm.url, ollama.url], detection)).toEqual([
      { url: vllm.url, type: "vllm" },
      { url: ollama.url, type: "ollama" }
    ])
  })

  it("takes nobody for a server who is not: nothing there, silent, no HTTP, other pages, endless, an Olla", async () => {
    const nobody = await listening(createTcpServer())
    const other = await serving((_request, response) => response.end("<html>"))
    const endless = await serving((_request, response) => {
      const more = () => {
        while (response.writable && response.write(Buffer.alloc(65_536, "["))) {}
      }
      response.on("drain", more)
      more()
    })
    const olla = await serving((_request, response) => response.setHeader("X-Olla-Request-ID", "a").end('{"data":[]}'))
    const noHttp = await listening(createTcpServer((socket) => socket.end("SSH-2.0\r\n")))
    const started = performance.now()
    expect(await findServers([nobody, other, endless, olla, noHttp, "http://127.0.0.1:1", "nonsense"], detection, 500)).toEqual([])
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})
