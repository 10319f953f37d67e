/** `traffic.queue.keep_alive`: what clients of streams hear while nobody answers, whatever they wait for, and what becomes of them then. */
import { request, type ServerResponse } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"
import { type Asked, json, ScriptedModel } from "./scriptedModel.ts"

const turns = [{ text: ["Hi"], stop: "end_turn" as const }]

/** Waits with every answer until a test lets it go. */
class WaitingServer extends ScriptedModel {
  readonly #held = new Map<string, Array<() => void>>()
  readonly #heard = new Map<string, () => void>()

  constructor(models: ReadonlyArray<string>) {
    super(models)
    this.turns = turns
    this.answer = (_req, res, asked) => {
      const { model } = asked.body
      const held = this.#held.get(model) ?? []
      held.push(() => this.reply(res, asked))
      this.#held.set(model, held)
      this.#heard.get(model)?.()
    }
  }

  reply: (res: ServerResponse, asked: Asked) => void = (res, asked) => this.say(res, asked)

  async asks(model: string): Promise<void> {
    if ((this.#held.get(model)?.length ?? 0) === 0) await new Promise<void>((resolve) => this.#heard.set(model, resolve))
  }

  /** Answers the one that came first. */
  async go(model: string): Promise<void> {
    await this.asks(model)
    this.#held.get(model)?.shift()?.()
  }
}

const paths = {
  chat: "/v1/chat/completions",
  provider: "/olla/openai/v1/chat/completions",
  completions: "/olla/proxy/v1/completions",
  messages: "/olla/anthropic/v1/messages",
  responses: "/v1/responses",
  ollama: "/api/chat"
}

describe.each(["olla", "sherpa"])("on the %s engine, the client of a stream that waits", (engine) => {
  const native = new WaitingServer(["native"])
  const plain = new WaitingServer(["chat", "completions", "messages", "responses", "ollama", "whole", "bad", "clock", "left"])
  const one = new WaitingServer(["one", "full", "leaves"])
  const pair = [new WaitingServer(["second", "none"]), new WaitingServer(["second", "none"])]
  const away = new WaitingServer(["away"])
  let daemon: Daemon

  beforeAll(async () => {
    const servers = [native, plain, one, ...pair, away]
    for (const server of servers) await server.start()
    const endpoint = (name: string, { url }: WaitingServer, type: string, extra = "") =>
      `{url: "${url}", name: ${name}, type: ${type}, ${rareChecks}${extra}}`
    const [first, second] = pair as [WaitingServer, WaitingServer]
    const endpoints = [
      endpoint("native", native, "vllm"),
      endpoint("plain", plain, "sglang"),
      endpoint("one", one, "sglang", ", max_concurrent: 1"),
      endpoint("first", first, "sglang"),
      endpoint("second", second, "sglang"),
      endpoint("away", away, "sglang")
    ]
    daemon = await startDaemon(
      `proxy: {engine: ${engine}}\ntraffic: {queue: {keep_alive: 1ms, hold: 1500ms}}\ndiscovery: {static: {endpoints: [${endpoints.join(", ")}]}}\n`
    )
    await away.stop()
  })

  afterAll(async () => {
    await daemon?.stop()
    for (const server of [native, plain, one, ...pair]) await server.stop()
  })

  interface Heard {
    readonly status: number
    readonly type: string | undefined
    /** All of it, once the answer has ended. */
    readonly text: Promise<string>
    readonly closed: Promise<void>
    readonly leave: () => void
  }

  /** Resolves when the head of an answer is there. */
  const turn = (path: string, model: string, headers: Readonly<Record<string, string>> = {}, stream = true): Promise<Heard> =>
    new Promise((resolve, reject) => {
      const req = request({
        host: "127.0.0.1",
        port: daemon.port,
        method: "POST",
        path,
        headers: { "content-type": "application/json", ...headers }
      })
      req.on("error", reject)
      req.on("response", (res) => {
        const closed = new Promise<void>((done) => res.socket.once("close", () => done()))
        const text = new Promise<string>((done) => {
          let all = ""
          res.setEncoding("utf8").on("data", (piece: string) => {
            all += piece
          })
          res.on("close", () => done(all))
          res.on("error", () => {})
        })
        resolve({ status: res.statusCode ?? 0, type: res.headers["content-type"], text, closed, leave: () => req.destroy() })
      })
      const messages = [{ role: "user", content: "Hi" }]
      req.end(
        JSON.stringify({
          model,
          stream,
          max_tokens: 9,
          ...(path.includes("responses")
            ? { input: messages }
            : path.includes("/completions") && !path.includes("chat")
              ? { prompt: "Hi" }
              : { messages })
        })
      )
    })

  const lines = async (text: Promise<string>): Promise<ReadonlyArray<string>> => (await text).split("\n").filter((line) => line !== "")
  const tells = (name: string, attempts = 1) => new RegExp(`^: olla endpoint=${name} attempts=${attempts} queue_ms=\\d+$`)

  it.concurrent.each([
    ["chat", paths.chat, "[DONE]"],
    ["chat", paths.provider, "[DONE]"],
    ["completions", paths.completions, "[DONE]"],
    ["responses", paths.responses, "response.completed"]
  ] as const)("hears comments, then whose answer it is, then the answer (%s, %s)", async (model, path, end) => {
    const heard = await turn(path, model)
    expect([heard.status, heard.type]).toEqual([200, "text/event-stream"])
    await plain.go(model)
    const [first, ...rest] = (await lines(heard.text)).filter((line, at, all) => line !== all[at - 1])
    expect(first).toBe(": olla waiting position=0")
    expect(rest[0]).toMatch(tells("plain"))
    expect(rest.filter((line) => line.startsWith(":"))).toHaveLength(1)
    expect(rest.join("\n")).toContain("Hi")
    expect(rest.join("\n")).toContain(end)
  })

  it.concurrent.each([
    ["messages", "plain"],
    ["native", "native"]
  ] as const)("of Messages hears pings, in translation or not (%s)", async (model, name) => {
    const heard = await turn(paths.messages, model)
    expect([heard.status, heard.type]).toEqual([200, "text/event-stream"])
    await (name === "plain" ? plain : native).go(model)
    const all = await lines(heard.text)
    expect(all.slice(0, 2)).toEqual(["event: ping", 'data: {"type":"ping"}'])
    const at = all.findIndex((line) => tells(name).test(line))
    expect(all[at + 1]).toBe("event: message_start")
    expect(all.join("\n")).toContain("message_stop")
  })

  it.concurrent("stands in a line, and is told where", async () => {
    const before = turn(paths.chat, "one", {}, false)
    await one.asks("one")
    const heard = await turn(paths.chat, "one")
    await one.go("one")
    expect((await before).status).toBe(200)
    await one.go("one")
    const all = await lines(heard.text)
    expect(all[0]).toMatch(/^: olla waiting position=[1-9]/)
    expect(all.find((line) => line.includes("queue_ms"))).toMatch(/^: olla endpoint=one attempts=1 queue_ms=[1-9]\d*$/)
    expect(all.at(-1)).toBe("data: [DONE]")

    const again = turn(paths.chat, "full", {}, false)
    await one.asks("full")
    const tooLong = await turn(paths.chat, "full", { "x-olla-max-wait": "1500ms" })
    const turnedAway = await turn(paths.messages, "full", { "x-olla-max-wait": "1500ms" })
    const told = await lines(tooLong.text)
    expect(told.at(-1)).toMatch(/^data: \{"error":.*queue_timeout/)
    expect(told.filter((line) => line.startsWith("data:"))).toHaveLength(1)
    await tooLong.closed
    expect((await lines(turnedAway.text)).slice(-2).join("\n")).toMatch(/^event: error\ndata: \{"type":"error".*queue_timeout/)

    const leaver = await turn(paths.chat, "leaves")
    leaver.leave()
    const traffic = async () => (await ask(daemon.port, { path: "/internal/status/traffic" })).json()
    while ((await traffic()).queue.by_model.leaves !== undefined) await new Promise((resolve) => setTimeout(resolve, 5))
    await one.go("full")
    await again
    const metrics = (await ask(daemon.port, { path: "/internal/metrics" })).text
    expect(metrics).toMatch(/olla_cancelled_total\{phase="queued"\} 1/)
    const lane = (await traffic()).lanes.find(({ model }: { model: string }) => model === "full")
    expect(lane.in_flight).toBe(0)
  })

  it.concurrent("is served by another endpoint when one fails", async () => {
    const heard = await turn(paths.chat, "second")
    let failed = 0
    for (const server of pair)
      server.reply = (res, asked) => (failed++ === 0 ? json(res, 503, { error: { message: "busy" } }) : server.say(res, asked))
    await Promise.all(pair.map((server) => server.go("second")))
    const all = await lines(heard.text)
    expect(all.find((line) => line.includes("endpoint="))).toMatch(tells("(first|second)", 2))
    expect(all.at(-1)).toBe("data: [DONE]")
  })

  it.concurrent("is told of an error in its stream, which is then closed", async () => {
    plain.reply = (res, asked) =>
      asked.body.model === "bad" ? json(res, 400, { error: { message: "no such voice" } }) : plain.say(res, asked)
    for (const [path, start] of [
      [paths.chat, 'data: {"error"'],
      [paths.completions, 'data: {"error"'],
      [paths.messages, 'data: {"type":"error"'],
      [paths.responses, "data: "]
    ] as const) {
      const heard = await turn(path, "bad")
      await plain.go("bad")
      const all = await lines(heard.text)
      expect(all.at(-1)?.startsWith(start), path).toBe(true)
      expect(all.at(-1)).toContain("no such voice")
      expect(all.join("\n")).not.toContain("[DONE]")
      await heard.closed
    }
  })

  it.concurrent("waits for somebody to come back, and is told when nobody does", async () => {
    const heard = await turn(paths.chat, "away")
    expect(heard.status).toBe(200)
    const all = await lines(heard.text)
    expect(all[0]).toMatch(/^: olla waiting position=\d+$/)
    expect(all.at(-1)).toMatch(/^data: \{"error"/)
    await heard.closed
  })

  it.concurrent("leaves, and so does the request", async () => {
    const heard = await turn(paths.chat, "left")
    await plain.asks("left")
    heard.leave()
    while (!plain.asked.some(({ body, aborted }) => body.model === "left" && aborted))
      await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it.concurrent("gets the status that it should where comments cannot be", async () => {
    for (const [path, model, stream] of [
      [paths.ollama, "ollama", true],
      [paths.chat, "whole", false]
    ] as const) {
      const answer = turn(path, model, {}, stream)
      await plain.asks(model)
      // All are looked at together: who came later has been sent something.
      const other = await turn(paths.chat, "clock")
      other.leave()
      await plain.go(model)
      const { text, type } = await answer
      expect(type).not.toContain("event-stream")
      expect(await text).not.toContain("olla waiting")
    }
  })
})
