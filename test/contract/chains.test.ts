/** Aliases whose targets are a chain or a pool, from outside: who is asked in which order, why, and what clients are told of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { type Answer, ModelServer } from "./modelServer.ts"

const json =
  (status: number, body: object, headers: Record<string, string> = {}): Answer =>
  (res) => {
    res.writeHead(status, { "content-type": "application/json", ...headers })
    res.end(JSON.stringify(body))
  }

const modelOf = (body: Buffer): string => (JSON.parse(body.toString()) as { model: string }).model

/** By the model that is asked for; everything else is answered well. */
const byModel =
  (answers: Readonly<Record<string, Answer>>): Answer =>
  (res, asked, req) => {
    const answer =
      answers[modelOf(asked.body)] ??
      json(200, { choices: [{ index: 0, message: { role: "assistant", content: "well" }, finish_reason: "stop" }] })
    answer(res, asked, req)
  }

const broken = json(500, { error: { message: "it broke" } })
const limited = json(429, { error: { message: "slow down" } }, { "retry-after": "30" })
const tooLong = json(400, { error: { message: "This model's maximum context length is 4096 tokens", code: "context_length_exceeded" } })
const gone: Answer = (_res, _asked, req) => req.socket.destroy()

describe.each(["olla", "sherpa"])("models in a row, with the engine %s", (engine) => {
  let a: ModelServer
  let b: ModelServer
  let daemon: Daemon

  beforeAll(async () => {
    a = await new ModelServer(["one", "two", "short", "real", "limited-a", "limited-b", "crowded"], undefined, { short: 1000 }).start()
    b = await new ModelServer(["two", "three", "short", "long"], undefined, { short: 1000, long: 100_000 }).start()
    daemon = await startDaemon(`discovery:
  static:
    endpoints:
      - {url: "${a.url}", name: a, type: vllm, ${rareChecks}, labels: {place: a}}
      - {url: "${b.url}", name: b, type: vllm, ${rareChecks}, labels: {place: b}}
proxy: {engine: ${engine}}
traffic:
  ejection: {failures: 0}
  failover: {budget_percent: 100}
  rules:
    - {match: {header: {x-only: b}}, require: {place: b}}
    - {match: {model: [crowded]}, max_concurrent: 1}
model_aliases:
  best: {policy: chain, targets: [one, two, three]}
  careful: {policy: chain, targets: [one, two], on: [rate_limited]}
  unknown: {policy: chain, targets: [nobody-has-it, three]}
  stuck: {policy: chain, targets: [nobody-has-it, three], on: [failed]}
  real: {policy: chain, targets: [real, three]}
  reader: {policy: chain, targets: [short, one, long], on: [context]}
  many: {policy: chain, targets: [one, real, limited-a, limited-b, three]}
  popular: {policy: chain, targets: [crowded, three]}
  patient: {policy: chain, targets: [crowded, three], on: [failed]}
  busy: {policy: chain, targets: [limited-a, three]}
  pool: [limited-b, two]
`)
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([a?.stop(), b?.stop()])
  })
  beforeEach(() => {
    for (const server of [a, b]) {
      server.reset()
      server.answer = byModel({})
    }
  })

  const post = async (model: string, more: object = {}, path = "/olla/proxy/v1/chat/completions", headers: Record<string, string> = {}) => {
    const answer = await fetch(daemon.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }], ...more })
    })
    const header = (name: string) => answer.headers.get(`x-olla-${name}`)
    return {
      status: answer.status,
      text: await answer.text(),
      served: header("served-model"),
      fallback: header("fallback"),
      decision: [header("routing-strategy"), header("routing-decision"), header("routing-reason")],
      model: header("model"),
      attempts: header("attempts")
    }
  }
  const asked = () => [a, b].flatMap((server) => server.asked.map(({ body }) => modelOf(body)))

  it("ask the first while it serves, and say which that was", async () => {
    expect(await post("best")).toMatchObject({
      status: 200,
      model: "best",
      served: "one",
      fallback: null,
      decision: ["alias", "routed", 'alias "best" resolved to 1 endpoint(s)']
    })
  })

  it.each([
    ["answers with 500", broken],
    ["breaks off", gone]
  ])("go on to the next when it %s, with the whole request", async (_, answer) => {
    a.answer = byModel({ one: answer })
    const told = await post("best", { temperature: 0 })
    expect(told).toMatchObject({
      status: 200,
      model: "best",
      served: "two",
      fallback: "failed",
      attempts: "2",
      decision: ["alias", "fallback", 'alias "best" fell back to "two": failed']
    })
    const sent = [...a.asked, ...b.asked].map(({ body }) => JSON.parse(body.toString()) as object)
    expect(sent).toEqual(["one", "two"].map((model) => ({ model, messages: [{ role: "user", content: "Hi" }], temperature: 0 })))
  })

  it("are left alone where the reason is none of theirs, and the answer is the backend's", async () => {
    a.answer = byModel({ one: broken })
    expect(await post("careful")).toMatchObject({ status: 500, served: "one", fallback: null })
    expect(asked()).toEqual(["one"])
  })

  it("give the last answer when all fail", async () => {
    // It has five targets, and a request three attempts.
    a.answer = byModel({ one: broken, real: broken, "limited-a": json(502, { error: { message: "the third" } }) })
    const last = await post("many")
    expect([last.status, last.attempts, last.text.includes("the third")]).toEqual([502, "3", true])
  })

  it("give the last answer with how many were asked in all, though whoever came after said nothing", async () => {
    a.answer = byModel({ real: broken })
    b.answer = byModel({ three: gone })
    const last = await post("real")
    expect([last.status, last.served, last.attempts, last.text.includes("it broke")]).toEqual([500, "real", "2", true])
  })

  it("skip what nobody has", async () => {
    expect(await post("unknown")).toMatchObject({ status: 200, served: "three", fallback: "unavailable", attempts: null })
    expect((await post("stuck")).status).toBe(404)
  })

  it("skip what rules leave nobody for", async () => {
    expect(await post("best", {}, undefined, { "x-only": "b" })).toMatchObject({ status: 200, served: "two", fallback: "unavailable" })
    expect(await post("careful", {}, undefined, { "x-only": "b" })).toMatchObject({ status: 503, text: "placement_unsatisfied\n" })
    expect(a.asked).toEqual([])
  })

  it("may begin with the model that they are called after", async () => {
    expect(await post("real")).toMatchObject({ served: "real", fallback: null })
    a.answer = byModel({ real: broken })
    expect(await post("real")).toMatchObject({ status: 200, served: "three", fallback: "failed" })
  })

  it.each(["/olla/proxy/v1/chat/completions", "/olla/anthropic/v1/messages", "/v1/responses"])(
    "go on to a longer context when the backend says that the prompt is too long, at %s",
    async (path) => {
      a.answer = b.answer = byModel({ short: tooLong, one: tooLong })
      const told = await post("reader", { max_tokens: 5, input: "Hi" }, path)
      expect(told).toMatchObject({ status: 200, served: "long", fallback: "context" })
      expect(asked().filter((model) => model === "short")).toHaveLength(1)
    }
  )

  it("do not ask where the prompt cannot fit", async () => {
    a.answer = byModel({ one: tooLong })
    const told = await post("reader", { messages: [{ role: "user", content: "a".repeat(10_000) }] })
    expect(told).toMatchObject({ status: 200, served: "long", fallback: "context" })
    expect(asked()).toEqual(["one", "long"])
  })

  it("leave a model alone that has asked for it", async () => {
    a.answer = byModel({ "limited-a": limited })
    expect(await post("busy")).toMatchObject({ status: 200, served: "three", fallback: "rate_limited", attempts: "2" })
    expect(await post("busy")).toMatchObject({ status: 200, served: "three", fallback: "rate_limited", attempts: null })
    expect(asked()).toEqual(["limited-a", "three", "three"])
  })

  it("go on while somebody would have to wait for the first, where a later one is free", async () => {
    const held: Array<() => void> = []
    a.answer = byModel({
      crowded: (res, asked, req) => held.push(() => byModel({})(res, { ...asked, body: Buffer.from('{"model":""}') }, req))
    })
    const first = post("popular")
    await eventually(
      async () => held.length,
      (count) => count === 1
    )
    expect(await post("popular")).toMatchObject({ status: 200, served: "three", fallback: "saturated", attempts: null })
    // Where that is no reason, it is waited for.
    expect(await post("patient", {}, undefined, { "x-olla-max-wait": "50ms" })).toMatchObject({ status: 503, text: "queue_timeout\n" })
    held[0]?.()
    expect(await first).toMatchObject({ status: 200, served: "crowded", fallback: null })
    expect(asked()).toEqual(["crowded", "three"])
  })

  it("in a pool take an endpoint's next model when the first wants to be left alone", async () => {
    a.answer = byModel({ "limited-b": limited })
    const told = await Promise.all(Array.from({ length: 6 }, () => post("pool")))
    expect(told.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200))
    a.asked.length = b.asked.length = 0
    const served = await Promise.all(Array.from({ length: 6 }, () => post("pool")))
    expect(served.map((one) => [one.status, one.served, one.fallback])).toEqual(Array.from({ length: 6 }, () => [200, "two", null]))
    expect(a.asked.length).toBeGreaterThan(0)
  })

  it("are told of in the log", async () => {
    a.answer = byModel({ one: broken })
    await post("best")
    const records = () =>
      daemon
        .output()
        .split("\n")
        .filter((line) => line.includes('"Model fallback"') && line.includes('"best"') && line.includes('"failed"'))
    const [record = "{}"] = await eventually(
      async () => records().slice(-1),
      ({ length }) => length > 0
    )
    expect(JSON.parse(record)).toMatchObject({ level: "INFO", alias: "best", from: "one", to: "two", reason: "failed" })
  })
})
