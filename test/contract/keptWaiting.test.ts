/** Streams of chat completions that are relayed as they come: their clients hear something while the server has not even sent a head. */
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Daemon, startDaemon } from "./daemon.ts"
import { json, ScriptedModel } from "./scriptedModel.ts"

describe.each(["olla", "sherpa"])("on the %s engine, a client that waits", (engine) => {
  const server = new ScriptedModel(["slow"])
  let daemon: Daemon

  beforeAll(async () => {
    await server.start()
    daemon = await startDaemon(
      `proxy: {engine: ${engine}}\ntranslation: {keep_alive: {first: 1ms, interval: 1ms}}\ndiscovery: {static: {endpoints: [{url: "${server.url}", name: a, type: openai-compatible, check_interval: 1h}]}}\n`
    )
  })

  afterAll(async () => {
    await daemon?.stop()
    await server.stop()
  })

  /** `answer`: called once the client has heard something. */
  const turn = async (answer: () => void): Promise<{ readonly status: number; readonly text: string }> => {
    const body = JSON.stringify({ model: "slow", stream: true, messages: [{ role: "user", content: "Hi" }] })
    const response = await fetch(`${daemon.url}/v1/chat/completions`, { method: "POST", body })
    expect([response.status, response.headers.get("content-type"), response.headers.get("x-olla-endpoint")]).toEqual([
      200,
      "text/event-stream",
      "a"
    ])
    let text = ""
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      if (text === "") answer()
      text += piece
    }
    return { status: response.status, text }
  }

  it("gets comments, then the stream as it comes", async () => {
    let go = () => {}
    server.answer = (_req, res) => {
      go = () => {
        res.writeHead(200, { "content-type": "text/event-stream" })
        res.end('data: {"choices":[{"index":0,"delta":{"content":"late"}}]}\n\ndata: [DONE]\n\n')
      }
    }
    const { text } = await turn(() => go())
    expect(text).toMatch(/^(: keep-alive\n\n)+data: \{"choices":\[\{"index":0,"delta":\{"content":"late"\}\}\]\}\n\ndata: \[DONE\]\n\n$/)
  })

  it("is told of an error in its stream", async () => {
    let go = () => {}
    server.answer = (_req, res) => {
      go = () => json(res, 400, { error: { message: "no such voice" } })
    }
    const { text } = await turn(() => go())
    expect(text).toMatch(/^(: keep-alive\n\n)+data: \{"error":\{"message":"no such voice"/)
    expect(text).not.toContain("[DONE]")
  })

  it("is none whose stream begins at once, or who wants a whole answer", async () => {
    server.reset()
    server.turns = [{ text: ["Hi"], stop: "end_turn" }]
    const client = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: "any", maxRetries: 0 })
    const answer = await client.chat.completions.create({ model: "slow", messages: [{ role: "user", content: "Hi" }] })
    expect(answer.choices[0]?.message.content).toBe("Hi")
  })
})
