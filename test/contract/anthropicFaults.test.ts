/** Messages when something goes wrong: backends that lie, break off, refuse or are gone, and clients that leave. Both engines. */
import { gzipSync } from "node:zlib"
import Anthropic from "@anthropic-ai/sdk"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"
import { chatCompletion, chatStream, json, message, messageStream, ScriptedModel, type Turn } from "./scriptedModel.ts"

const hello: Turn = { text: ["Hel", "lo"], stop: "end_turn" }

const endpoint = (name: string, type: string, url: string) =>
  `      - {url: "${url}", name: ${name}, type: ${type}, health_check_url: /v1/models, model_url: /v1/models, check_interval: 60s}\n`

describe.each(["olla", "sherpa"])("on the %s engine", (engine) => {
  const native = new ScriptedModel(["native-model", "mixed-model"])
  const plain = new ScriptedModel(["plain-model", "mixed-model", "gone-mixed"])
  const gone = new ScriptedModel(["gone-mixed"])
  const lost = new ScriptedModel(["lost-model"])
  const docker = new ScriptedModel(["docker-model"])
  const older = new ScriptedModel(["older-model"])
  let daemon: Daemon
  let client: Anthropic

  beforeAll(async () => {
    await Promise.all([native.start(), plain.start(), gone.start(), lost.start(), docker.start(), older.start()])
    // Errors are relayed, whatever they say: nothing is paused or left out for them.
    daemon = await startDaemon(
      `proxy: {engine: ${engine}}\ntraffic: {failover: {statuses: []}}\ndiscovery:\n  static:\n    endpoints:\n${endpoint("native", "llamacpp", native.url)}${endpoint("plain", "sglang", plain.url)}${endpoint("gone", "lmstudio", gone.url)}${endpoint("lost", "sglang", lost.url)}${endpoint("docker", "dmr", docker.url)}${endpoint("older", "llamacpp", older.url)}`
    )
    client = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: "any", maxRetries: 0 })
    await Promise.all([gone.stop(), lost.stop()])
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([native.stop(), plain.stop(), docker.stop(), older.stop()])
  })
  afterEach(() => {
    for (const model of [native, plain, docker, older]) model.reset()
  })

  interface Said {
    readonly status: number
    readonly headers: Headers
    readonly text: string
    /** The connection ended badly. */
    readonly cut: boolean
  }

  const post = async (body: unknown, path = "/v1/messages", headers: Record<string, string> = {}): Promise<Said> => {
    const answer = await fetch(`${daemon.url}/olla/anthropic${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body)
    })
    const decoder = new TextDecoder()
    let text = ""
    try {
      for await (const bytes of answer.body ?? []) text += decoder.decode(bytes as Uint8Array, { stream: true })
      return { status: answer.status, headers: answer.headers, text, cut: false }
    } catch {
      return { status: answer.status, headers: answer.headers, text, cut: true }
    }
  }
  const ask = (model: string, stream = false, more: object = {}) => ({
    model,
    max_tokens: 9,
    stream,
    messages: [{ role: "user", content: "Hi" }],
    ...more
  })
  const errorOf = (said: Said) => (JSON.parse(said.text) as { error: { type: string; message: string } }).error
  const lastEvent = (said: Said) =>
    JSON.parse(said.text.trim().split("\n\n").at(-1)?.split("\ndata: ")[1] ?? "{}") as Record<string, unknown>

  const statistics = async () => {
    const answer = (await (await fetch(`${daemon.url}/internal/stats/translators`)).json()) as {
      translators: ReadonlyArray<Record<string, number>>
    }
    return { failed_requests: 0, ...answer.translators[0] }
  }
  /** What it does is on record as one more failure. */
  const failing = async (run: () => Promise<unknown>) => {
    const before = (await statistics()).failed_requests
    await run()
    const after = await eventually(statistics, ({ failed_requests }) => failed_requests > before)
    expect(after.failed_requests).toBe(before + 1)
  }

  describe("a backend that is gone", () => {
    // First: until somebody asks, nobody knows that it is gone.
    it("is replaced by one that can only be translated for", async () => {
      plain.turns = [hello]
      const said = await post(ask("gone-mixed"))
      expect([said.status, said.headers.get("x-olla-endpoint"), said.headers.get("x-olla-mode")]).toEqual([200, "plain", null])
    })

    it("is a 502 in the API's form, whole and streamed, and a failure", async () => {
      await failing(async () => {
        const said = await post(ask("lost-model", true))
        expect([said.status, errorOf(said).type]).toEqual([502, "api_error"])
        expect(errorOf(said).message).toMatch(/^proxy error: /)
        expect(said.text).not.toContain("127.0.0.1")
      })
    })
  })

  describe("a translated answer", () => {
    it.each([
      ["nothing at all", (res) => json(res, 200, undefined), /without a word/],
      ["an HTML page", (res) => res.writeHead(200, { "content-type": "text/html" }).end("<html>hi</html>"), /failed to parse/],
      ["JSON without choices", (res) => json(res, 200, { hello: 1 }), /no choices/],
      ["choices of another kind", (res) => json(res, 200, { choices: ["x"] }), /invalid choice format/],
      ["a choice without a message", (res) => json(res, 200, { choices: [{}] }), /no message in choice/],
      ["a redirect", (res) => res.writeHead(302, { location: "/elsewhere" }).end(), /answered with a redirect/]
    ] satisfies ReadonlyArray<readonly [string, (res: import("node:http").ServerResponse) => unknown, RegExp]>)(
      "that is %s is a 502 and a failure, whole and streamed",
      async (_, answer, text) => {
        plain.answer = (_req, res) => {
          answer(res)
        }
        for (const stream of [false, true]) {
          await failing(async () => {
            const said = await post(ask("plain-model", stream))
            expect([said.status, said.headers.get("content-type"), errorOf(said).type]).toEqual([502, "application/json", "api_error"])
            expect(errorOf(said).message).toMatch(text)
            expect(said.headers.get("request-id")).toBe(said.headers.get("x-olla-request-id"))
          })
        }
      }
    )

    it("that is JSON where a stream was asked for becomes a stream", async () => {
      plain.answer = (_req, res) => json(res, 200, chatCompletion({ ...hello, tools: [{ id: "t", name: "n", input: ['{"a":1}'] }] }, "m"))
      const folded = await client.messages.stream(ask("plain-model") as Anthropic.MessageStreamParams).finalMessage()
      expect(folded.content).toMatchObject([
        { type: "text", text: "Hello" },
        { type: "tool_use", id: "t", name: "n", input: { a: 1 } }
      ])
    })

    it("that is a stream where it was asked for whole becomes whole", async () => {
      plain.answer = (_req, res) => res.writeHead(200, { "content-type": "text/event-stream" }).end(chatStream(hello, "m", true))
      expect(JSON.parse((await post(ask("plain-model"))).text)).toMatchObject({
        content: [{ type: "text", text: "Hello" }],
        usage: { input_tokens: 10, output_tokens: 7, cache_read_input_tokens: 30, cache_creation_input_tokens: 0 }
      })
    })

    it("that came compressed is read all the same", async () => {
      plain.answer = (_req, res, { body }) => {
        const text = body.stream ? chatStream(hello, "m", true) : JSON.stringify(chatCompletion(hello, "m"))
        res.writeHead(200, { "content-type": body.stream ? "text/event-stream" : "application/json", "content-encoding": "gzip" })
        res.end(gzipSync(text))
      }
      const request = { model: "plain-model", max_tokens: 9, messages: [{ role: "user" as const, content: "Hi" }] }
      expect((await client.messages.create(request)).content).toMatchObject([{ text: "Hello" }])
      expect((await client.messages.stream(request).finalMessage()).content).toMatchObject([{ text: "Hello" }])
    })

    it("is asked for once more without stream_options where they are refused", async () => {
      plain.turns = [hello]
      plain.answer = (_req, res, asked) => {
        if (asked.body.stream_options === undefined) plain.say(res, asked)
        else json(res, 400, { error: { message: "unknown field: stream_options", type: "invalid_request_error" } })
      }
      expect((await client.messages.stream(ask("plain-model") as Anthropic.MessageStreamParams).finalMessage()).content).toMatchObject([
        { text: "Hello" }
      ])
      expect(plain.asked).toHaveLength(2)
    })

    it("that breaks off says so in the dialect, ends well behind that, and counts as a failure", async () => {
      plain.answer = (_req, res) => {
        res.writeHead(200, { "content-type": "text/event-stream" })
        res.write(chatStream(hello, "m", false).split("\n\n").slice(0, 2).join("\n\n").concat("\n\n"), () => res.destroy())
      }
      await failing(async () => {
        const said = await post(ask("plain-model", true))
        expect([said.status, said.cut]).toEqual([200, false])
        expect(lastEvent(said)).toEqual({
          type: "error",
          error: { type: "api_error", message: "upstream connection lost before the response was complete" }
        })
        expect(said.text).not.toContain("message_stop")
      })
    })

    it("that breaks off before its first event is a 502", async () => {
      plain.answer = (_req, res) => {
        res.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
        setImmediate(() => res.destroy())
      }
      for (const stream of [true, false]) expect((await post(ask("plain-model", stream))).status).toBe(502)
    })

    it("whose stream reports an error is an HTTP error before the first event, an error event after it", async () => {
      const error = `data: ${JSON.stringify({ error: { message: "slow down", code: 429 } })}\n\n`
      plain.answer = (_req, res) => res.writeHead(200, { "content-type": "text/event-stream" }).end(error)
      const first = await post(ask("plain-model", true))
      expect([first.status, errorOf(first)]).toEqual([429, { type: "rate_limit_error", message: "slow down" }])
      plain.answer = (_req, res) =>
        res.writeHead(200, { "content-type": "text/event-stream" }).end(chatStream(hello, "m", false).split("data: [DONE]")[0] + error)
      const later = await post(ask("plain-model", true))
      expect([later.status, later.cut]).toEqual([200, false])
      expect(lastEvent(later)["error"]).toEqual({ type: "rate_limit_error", message: "slow down" })
    })

    it("ends with [DONE], and its connection serves again when the backend ends a little later", async () => {
      const sockets = new Set<unknown>()
      plain.answer = (req, res) => {
        sockets.add(req.socket)
        res.writeHead(200, { "content-type": "text/event-stream" })
        res.write(chatStream(hello, "m", true), () => setTimeout(() => res.end(), 10))
        res.once("finish", () => ended.add(res))
      }
      const ended = new Set<unknown>()
      for (let i = 1; i <= 5; i++) {
        const said = await post(ask("plain-model", true))
        expect([said.cut, lastEvent(said)["type"]]).toEqual([false, "message_stop"])
        await eventually(
          () => ended.size,
          (count) => count === i
        )
      }
      // A cut one would be a new one each time.
      expect(sockets.size).toBeLessThan(5)
    })

    it("does not wait for a backend that never ends what is done", async () => {
      plain.answer = (_req, res) => {
        res.writeHead(200, { "content-type": "text/event-stream" }).write(chatStream(hello, "m", true))
      }
      expect((await post(ask("plain-model", true))).cut).toBe(false)
      await eventually(
        () => plain.asked[0]?.aborted,
        (aborted) => aborted === true
      )
    })
  })

  describe("a backend's own error", () => {
    it.each([
      [401, '{"error":{"message":"no key"}}', "authentication_error", "no key"],
      [402, '{"error":"pay"}', "billing_error", "pay"],
      [403, '{"message":"never"}', "permission_error", "never"],
      [404, '{"detail":"nothing here"}', "not_found_error", "nothing here"],
      [422, '{"detail":[{"msg":"a"},{"msg":"b"}]}', "invalid_request_error", "a; b"],
      [429, "busy, later", "rate_limit_error", "busy, later"],
      [500, "<html>oops</html>", "api_error", "Backend error"],
      [529, '{"type":"error","error":{"type":"overloaded_error","message":"full"}}', "overloaded_error", "full"],
      [
        400,
        '{"error":{"message":"maximum context length is 4096 tokens"}}',
        "invalid_request_error",
        "maximum context length is 4096 tokens"
      ]
    ])("%d keeps its status and says what it said", async (status, body, type, text) => {
      plain.answer = (_req, res) => {
        res.writeHead(status, { "retry-after": "7", "anthropic-ratelimit-tokens-limit": "5", "x-ratelimit-limit": "999", server: "x" })
        res.end(body)
      }
      for (const stream of [false, true]) {
        const said = await post(ask("plain-model", stream))
        expect([said.status, errorOf(said)]).toEqual([status, { type, message: text }])
        expect([said.headers.get("retry-after"), said.headers.get("anthropic-ratelimit-tokens-limit"), said.headers.get("server")]).toEqual(
          ["7", "5", null]
        )
        expect(said.headers.get("x-ratelimit-limit") ?? "").not.toContain("999")
      }
    })

    it("is retried by the client as the API promises", async () => {
      plain.turns = [hello]
      plain.answer = (_req, res, asked) => {
        if (plain.asked.length > 2) plain.say(res, asked)
        else json(res, plain.asked.length === 1 ? 529 : 500, { error: { message: "again" } }, { "retry-after-ms": "1" })
      }
      const patient = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: "any", maxRetries: 2 })
      const request = { model: "plain-model", max_tokens: 9, messages: [{ role: "user" as const, content: "Hi" }] }
      expect((await patient.messages.create(request)).content).toMatchObject([{ text: "Hello" }])
      expect(plain.asked).toHaveLength(3)
    })
  })

  describe("a native answer", () => {
    it("is relayed byte for byte, errors too, with the backend's own request-id", async () => {
      const body = '{ "type":"error", "error":{"type":"invalid_request_error","message":"no"}, "z":1.0, "a":[] }'
      native.answer = (_req, res) => res.writeHead(400, { "content-type": "application/json", "request-id": "theirs" }).end(body)
      const said = await post(ask("native-model"))
      expect([said.status, said.text, said.headers.get("request-id"), said.headers.get("x-olla-mode")]).toEqual([
        400,
        body,
        "theirs",
        "passthrough"
      ])
    })

    it("keeps events that nobody here knows", async () => {
      const stream = `event: message_start\ndata: {"type":"message_start","message":{"id":"x","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{}}}\n\nevent: whatever\ndata: {"type":"whatever","n":1e400}\n\nevent: ping\ndata: {"type": "ping"}\n\n`
      native.answer = (_req, res) => res.writeHead(200, { "content-type": "text/event-stream" }).end(stream)
      const said = await post(ask("native-model", true))
      expect([said.text, said.headers.get("request-id")]).toEqual([stream, said.headers.get("x-olla-request-id")])
    })

    it("that begins in the middle gets its beginning, and the client can read it", async () => {
      const whole = messageStream(hello, "native-model")
      native.answer = (_req, res) =>
        res.writeHead(200, { "content-type": "text/event-stream" }).end(whole.slice(whole.indexOf("event: content_block_start")))
      const request = { model: "native-model", max_tokens: 9, messages: [{ role: "user" as const, content: "Hi" }] }
      expect(await client.messages.stream(request).finalMessage()).toMatchObject({ model: "native-model", content: [{ text: "Hello" }] })
    })

    it("that breaks off says so in a stream, and only there", async () => {
      native.answer = (_req, res, { body }) => {
        res.writeHead(
          200,
          body.stream ? { "content-type": "text/event-stream" } : { "content-type": "application/json", "content-length": "99" }
        )
        const part = body.stream ? messageStream(hello, "m").split("\n\n").slice(0, 2).join("\n\n").concat("\n\n") : '{"id":'
        res.write(part, () => setTimeout(() => res.destroy(), 5))
      }
      const streamed = await post(ask("native-model", true))
      expect([streamed.cut, lastEvent(streamed)["type"]]).toEqual([true, "error"])
      const whole = await post(ask("native-model"))
      expect([whole.cut, whole.text]).toEqual([true, '{"id":'])
    })

    it("that says the route is missing is translated, from then on without asking", async () => {
      older.turns = [hello]
      older.answer = (_req, res, asked) => {
        if (asked.path === "/v1/messages") res.writeHead(404, { "content-type": "text/plain" }).end("404 page not found")
        else older.say(res, asked)
      }
      for (let i = 0; i < 2; i++) {
        const said = await post(ask("older-model"))
        expect([said.status, said.headers.get("x-olla-mode")]).toEqual([200, null])
      }
      expect(older.asked.map(({ path }) => path)).toEqual(["/v1/messages", "/v1/chat/completions", "/v1/chat/completions"])
    })

    it("that says so of one request, and has answered before, is asked natively again", async () => {
      native.turns = [hello, hello, hello, hello]
      native.answer = (_req, res, asked) => native.say(res, asked)
      expect((await post(ask("native-model"))).headers.get("x-olla-mode")).toBe("passthrough")
      native.answer = (_req, res, asked) => {
        if (asked.path === "/v1/messages")
          res.writeHead(501, { "content-type": "application/json" }).end('{"error":{"message":"no such thing"}}')
        else native.say(res, asked)
      }
      const odd = await post(ask("native-model"))
      expect([odd.status, odd.headers.get("x-olla-mode")]).toEqual([200, null])
      native.answer = (_req, res, asked) => native.say(res, asked)
      expect((await post(ask("native-model"))).headers.get("x-olla-mode")).toBe("passthrough")
    })

    it("of Docker's comes from Docker's path", async () => {
      docker.turns = [hello]
      const said = await post(ask("docker-model"))
      expect([said.status, said.headers.get("x-olla-mode"), said.headers.get("x-olla-backend-type")]).toEqual([200, "passthrough", "dmr"])
      expect(docker.asked[0]?.path).toBe("/anthropic/v1/messages")
      expect(JSON.parse(said.text)).toMatchObject(message(hello, "docker-model") as object)
    })
  })

  describe("a client that leaves", () => {
    it.each([
      ["native-model", native],
      ["plain-model", plain]
    ])("stops the backend of %s, streaming or silent", async (model, server) => {
      for (const stream of [true, false]) {
        server.answer = (_req, res) => {
          if (stream) res.writeHead(200, { "content-type": "text/event-stream" }).write(": thinking\n\n")
        }
        const abort = new AbortController()
        const leaving = fetch(`${daemon.url}/olla/anthropic/v1/messages`, {
          method: "POST",
          signal: abort.signal,
          body: JSON.stringify(ask(model, stream))
        }).catch(() => undefined)
        await eventually(
          () => server.asked.length,
          (count) => count > 0
        )
        abort.abort()
        await leaving
        await eventually(
          () => server.asked[0]?.aborted,
          (aborted) => aborted === true
        )
        server.reset()
      }
    })
  })

  it("serves many at once, each its own answer", async () => {
    plain.answer = (_req, res, { body }) => {
      const turn: Turn = { text: [String(body.messages[0].content), "!"], stop: "end_turn" }
      res.writeHead(200, { "content-type": "text/event-stream" })
      const events = chatStream(turn, "m", true).split(/(?<=\n\n)/)
      const next = () => {
        const event = events.shift()
        if (event === undefined) res.end()
        else res.write(event, () => setImmediate(next))
      }
      next()
    }
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        client.messages.stream({ model: "plain-model", max_tokens: 9, messages: [{ role: "user", content: `number ${i}` }] }).finalMessage()
      )
    )
    expect(answers.map(({ content }) => content)).toMatchObject(answers.map((_, i) => [{ text: `number ${i}!` }]))
  })
})
