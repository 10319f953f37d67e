/** What arrives behind an nginx with its defaults: it speaks HTTP/1.0 to Olla, and gathers answers unless it is told not to. */
import type { ServerResponse } from "node:http"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"
import { hasNginx, type Nginx, startNginx } from "./nginx.ts"

const engines = [
  ["olla", "olla", {}],
  ["olla on undici", "olla", { OLLA_ENGINE_CLIENT: "undici" }],
  ["sherpa", "sherpa", {}]
] as const

describe.skipIf(!hasNginx).each(engines)("behind nginx (skipped where the machine has none), %s", (_, engine, env) => {
  let backend: ModelServer
  let daemon: Daemon
  let nginx: Nginx

  beforeAll(async () => {
    backend = await new ModelServer(["m"]).start()
    daemon = await startDaemon(
      `proxy: {engine: ${engine}}
discovery: {static: {endpoints: [{url: "${backend.url}", name: a, type: openai-compatible, ${rareChecks}}]}}
`,
      { env }
    )
    nginx = await startNginx(daemon.port)
  })
  beforeEach(() => backend.reset())
  afterEach(() => backend.server.closeAllConnections())
  afterAll(async () => {
    await nginx?.stop()
    await daemon?.stop()
    await backend?.stop()
  })

  const tokens = ["one", "two", "three"]
  const chat = (text: string) =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "m", choices: [{ index: 0, delta: { content: text } }] })}\n\n`

  const post = (path: string) =>
    fetch(`${nginx.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "m", stream: true, max_tokens: 9, messages: [{ role: "user", content: "Hi" }] })
    })

  const routes = [
    ["relayed", "/olla/openai/v1/chat/completions", "text/event-stream"],
    ["relayed as lines", "/olla/proxy/v1/chat/completions", "application/x-ndjson"],
    ["translated", "/olla/anthropic/v1/messages", "text/event-stream"]
  ] as const

  it.each(routes)("each token of a stream that is %s arrives before the next is made", async (_, path, type) => {
    let stream: ServerResponse | undefined
    backend.answer = (res) => {
      res.writeHead(200, { "content-type": type })
      res.write(chat("zero"))
      stream = res
    }
    const answer = await post(path)
    let got = ""
    const left = [...tokens]
    for await (const part of answer.body as ReadableStream<Uint8Array>) {
      got += Buffer.from(part).toString()
      if (!got.includes(tokens[tokens.length - left.length - 1] ?? "zero")) continue
      const next = left.shift()
      if (next === undefined) stream?.end(`data: [DONE]\n\n`)
      else stream?.write(chat(next))
    }
    for (const token of tokens) expect(got).toContain(token)
  })

  it.each(routes.slice(0, 2))("a stream that is %s and breaks off is no whole answer", async (_, path, type) => {
    backend.answer = (res) => {
      res.writeHead(200, { "content-type": type })
      res.write(chat("zero"))
      setTimeout(() => res.socket?.destroy(), 20)
    }
    const answer = await post(path)
    expect(answer.status).toBe(200)
    let got = ""
    await expect(
      (async () => {
        for await (const part of answer.body as ReadableStream<Uint8Array>) got += Buffer.from(part).toString()
      })()
    ).rejects.toThrow()
    expect(got).toContain("zero")
  })

  it("a translated stream that breaks off ends with an event that says so", async () => {
    backend.answer = (res) => {
      res.writeHead(200, { "content-type": "text/event-stream" })
      res.write(chat("zero"))
      setTimeout(() => res.socket?.destroy(), 20)
    }
    expect(await (await post("/olla/anthropic/v1/messages")).text()).toMatch(/event: error\n[^\n]*\n\n$/)
  })
})
