/** Requests that nobody can take now: who is next, who is refused and how, and what becomes of them when the fleet changes. */
import { request } from "node:http"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Answer, ask } from "./ask.ts"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"
import { type Asked, ModelServer } from "./modelServer.ts"

const rateLimits =
  '{trust_proxy_headers: true, trusted_proxy_cidrs: ["127.0.0.0/8"], global_requests_per_minute: 0, per_ip_requests_per_minute: 0, health_requests_per_minute: 100000}'

/** Holds what it is asked until a test lets it go. */
class SlowServer extends ModelServer {
  readonly held: Array<{ readonly asked: Asked; readonly finish: () => void }> = []
  /** The most at a time. */
  most = 0

  constructor() {
    super(["m"])
    this.hold()
  }

  hold(): void {
    this.answer = (res, asked) => {
      const entry = {
        asked,
        finish: () => {
          this.held.splice(this.held.indexOf(entry), 1)
          res.writeHead(200, { "content-type": "application/json" })
          res.end(JSON.stringify({ asked: JSON.parse(asked.body.toString()).user }))
        }
      }
      res.on("close", () => {
        const at = this.held.indexOf(entry)
        if (at >= 0) this.held.splice(at, 1)
      })
      this.held.push(entry)
      this.most = Math.max(this.most, this.held.length)
    }
  }

  /** Whom it serves or has served, in order. */
  get names(): ReadonlyArray<string> {
    return this.asked.map(({ body }) => JSON.parse(body.toString()).user)
  }

  override reset(): void {
    super.reset()
    this.held.length = 0
    this.most = 0
    this.hold()
  }
}

interface Sent {
  readonly answer: Promise<Answer>
  readonly leave: () => void
}

const until = async (is: () => boolean): Promise<void> => {
  while (!is()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe.each(["olla", "sherpa"])("the queue of the %s engine", (engine) => {
  const box = new SlowServer()
  const other = new SlowServer()
  const stranger = new ModelServer(["n"])
  let daemon: Daemon

  const endpoint = (name: string, url: string, limit: number, extra = "") =>
    `      - {url: "${url}", name: ${name}, type: openai, max_concurrent: ${limit}, ${rareChecks}${extra}}\n`
  const yaml = (endpoints: string, queue = "") =>
    `proxy: {engine: ${engine}}\ntraffic: {queue: {max_wait: 20s, max_waiting: 6, max_waiting_per_client: 4${queue}}}\ndiscovery:\n  static:\n    endpoints:\n${endpoints}`

  /** Whatever was written to the daemon before has been read. */
  const barrier = async () => {
    for (let n = 0; n < 2; n++) await ask(daemon.port, { path: "/internal/health" })
  }

  /** Resolves when the daemon has the request. */
  const send = async (
    name: string,
    headers: Record<string, string> = {},
    path = "/olla/openai/v1/chat/completions",
    body: object = {}
  ): Promise<Sent> => {
    const req = request({
      host: "127.0.0.1",
      port: daemon.port,
      method: "POST",
      path,
      agent: false,
      headers: { "content-type": "application/json", ...headers }
    })
    const answer = new Promise<Answer>((resolve, reject) => {
      req.on("error", reject)
      req.on("response", (res) => {
        const parts: Array<Buffer> = []
        res.on("data", (part: Buffer) => parts.push(part))
        res.on("error", reject)
        res.on("end", () => {
          const bytes = Buffer.concat(parts)
          const values = (key: string) => res.rawHeaders.filter((_, i) => i % 2 === 1 && res.rawHeaders[i - 1]?.toLowerCase() === key)
          const text = bytes.toString()
          resolve({ status: res.statusCode ?? 0, header: (key) => values(key)[0], values, bytes, text, json: () => JSON.parse(text) })
        })
      })
    })
    answer.catch(() => {})
    const finished = new Promise<void>((resolve) => req.once("finish", resolve))
    req.end(JSON.stringify({ model: "m", user: name, messages: [{ role: "user", content: "Hi" }], max_tokens: 10, ...body }))
    await finished
    await barrier()
    return { answer, leave: () => req.destroy() }
  }
  const as = (client: string) => ({ "x-forwarded-for": client })

  /** Both slots of the box are taken. */
  const fill = async (): Promise<ReadonlyArray<Sent>> => {
    const sent = [await send("first", as("10.0.0.9")), await send("second", as("10.0.0.9"))]
    await until(() => box.held.length === 2)
    return sent
  }
  /** Ends whatever comes, one after the other. */
  const drainBox = async (total: number) => {
    while (box.asked.length < total || box.held.length > 0) {
      await until(() => box.held.length > 0)
      const before = box.asked.length
      box.held[0]?.finish()
      // Two that are let go together may come in any order.
      if (before < total) await until(() => box.asked.length > before)
    }
  }
  const reload = () =>
    ask(daemon.port, { method: "POST", path: "/internal/reload", headers: { Host: `127.0.0.1:${daemon.port}`, "X-Olla-Action": "1" } })

  beforeAll(async () => {
    await box.start()
    await other.start()
    await stranger.start()
    daemon = await startDaemon(yaml(endpoint("box", box.url, 2)), { rateLimits })
  })
  beforeEach(() => {
    box.reset()
    other.reset()
  })
  afterEach(() => {
    for (const { finish } of [...box.held, ...other.held]) finish()
  })
  afterAll(async () => {
    await daemon?.stop()
    await box.stop()
    await other.stop()
    await stranger.stop()
  })

  it("gives an endpoint no more than its limit, and everybody a turn", async () => {
    const sent = await fill()
    const waiting = await Promise.all(["a", "b", "c", "d"].map((name, n) => send(name, as(`10.0.0.${n}`))))
    expect(box.asked.length).toBe(2)
    await drainBox(6)
    const answers = await Promise.all([...sent, ...waiting].map(({ answer }) => answer))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
    expect(box.most).toBe(2)
    expect(answers.slice(0, 2).map(({ header }) => header("x-olla-queue-time"))).toEqual([undefined, undefined])
    for (const { header } of answers.slice(2)) expect(header("x-olla-queue-time")).toMatch(/^\d+ms$/)
  })

  it("takes turns between clients, however many requests one of them has", async () => {
    await fill()
    for (const name of ["a1", "a2", "a3"]) await send(name, as("10.0.0.1"))
    for (const name of ["b1", "b2"]) await send(name, as("10.0.0.2"))
    await drainBox(7)
    expect(box.names).toEqual(["first", "second", "a1", "b1", "a2", "b2", "a3"])
  })

  it("serves who makes himself less urgent after the others, and tells backends nothing of it", async () => {
    await fill()
    await send("low", { ...as("10.0.0.1"), "x-olla-priority": "low" })
    await send("normal", { ...as("10.0.0.2"), "x-olla-priority": "high", "x-olla-max-wait": "10s" })
    await drainBox(4)
    expect(box.names.slice(2)).toEqual(["normal", "low"])
    for (const { header } of box.asked) expect([header("x-olla-priority"), header("x-olla-max-wait")]).toEqual([undefined, undefined])
  })

  it("refuses when too many wait", async () => {
    await fill()
    for (const name of ["a", "b", "c", "d"]) await send(name, as("10.0.0.1"))
    const own = await (await send("e", as("10.0.0.1"))).answer
    expect([own.status, own.text, own.header("x-olla-routing-decision"), own.header("x-olla-routing-reason")]).toEqual([
      429,
      "client_queue_full\n",
      "rejected",
      "client_queue_full"
    ])
    expect(Number(own.header("retry-after"))).toBeGreaterThan(0)
    for (const name of ["f", "g"]) await send(name, as("10.0.0.2"))
    const full = await (await send("h", { ...as("10.0.0.3"), accept: "application/json" })).answer
    expect([full.status, full.json().error]).toEqual([
      503,
      { message: expect.stringMatching(/^queue_full: ./), type: "api_error", code: "queue_full" }
    ])
    const claude = await (await send("i", as("10.0.0.3"), "/olla/anthropic/v1/messages")).answer
    expect([claude.status, claude.json()]).toEqual([
      503,
      { type: "error", error: { type: "api_error", message: expect.stringMatching(/^queue_full: ./) }, request_id: expect.any(String) }
    ])
    expect(box.asked.length).toBe(2)
    await drainBox(8)
  })

  it("refuses who may not wait for longer", async () => {
    await fill()
    const late = await (await send("late", { "x-olla-max-wait": "50ms" })).answer
    expect([late.status, late.text]).toEqual([503, "queue_timeout\n"])
    expect(Number(late.header("retry-after"))).toBeGreaterThan(0)
    expect(late.header("x-olla-queue-time")).toMatch(/^\d+ms$/)
    const never = await (await send("never", { "x-olla-max-wait": "0s" })).answer
    expect([never.status, never.header("x-olla-queue-time")]).toEqual([503, undefined])
    expect(box.asked.length).toBe(2)
  })

  it("forgets a client that leaves", async () => {
    await fill()
    const gone = await send("gone")
    const next = await send("next")
    gone.leave()
    await barrier()
    box.held[0]?.finish()
    await until(() => box.asked.length === 3)
    await drainBox(3)
    expect((await next.answer).status).toBe(200)
    expect(box.names.slice(2)).toEqual(["next"])
  })

  it("waits for the end of a pause, and says at once when that is too far off", async () => {
    box.answer = (res) => res.writeHead(429, { "content-type": "application/json" }).end("{}")
    const patient = await send("patient")
    await until(() => box.asked.length === 1)
    await barrier()
    box.hold()
    await until(() => box.held.length === 1)
    box.held[0]?.finish()
    const served = await patient.answer
    expect([served.status, served.header("x-olla-attempts")]).toEqual([200, "2"])

    box.answer = (res) => res.writeHead(503, { "retry-after": "50" }).end("busy")
    const refused = await (await send("refused")).answer
    expect([refused.status, refused.text, Number(refused.header("retry-after"))]).toEqual([503, "busy", 50])
    const asked = box.asked.length
    const paused = await (await send("paused")).answer
    expect([paused.status, paused.text, box.asked.length]).toEqual([429, "all_paused\n", asked])
    expect(Number(paused.header("retry-after"))).toBeGreaterThan(40)
    // A new object for the endpoint forgets the pause.
    daemon.rewrite(yaml(endpoint("other", other.url, 2)))
    await reload()
    daemon.rewrite(yaml(endpoint("box", box.url, 2)))
    await reload()
  }, 20_000)

  it("lets more through when a reload raises the limit", async () => {
    await fill()
    const waiting = [await send("a"), await send("b"), await send("c")]
    daemon.rewrite(yaml(endpoint("box", box.url, 4)))
    await reload()
    await until(() => box.held.length === 4)
    daemon.rewrite(yaml(endpoint("box", box.url, 1)))
    await reload()
    for (let left = 4; left > 1; left--) {
      box.held[0]?.finish()
      await until(() => box.held.length === left - 1)
      await barrier()
      expect(box.asked.length).toBe(4)
    }
    await drainBox(5)
    for (const { answer } of waiting) expect((await answer).status).toBe(200)
    daemon.rewrite(yaml(endpoint("box", box.url, 2)))
    await reload()
  })

  it("moves to another endpoint when theirs is removed, and refuses when there is none", async () => {
    const sent = await fill()
    const moved = await send("moved")
    daemon.rewrite(yaml(endpoint("other", other.url, 2)))
    await reload()
    await until(() => other.held.length === 1)
    other.held[0]?.finish()
    expect((await moved.answer).header("x-olla-endpoint")).toBe("other")
    for (const { finish } of [...box.held]) finish()
    for (const { answer } of sent) expect((await answer).status).toBe(200)

    const running = [await send("x"), await send("y")]
    await until(() => other.held.length === 2)
    const stranded = await send("stranded")
    daemon.rewrite(yaml(endpoint("stranger", stranger.url, 2)))
    await reload()
    expect((await stranded.answer).status).toBeGreaterThanOrEqual(500)
    for (const { finish } of [...other.held]) finish()
    for (const { answer } of running) expect((await answer).status).toBe(200)
    daemon.rewrite(yaml(endpoint("box", box.url, 2)))
    await reload()
  }, 20_000)

  it("counts requests that a rule is for, wherever they go, and shows who waits", async () => {
    daemon.rewrite(
      `${yaml(endpoint("box", box.url, 0) + endpoint("other", other.url, 0), "}, rules: [{match: {client: [10.7.0.0/16]}, max_concurrent: 2, class: low, max_wait: 15s}], signals: {interval: 0s")}`
    )
    await reload()
    for (const name of ["a", "b", "c", "d"]) await send(name, as("10.7.0.1"))
    await send("free", as("10.8.0.1"))
    await until(() => box.held.length + other.held.length === 3)
    await barrier()
    expect([...box.names, ...other.names].sort()).toEqual(["a", "b", "free"])
    const { queue } = (await ask(daemon.port, { path: "/internal/status/traffic" })).json()
    expect(queue).toEqual({
      waiting: 2,
      max_waiting: 6,
      oldest_ms: expect.any(Number),
      by_class: { high: 0, normal: 0, low: 2 },
      by_model: { m: 2 }
    })
    for (let left = 5; left > 0; left--) {
      await until(() => box.held.length + other.held.length > 0)
      ;(box.held[0] ?? other.held[0])?.finish()
    }
    await until(() => box.asked.length + other.asked.length === 5)
    for (const { finish } of [...box.held, ...other.held]) finish()
    daemon.rewrite(yaml(endpoint("box", box.url, 2)))
    await reload()
  }, 20_000)

  it("counts endpoints of one server together", async () => {
    daemon.rewrite(yaml(endpoint("small", `${box.url}#small`, 1) + endpoint("big", `${box.url}#big`, 2)))
    await reload()
    const sent = [await send("a"), await send("b"), await send("c")]
    await until(() => box.held.length === 2)
    await barrier()
    expect(box.asked.length).toBe(2)
    await drainBox(3)
    const names = new Set<string | undefined>()
    for (const { answer } of sent) names.add((await answer).header("x-olla-endpoint"))
    expect([...names].sort()).toEqual(["big", "small"])
    expect(box.most).toBe(2)
    daemon.rewrite(yaml(endpoint("box", box.url, 2)))
    await reload()
  }, 20_000)

  it("holds requests for a model whose endpoints are all down, until one is back", async () => {
    daemon.rewrite(yaml(endpoint("box", box.url, 2), ", hold: 15s"))
    await reload()
    await box.stop()
    const held = await send("held")
    const also = await send("also")
    await box.start()
    await until(() => box.held.length === 2)
    await drainBox(2)
    expect([(await held.answer).status, (await also.answer).status]).toEqual([200, 200])
    await box.stop()
    const brief = await (await send("brief", { "x-olla-max-wait": "200ms" })).answer
    expect(brief.status).toBeGreaterThanOrEqual(500)
    await box.start()
  }, 30_000)
})

it("a stop serves those who wait, and ends", async () => {
  const box = await new SlowServer().start()
  const daemon = await startDaemon(
    `discovery:\n  static:\n    endpoints:\n      - {url: "${box.url}", name: box, type: openai, max_concurrent: 1, ${rareChecks}}\n`
  )
  const say = (stream: boolean) =>
    ask(daemon.port, {
      method: "POST",
      path: "/olla/openai/v1/chat/completions",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "m", user: "x", stream, messages: [] })
    })
  const first = say(false)
  await until(() => box.held.length === 1)
  const second = say(false)
  await ask(daemon.port, { path: "/internal/health" })
  const stopped = daemon.stop()
  box.held[0]?.finish()
  await until(() => box.held.length === 1)
  box.held[0]?.finish()
  expect([(await first).status, (await second).status, await stopped]).toEqual([200, 200, 0])
  await box.stop()
}, 20_000)

it("with traffic off nobody waits, and nothing is counted", async () => {
  const box = await new SlowServer().start()
  const daemon = await startDaemon(
    `traffic: {enabled: false}\ndiscovery:\n  static:\n    endpoints:\n      - {url: "${box.url}", name: box, type: openai, max_concurrent: 1, ${rareChecks}}\n`
  )
  const say = () =>
    ask(daemon.port, {
      method: "POST",
      path: "/olla/openai/v1/chat/completions",
      headers: { "content-type": "application/json", "x-olla-priority": "low" },
      body: JSON.stringify({ model: "m", user: "x", messages: [] })
    })
  const both = [say(), say()]
  await until(() => box.held.length === 2)
  expect(box.asked.map(({ header }) => header("x-olla-priority"))).toEqual(["low", "low"])
  for (const { finish } of [...box.held]) finish()
  for (const answer of await Promise.all(both)) expect([answer.status, answer.header("x-olla-queue-time")]).toEqual([200, undefined])
  await daemon.stop()
  await box.stop()
}, 20_000)
