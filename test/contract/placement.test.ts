/** Rules, labels, fragments and hygiene, from outside: who is asked, who never is, and what goes out. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"

interface Told {
  readonly status: number
  readonly endpoint: string | null
  readonly text: string
  readonly header: (name: string) => string | null
}

describe("rules", () => {
  let a: ModelServer
  let b: ModelServer
  let c: ModelServer
  let daemon: Daemon

  const endpoint = (server: ModelServer, name: string, more: string, type = "openai-compatible", fragment = "") =>
    `      - {url: "${server.url}${fragment}", name: ${name}, type: ${type}, ${rareChecks}, ${more}}\n`
  const yaml = (rules: string) => `discovery:
  static:
    endpoints:
${endpoint(a, "a", "priority: 100, labels: {gpu: H100, zone: a}")}${endpoint(b, "b", "priority: 90, labels: {role: interactive}")}${endpoint(c, "c", "priority: 10, labels: {zone: b}", "vllm")}${endpoint(c, "c-big", 'priority: 1, model_filter: {include: ["only-c"]}, labels: {size: big}', "vllm", "#big")}proxy: {load_balancer: priority}
model_aliases: {pool: [big-70b, small]}
traffic:
  hygiene: [claude-code]
  rules:
${rules}`

  const rules = `    - {match: {model: ["*70b*"]}, require: {gpu: h100}}
    - {match: {header: {x-team: "batch*"}}, deny: {role: interactive}, prefer: {zone: b}}
    - {match: {header: {x-way: nowhere}}, require: {gpu: none}}
    - {match: {header: {x-way: big}}, require: {size: big}}
    - {match: {min_prompt_tokens: 1000}, deny: {name: a}}
    - {match: {client: [10.0.0.0/8]}, require: {gpu: none}}
    - {match: {header: {x-way: hurry}}, first_token_timeout: 300ms}
`

  beforeAll(async () => {
    ;[a, b, c] = (await Promise.all([
      new ModelServer(["big-70b", "small", "only-a"]).start(),
      new ModelServer(["big-70b", "small"]).start(),
      new ModelServer(["small", "only-c"]).start()
    ])) as [ModelServer, ModelServer, ModelServer]
    daemon = await startDaemon(yaml(rules))
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([a, b, c].map((server) => server?.stop()))
  })
  beforeEach(() => {
    for (const server of [a, b, c]) server.reset()
  })

  const post = async (
    model: string,
    headers: Record<string, string> = {},
    more: object = {},
    path = "/olla/proxy/v1/chat/completions"
  ): Promise<Told> => {
    const answer = await fetch(daemon.url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }], ...more })
    })
    return {
      status: answer.status,
      endpoint: answer.headers.get("x-olla-endpoint"),
      text: await answer.text(),
      header: (name) => answer.headers.get(name)
    }
  }

  it.each([
    ["big-70b", {}, "a"],
    ["small", {}, "a"],
    ["small", { "x-team": "batch-7" }, "c"],
    ["big-70b", { "x-team": "batch-7" }, "a"],
    ["only-a", { "x-team": "batch-7" }, "a"],
    ["only-c", { "x-way": "big" }, "c-big"]
  ] as const)("%s with %j goes to %s", async (model, headers, name) => {
    const told = await post(model, headers)
    expect([told.status, told.endpoint]).toEqual([200, name])
  })

  it("counts the prompt's tokens", async () => {
    expect((await post("small", {}, { messages: [{ role: "user", content: "a".repeat(5000) }] })).endpoint).toBe("b")
    expect((await post("only-a", {}, { messages: [{ role: "user", content: "a".repeat(5000) }] })).status).toBe(503)
  })

  it("keeps a target of an alias where it may not go, and takes another", async () => {
    const told = await post("pool", { "x-team": "batch" })
    expect([told.status, told.endpoint, told.header("x-olla-served-model"), told.header("x-olla-model")]).toEqual([
      200,
      "c",
      "small",
      "pool"
    ])
    expect(JSON.parse(c.asked[0]?.body.toString() ?? "")).toMatchObject({ model: "small" })
    expect((await post("pool")).header("x-olla-served-model")).toBe("big-70b")
  })

  it.each([
    ["/olla/proxy/v1/chat/completions", {}, "placement_unsatisfied\n"],
    ["/olla/proxy/v1/chat/completions", { accept: "application/json" }, { error: { code: "placement_unsatisfied", type: "api_error" } }],
    ["/olla/openai/v1/embeddings", { accept: "application/json" }, { error: { code: "placement_unsatisfied", type: "api_error" } }],
    ["/olla/anthropic/v1/messages", {}, { type: "error", error: { type: "api_error" } }],
    ["/v1/responses", {}, { error: { message: expect.stringContaining("placement_unsatisfied") } }],
    ["/olla/api/chat", {}, { error: expect.stringContaining("placement_unsatisfied") }]
  ] as const)("refuses at %s with %j in its own words what may go nowhere", async (path, headers, body) => {
    const told = await post("small", { "x-way": "nowhere", ...headers }, { max_tokens: 5, input: "Hi" }, path)
    expect(told.status).toBe(503)
    if (typeof body === "string") expect(told.text).toBe(body)
    else expect(JSON.parse(told.text)).toMatchObject(body)
    expect(told.header("x-olla-routing-decision")).toBe("rejected")
    expect(told.header("x-olla-routing-reason")).toBe("placement_unsatisfied")
    expect(told.endpoint).toBeNull()
    expect([a, b, c].flatMap(({ asked }) => asked)).toEqual([])
  })

  it("goes nowhere else when the only one that it may go to fails", async () => {
    a.answer = (res) => {
      res.writeHead(500)
      res.end("broken")
    }
    for (let n = 0; n < 5; n++) expect((await post("big-70b")).status).toBe(500)
    a.answer = (_res, _asked, req) => req.socket.destroy()
    for (let n = 0; n < 3; n++) expect([502, 503]).toContain((await post("big-70b")).status)
    expect([b, c].flatMap(({ asked }) => asked)).toEqual([])
    // It is back for the others.
    await fetch(`${daemon.url}/internal/endpoints/a/probe`, { method: "POST", headers: { "x-olla-action": "1" } })
    a.reset()
    expect((await post("only-a")).status).toBe(200)
  })

  it("say how long the first byte of a stream may take", async () => {
    a.answer = (res) => {
      res.writeHead(200, { "content-type": "text/event-stream" })
      res.flushHeaders()
    }
    const told = await post("small", { "x-way": "hurry" }, { stream: true })
    expect([told.status, told.endpoint, told.header("x-olla-attempts")]).toEqual([200, "b", "2"])
  })

  it("are those of the file as it is read again", async () => {
    daemon.rewrite(yaml("    - {match: {model: [small]}, require: {type: vllm}}\n"))
    const reloaded = await fetch(`${daemon.url}/internal/reload`, { method: "POST", headers: { "x-olla-action": "1" } })
    expect(((await reloaded.json()) as { changed: ReadonlyArray<string> }).changed).toContain("traffic.rules[0].require.type")
    expect((await post("small")).endpoint).toBe("c")
    daemon.rewrite(yaml(rules))
    await fetch(`${daemon.url}/internal/reload`, { method: "POST", headers: { "x-olla-action": "1" } })
    expect((await post("small")).endpoint).toBe("a")
  })

  describe("endpoints that a fragment tells apart", () => {
    it("are two of one server, and no fragment is sent", async () => {
      const list = async () =>
        (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as {
          endpoints: ReadonlyArray<{ name: string; status: string }>
        }
      await eventually(
        list,
        ({ endpoints }) => endpoints.filter(({ name, status }) => name.startsWith("c") && status === "healthy").length === 2
      )
      expect((await post("only-c")).endpoint).toBe("c")
      expect((await post("only-c", { "x-way": "big" })).endpoint).toBe("c-big")
      expect(c.asked.map(({ url }) => url)).toEqual(["/v1/chat/completions", "/v1/chat/completions"])
      expect(c.asked.map((asked) => asked.header("host"))).toEqual([new URL(c.url).host, new URL(c.url).host])
    })
  })

  describe("hygiene", () => {
    const line = "x-anthropic-billing-header: cc_version=2.1.37.a3f; cc_entrypoint=cli; cch=9b1f2;"
    const equal = "x-anthropic-billing-header: cc_version=2.1.37.000; cc_entrypoint=cli; cch=00000;"

    it("changes the line and no other byte", async () => {
      const told = await post("only-a", {}, { system: `${line}\nYou are` })
      expect(told.header("x-olla-hygiene")).toBe("claude-code")
      const sent = JSON.stringify({ model: "only-a", messages: [{ role: "user", content: "Hi" }], system: `${equal}\nYou are` })
      expect(a.asked[0]?.body.toString()).toBe(sent)
    })

    it("is done on the routes of translators, and with another name for the model", async () => {
      const more = { max_tokens: 5, system: [{ type: "text", text: line }] }
      const told = await post("pool", { "x-team": "batch" }, more, "/olla/anthropic/v1/messages")
      expect(told.header("x-olla-hygiene")).toBe("claude-code")
      expect(c.asked[0]?.url).toBe("/v1/messages")
      expect(JSON.parse(c.asked[0]?.body.toString() ?? "")).toMatchObject({ model: "small", system: [{ type: "text", text: equal }] })
    })

    it("says nothing where there was nothing to change", async () => {
      for (const system of [equal, "You are", undefined]) expect((await post("only-a", {}, { system })).header("x-olla-hygiene")).toBeNull()
    })
  })
})
