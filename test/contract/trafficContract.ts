/** What clients of several replicas see when one of them turns bad, each in its own way, for both engines. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { ask } from "../proxy/rig.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"
import { type Answer, ModelServer, sse } from "./modelServer.ts"

/** Each test has a model of its own: what one of them makes of its lanes is nothing to the next. */
const models = [
  "busy",
  "cut",
  "mute",
  "limited",
  "killed",
  "slow",
  "poison",
  "hopeless",
  "waiting",
  "gone",
  "late",
  "left",
  "translated",
  "broken"
] as const

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const good: Answer = (res, { body }) => {
  const { stream } = JSON.parse(body.toString()) as { readonly stream?: boolean }
  if (stream !== true) {
    res.writeHead(200, { "content-type": "application/json" })
    res.end('{"ok":true}')
    return
  }
  sse(res)
  res.write("data: 1\n\n")
  setTimeout(() => res.end("data: [DONE]\n\n"), 5)
}

export const trafficContract = (engine: "olla" | "sherpa", env: Record<string, string> = {}): void => {
  describe(`${engine}${env["OLLA_ENGINE_CLIENT"] === undefined ? "" : " on undici"}: of several replicas`, () => {
    const hosts = Array.from({ length: 5 }, () => new ModelServer(models))
    const [a] = hosts as [ModelServer, ...Array<ModelServer>]
    let daemon: Daemon

    beforeAll(async () => {
      for (const host of hosts) await host.start()
      const entries = hosts.map(
        ({ url }, i) => `      - {url: "${url}", name: ${"abcde"[i]}, type: openai-compatible, check_interval: 1s, check_timeout: 900ms}\n`
      )
      daemon = await startDaemon(
        `proxy: {engine: ${engine}, response_header_timeout: 600ms, read_timeout: 5s}
traffic: {first_token_timeout: 600ms}
discovery:
  model_discovery: {interval: 1h}
  static:
    endpoints:
${entries.join("")}`,
        { env }
      )
    })
    afterAll(async () => {
      await daemon?.stop()
      for (const host of hosts) await host.stop()
    })

    const status = async () =>
      (await (await fetch(`${daemon.url}/internal/status`)).json()) as {
        readonly endpoints: ReadonlyArray<{ readonly name: string; readonly status: string; readonly connections: number }>
      }
    beforeEach(async () => {
      for (const host of hosts) {
        await host.start()
        host.reset()
        host.answer = good
      }
      await eventually(status, ({ endpoints }) => endpoints.every(({ status }) => status === "healthy"))
    })

    const post = (model: string, body: object = {}, headers: Record<string, string> = {}) =>
      fetch(`${daemon.url}/olla/openai/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ model, messages: [], ...body })
      })

    /** So many requests, fifty at a time: how many were answered well, and how many attempts `a` got. */
    const load = async (model: string, count: number, body: object = {}) => {
      const before = a.asked.length
      let left = count
      let well = 0
      const client = async () => {
        while (left-- > 0) {
          const answer = await post(model, body)
          const text = await answer.text().catch(() => "broken")
          if (answer.status === 200 && (text === '{"ok":true}' || text.endsWith("[DONE]\n\n"))) well++
        }
      }
      await Promise.all(Array.from({ length: 50 }, client))
      return { well, onA: a.asked.length - before }
    }

    const bad: ReadonlyArray<readonly [string, (typeof models)[number], Answer, object]> = [
      [
        "answers 503 at once",
        "busy",
        (res) => {
          res.writeHead(503)
          res.end("busy")
        },
        {}
      ],
      [
        "says 200 and resets before a byte",
        "cut",
        (res) => {
          sse(res)
          setTimeout(() => res.socket?.resetAndDestroy(), 2)
        },
        { stream: true }
      ],
      ["accepts and says nothing", "mute", () => {}, {}],
      ["says 200 and nothing more", "late", (res) => sse(res), { stream: true }],
      [
        "answers 429 and says for how long",
        "limited",
        (res) => {
          res.writeHead(429, { "retry-after": "30" })
          res.end("{}")
        },
        {}
      ],
      ["takes the request and hangs up", "broken", (res) => void res.socket?.destroy(), {}]
    ]
    it.each(bad)("one that %s fails no request, and is left alone after some", async (_, model, answer, body) => {
      a.answer = answer
      const first = await load(model, 200, body)
      expect(first.well).toBe(200)
      const then = await load(model, 200, body)
      expect(then.well).toBe(200)
      expect(then.onA).toBeLessThanOrEqual(4)
    })

    it("one that is killed fails no request", async () => {
      const running = load("killed", 400)
      await pause(40)
      await a.stop()
      expect((await running).well).toBe(400)
      await eventually(status, ({ endpoints }) => endpoints.find(({ name }) => name === "a")?.status === "offline")
    })

    it("one that trickles serves, and is not left out for it", async () => {
      a.answer = (res) => {
        sse(res)
        let n = 0
        const timer = setInterval(() => {
          if (n++ < 8) res.write("data: 1\n\n")
          else {
            clearInterval(timer)
            res.end("data: [DONE]\n\n")
          }
        }, 25)
      }
      const { well, onA } = await load("slow", 200, { stream: true })
      expect([well, onA > 0]).toEqual([200, true])
    })

    it("a request that makes servers crash breaks two of five", async () => {
      for (const host of hosts) host.answer = (res) => void res.socket?.destroy()
      const answer = await post("poison", {}, { accept: "application/json" })
      const { error } = (await answer.json()) as { readonly error: { readonly code: string; readonly message: string } }
      expect([answer.status, error.code]).toEqual([502, "upstream_crashed"])
      expect(error.message).not.toMatch(/127\.0\.0\.1|localhost/)
      expect(hosts.reduce((sum, { asked }) => sum + asked.length, 0)).toBe(2)
    })

    it("gives the last answer where all have none but errors, as it came", async () => {
      for (const [i, host] of hosts.entries())
        host.answer = (res) => {
          res.writeHead(i % 2 === 0 ? 503 : 500, { "x-of": "abcde"[i], "content-type": "text/plain" })
          res.end(`error of ${"abcde"[i]}`)
        }
      const answer = await post("hopeless")
      const of = answer.headers.get("x-of") ?? "nobody"
      expect([answer.headers.get("x-olla-endpoint"), await answer.text()]).toEqual([of, `error of ${of}`])
      expect(hosts.reduce((sum, { asked }) => sum + asked.length, 0)).toBe(3)
    })

    it("tells a client when those that want to be left alone may be asked again", async () => {
      for (const host of hosts)
        host.answer = (res) => {
          res.writeHead(429, { "retry-after": "20", "content-type": "application/json" })
          res.end('{"error":"slow down"}')
        }
      // Who may wait longer than that does.
      await post("waiting", {}, { "x-olla-max-wait": "1s" })
      const answer = await post("waiting", {}, { "x-olla-max-wait": "1s" })
      expect([answer.status, await answer.text()]).toEqual([429, '{"error":"slow down"}'])
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(10)
      expect(Number(answer.headers.get("retry-after"))).toBeLessThanOrEqual(20)
    })

    it("one that has lost the model is asked for its list, and not for the model before that", async () => {
      let told = 0
      a.answer = (res) => {
        told++
        res.writeHead(404, { "content-type": "application/json" })
        res.end(`{"error":"model 'gone' not found"}`)
      }
      while (told === 0) expect((await post("gone")).status).toBe(200)
      a.answer = good
      // The list still has it.
      await eventually(
        async () => (await load("gone", 20)).onA,
        (onA) => onA > 0
      )
    })

    it("a client that leaves stops whoever is asked, in whichever phase, and nothing stays counted", async () => {
      const phases: ReadonlyArray<Answer> = [
        () => {},
        (res) => sse(res),
        (res) => {
          sse(res)
          res.write("data: 1\n\n")
        },
        (res) => {
          res.writeHead(503)
          res.write("half an err")
        }
      ]
      for (const answer of phases) {
        for (const host of hosts) {
          host.asked.length = 0
          host.answer = answer
        }
        const asked = () => hosts.flatMap(({ asked }) => asked)
        let leave = () => {}
        const left = ask(daemon.port, {
          method: "POST",
          path: "/olla/openai/v1/chat/completions",
          headers: ["Content-Type: application/json"],
          body: '{"model":"left","messages":[],"stream":true}',
          onSocket: (socket) => {
            leave = () => socket.destroy()
          }
        })
        await eventually(asked, ({ length }) => length > 0)
        await pause(30)
        leave()
        expect((await left)?.complete ?? false).toBe(false)
        await eventually(asked, (all) => all.every(({ goneAt }) => goneAt > 0))
      }
      const { endpoints } = await eventually(status, ({ endpoints }) => endpoints.every(({ connections }) => connections === 0))
      expect(endpoints.map(({ status }) => status)).toEqual(Array(5).fill("healthy"))
      for (const host of hosts) host.answer = good
      expect((await load("left", 50)).well).toBe(50)
    })

    it("a translated request goes on to another one as well", async () => {
      const chat = JSON.stringify({
        id: "x",
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
      })
      for (const [i, host] of hosts.entries())
        host.answer = (res) => {
          res.writeHead(i < 2 ? 503 : 200, { "content-type": "application/json" })
          res.end(i < 2 ? '{"error":{"message":"overloaded"}}' : chat)
        }
      for (let n = 0; n < 10; n++) {
        const answer = await fetch(`${daemon.url}/olla/anthropic/v1/messages`, {
          method: "POST",
          headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
          body: JSON.stringify({ model: "translated", max_tokens: 5, messages: [{ role: "user", content: "hi" }] })
        })
        expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining("hello")])
      }
      // And when all have failed, the error is in the client's dialect.
      for (const host of hosts)
        host.answer = (res) => {
          res.writeHead(503, { "content-type": "application/json" })
          res.end('{"error":{"message":"overloaded"}}')
        }
      const answer = await fetch(`${daemon.url}/olla/anthropic/v1/messages`, {
        method: "POST",
        headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
        body: JSON.stringify({ model: "translated", max_tokens: 5, messages: [{ role: "user", content: "hi" }] })
      })
      expect([answer.status, await answer.json()]).toEqual([503, expect.objectContaining({ type: "error" })])
    })
  })
}
