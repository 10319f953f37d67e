/** Keys of clients, in front of a daemon that has them: who gets in, what is said to whom, and what nobody learns. Official clients. */
import { spawn } from "node:child_process"
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import Anthropic from "@anthropic-ai/sdk"
import { Ollama } from "ollama"
import OpenAI from "openai"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { hashOf, makeKey } from "../../src/guard/keys/KeyForm.ts"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Answer, type Asked, ask } from "./ask.ts"
import { type Daemon, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"

const keys = Object.fromEntries(
  ["free", "narrow", "placed", "few", "alone", "spent", "gone", "late", "noted", "turned", "old"].map((name) => [name, makeKey()])
) as Readonly<Record<"free" | "narrow" | "placed" | "few" | "alone" | "spent" | "gone" | "late" | "noted" | "turned" | "old", string>>

const entry = (name: keyof typeof keys, more = "") =>
  `  - {name: ${name}, hash: "${hashOf(keys[name])}"${more === "" ? "" : `, ${more}`}}\n`

const file = `# who may ask
keys:
${entry("free")}${entry("narrow", 'models: {include: ["small*"], exclude: ["*-uncensored"]}')}${entry("placed", "endpoints: [lab]")}${entry(
  "few",
  "requests_per_minute: 2"
)}${entry("alone", "max_concurrent: 1")}${entry("spent", "tokens_per_minute: 60")}${entry("gone", "disabled: true, revoked: 2026-01-01T00:00:00Z")}${entry(
  "late",
  "expires: 2026-01-01"
)}${entry("turned", `previous: {hash: "${hashOf(keys.old)}", until: 2026-01-02T00:00:00Z}`)}`

let office: SimulatedBackend
let lab: SimulatedBackend
let daemon: Daemon

const chat = (model: string, more: Readonly<Record<string, unknown>> = {}) =>
  JSON.stringify({ model, messages: [{ role: "user", content: "hello" }], ...more })

const json = { "content-type": "application/json", accept: "application/json" }

const get = (path: string, headers: Record<string, string> = {}) =>
  ask(daemon.port, { path, headers: { accept: "application/json", ...headers } })
const post = (path: string, body: string, headers: Record<string, string> = {}) =>
  ask(daemon.port, { method: "POST", path, body, headers: { ...json, ...headers } })
const bearer = (name: keyof typeof keys) => ({ authorization: `Bearer ${keys[name]}` })

const figures = async (name: string) => {
  const { keys: all } = (await get("/internal/stats/keys")).json() as { keys: ReadonlyArray<{ name: string } & Record<string, never>> }
  // biome-ignore lint/suspicious/noExplicitAny: a document is looked at, whatever it has
  return all.find((one) => one.name === name) as any
}

beforeAll(async () => {
  office = await startBackend({ kind: "ollama", models: ["small:1b", "big:70b", "small-uncensored"] })
  lab = await startBackend({ kind: "vllm", models: ["lab-model", "small-lab"] })
  daemon = await startDaemon(
    `access: {keys_file: keys.yaml}\nmodel_aliases: {helper: ["small:1b"], boss: ["big:70b"]}\n${endpointsYaml(
      [
        { name: "office", backend: office },
        { name: "lab", backend: lab }
      ],
      rareChecks
    )}`,
    { files: { "keys.yaml": file } }
  )
})
afterAll(async () => {
  await daemon?.stop()
  await Promise.all([office?.stop(), lab?.stop()])
})
afterEach(() => {
  for (const backend of [office, lab]) {
    backend.setFault(undefined)
    backend.requests.length = 0
  }
})

describe("without a key", () => {
  it.each([
    ["/v1/models"],
    ["/api/tags"],
    ["/olla/models"],
    ["/olla/openai/v1/models"],
    ["/olla/anthropic/v1/models"],
    ["/olla/nowhere"],
    ["/nowhere"],
    ["/"]
  ])("%s is 401 with a challenge, and nothing reaches a backend", async (path) => {
    const answer = await get(path)
    expect(answer.status).toBe(401)
    expect(answer.header("www-authenticate")).toBe('Bearer realm="olla"')
    expect(answer.header("x-olla-request-id")).toBeDefined()
    expect(answer.header("x-olla-client")).toBeUndefined()
    expect(office.inference().length + lab.inference().length).toBe(0)
  })

  it.each([
    ["/v1/chat/completions", "missing_api_key"],
    ["/v1/responses", "missing_api_key"],
    ["/olla/openai/v1/chat/completions", "missing_api_key"]
  ])("%s says it as OpenAI's clients read it", async (path, code) => {
    const { error } = (await post(path, chat("small:1b"))).json()
    expect(error).toMatchObject({ type: "authentication_error", code })
    expect(error.message).toMatch(/Authorization.*X-Api-Key.*Api-Key/)
  })

  it("says it as Anthropic's clients and as Ollama's read it", async () => {
    expect((await post("/olla/anthropic/v1/messages", chat("small:1b"))).json()).toMatchObject({
      type: "error",
      error: { type: "authentication_error" }
    })
    for (const path of ["/api/chat", "/olla/ollama/api/chat", "/olla/proxy/api/chat"])
      expect(typeof (await post(path, chat("small:1b"))).json().error, path).toBe("string")
    const plain = await ask(daemon.port, { path: "/olla/models" })
    expect(plain.text).toMatch(/^an API key is needed.*\n$/)
  })

  it("health and readiness answer, figures answer the machine itself, and a client's key opens none of them", async () => {
    expect((await get("/internal/health")).status).toBe(200)
    expect((await get("/internal/ready")).status).toBe(200)
    expect((await get("/internal/status")).status).toBe(200)
    for (const host of ["olla.example.com"])
      for (const headers of [{ host }, { host, ...bearer("free") }]) {
        expect((await get("/internal/status", headers)).status).toBe(403)
        expect((await get("/internal/health", headers)).status).toBe(200)
      }
  })
})

describe("a key", () => {
  const places: ReadonlyArray<readonly [string, Record<string, string>]> = [
    ["Authorization: Bearer", { authorization: `bearer   ${keys.free} ` }],
    ["Authorization: Basic", { authorization: `Basic ${Buffer.from(`anybody:${keys.free}`).toString("base64")}` }],
    ["X-Api-Key", { "x-api-key": keys.free }],
    ["Api-Key", { "api-key": keys.free }],
    ["two of them", { authorization: "Bearer some-oauth-token", "x-api-key": keys.free }]
  ]
  it.each(places)("is found in %s, and goes no further", async (_, headers) => {
    const answer = await post("/v1/chat/completions", chat("small:1b"), headers)
    expect(answer.status).toBe(200)
    expect(answer.header("x-olla-client")).toBe("free")
    expect(answer.header("x-ratelimit-limit")).toBe("0")
    const [asked] = office.inference()
    expect(JSON.stringify(asked?.rawHeaders)).not.toContain(keys.free)
    expect(asked?.header("api-key")).toBeUndefined()
  })

  it.each([
    ["invalid_api_key", /not known/, { authorization: "Bearer nobody-knows-this-one-here" }],
    ["invalid_api_key", /not known/, { authorization: `Bearer ${makeKey()}` }],
    ["invalid_api_key", /cut off or mistyped/, { authorization: `Bearer ${keys.free.slice(0, -1)}` }],
    ["invalid_api_key", /cut off or mistyped/, { authorization: `Bearer ${keys.free.slice(0, -1)}${keys.free.endsWith("a") ? "b" : "a"}` }],
    ["invalid_api_key", /not known/, { authorization: `Bearer ${"x".repeat(600)}` }],
    ["key_disabled", /"gone".*since 2026-01-01/, { "x-api-key": keys.gone }],
    ["key_expired", /"late".*since 2026-01-01/, { "x-api-key": keys.late }],
    ["key_expired", /"turned".*since 2026-01-02/, { "x-api-key": keys.old }],
    ["conflicting_api_keys", /Authorization, X-Api-Key or Api-Key/, { authorization: `Bearer ${keys.free}`, "x-api-key": keys.few }]
  ] as const)("that is no good is %s (%s)", async (code, message, headers) => {
    const answer = await post("/v1/chat/completions", chat("small:1b"), headers)
    expect(answer.status).toBe(401)
    expect(answer.json().error).toMatchObject({ code, type: "authentication_error", message: expect.stringMatching(message) })
    expect(answer.header("www-authenticate")).toBe('Bearer realm="olla", error="invalid_token"')
    expect(office.inference()).toHaveLength(0)
  })

  it.each([[`/v1/models?api_key=${keys.free}`], [`/olla/proxy/v1/models?x=1&whatever=${keys.free.replace("olla_", "oll%61_")}`]])(
    "in the address is refused and told to be rotated",
    async (path) => {
      const answer = await get(path, bearer("free"))
      expect(answer.status).toBe(401)
      expect(answer.json().error ?? answer.json()).toMatchObject({ code: "key_in_query", message: expect.stringContaining("rotate") })
    }
  )
})

describe("a key for some models", () => {
  it.each([
    ["small:1b", 200],
    ["helper", 200],
    ["SMALL:1B", 200],
    ["small-unknown", 404],
    ["big:70b", 403],
    ["boss", 403],
    ["nothing-like-it", 403],
    ["small-uncensored", 403]
  ])("asks for %s and gets %i", async (model, status) => {
    const answer = await post("/v1/chat/completions", chat(model), bearer("narrow"))
    expect(answer.status).toBe(status)
    if (status === 403) expect(answer.json().error).toMatchObject({ code: "model_not_allowed", type: "permission_error" })
    expect(answer.text).not.toContain(status === 403 ? "nowhere" : "big")
    expect(answer.header("x-olla-client")).toBe("narrow")
  })

  const mixed = (body: string) => ({ body, headers: { ...json, ...bearer("narrow") } })
  const form =
    '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nsmall:1b\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nbig:70b\r\n--b--\r\n'
  const ways: ReadonlyArray<readonly [string, Asked, string]> = [
    ["twice", { path: "/v1/chat/completions", ...mixed('{"model":"small:1b","messages":[],"model":"big:70b"}') }, "model_not_allowed"],
    [
      "twice, the other way round",
      { path: "/v1/chat/completions", ...mixed('{"model":"big:70b","messages":[],"model":"small:1b"}') },
      "model_not_allowed"
    ],
    ["in capitals", { path: "/v1/chat/completions", ...mixed('{"model":"small:1b","MODEL":"big:70b"}') }, "model_not_allowed"],
    ["escaped", { path: "/v1/chat/completions", ...mixed('{"model":"small:1b","mod\\u0065l":"big:70b"}') }, "model_not_allowed"],
    [
      "in a long body",
      { path: "/v1/chat/completions", ...mixed(`{"model":"small:1b","x":"${"y".repeat(20_000)}","Model":"big:70b"}`) },
      "model_not_allowed"
    ],
    ["in the query", { path: "/olla/proxy/v1/chat/completions?model=big:70b", ...mixed(chat("small:1b")) }, "model_not_allowed"],
    [
      "in a form",
      {
        path: "/olla/proxy/v1/audio/transcriptions",
        body: form,
        headers: { "content-type": "multipart/form-data; boundary=b", accept: "application/json", ...bearer("narrow") }
      },
      "model_not_allowed"
    ],
    ["in broken JSON", { path: "/v1/chat/completions", ...mixed('{"model":"small:1b", oops') }, "model_required"],
    ["nowhere", { path: "/v1/chat/completions", ...mixed('{"messages":[]}') }, "model_required"],
    ["as Ollama's show has it", { path: "/api/show", ...mixed('{"name":"big:70b"}') }, "may not use"]
  ]
  it.each(ways)("gets nobody else's that is named %s", async (_, asked, code) => {
    const answer = await ask(daemon.port, { method: "POST", ...asked })
    expect(answer.status).toBe(403)
    expect(answer.text).toContain(code)
    expect(office.inference().length + lab.inference().length).toBe(0)
  })

  it.each([["/olla/proxy/slots"], ["/olla/ollama/api/ps"], ["/olla/proxy/metrics"]])("has no way to %s", async (path) => {
    const answer = await get(path, bearer("narrow"))
    expect([403, 404]).toContain(answer.status)
    expect(office.inference()).toHaveLength(0)
  })

  it.each([
    ["/v1/models"],
    ["/olla/models"],
    ["/olla/models?format=ollama"],
    ["/olla/openai/v1/models"],
    ["/olla/ollama/api/tags"],
    ["/olla/proxy/v1/models"],
    ["/olla/anthropic/v1/models"],
    ["/api/tags"],
    ["/v1/models?client_version=1"]
  ])("reads its own in %s, and no other's name", async (path) => {
    const answer = await get(path, bearer("narrow"))
    expect(answer.status).toBe(200)
    expect(answer.text).toContain("small:1b")
    expect(answer.text).not.toMatch(/big|boss|uncensored|lab-model/)
    expect(answer.values("vary").join()).toContain("Authorization, X-Api-Key, Api-Key")
    expect(answer.header("cache-control")).toBe("private, no-cache")
  })

  it.each([["/olla/models/big:70b"], ["/v1/models/big:70b"], ["/olla/anthropic/v1/models/big:70b"], ["/v1/models/boss"]])(
    "finds no %s",
    async (path) => {
      expect((await get(path, bearer("free"))).status).toBe(200)
      expect((await get(path, bearer("narrow"))).status).toBe(404)
    }
  )
})

describe("a key for some endpoints", () => {
  it("is sent there, and what only others have is not its", async () => {
    expect((await post("/v1/chat/completions", chat("lab-model"), bearer("placed"))).status).toBe(200)
    expect((await post("/v1/chat/completions", chat("small:1b"), bearer("placed"))).status).toBe(403)
    expect((await get("/v1/models", bearer("placed"))).text).not.toContain("1b")
    expect((await get("/olla/models?endpoint=office", bearer("placed"))).text).not.toContain("1b")
  })
})

describe("limits of a key", () => {
  it("stop it where it has used up its requests, and tell clients not to wait for long", async () => {
    const send = () => post("/v1/chat/completions", chat("small:1b"), bearer("few"))
    const [one, two, three] = [await send(), await send(), await send()] as [Answer, Answer, Answer]
    expect([one.status, two.status, three.status]).toEqual([200, 200, 429])
    expect([one, two, three].map((answer) => answer.header("x-ratelimit-remaining"))).toEqual(["1", "0", "0"])
    expect(three.json().error).toMatchObject({ code: "rate_limited", type: "rate_limit_error", message: expect.stringContaining('"few"') })
    expect(Number(three.header("retry-after"))).toBeGreaterThan(20)
    // Others are not touched by it.
    expect((await post("/v1/chat/completions", chat("small:1b"), bearer("free"))).status).toBe(200)
    expect((await get("/v1/models", bearer("few"))).status).toBe(200)
  })

  it("give a place back when its stream ends, however it ends", async () => {
    office.setFault({ _tag: "endless" })
    const openai = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: keys.alone, maxRetries: 0 })
    const stream = await openai.chat.completions.create({ model: "small:1b", stream: true, messages: [{ role: "user", content: "hi" }] })
    const second = await post("/v1/chat/completions", chat("small:1b"), bearer("alone"))
    expect(second.status).toBe(429)
    expect(second.header("retry-after")).toBe("1")
    expect(second.json().error.code).toBe("too_many_concurrent")
    stream.controller.abort()
    await eventually(
      () => figures("alone"),
      ({ in_flight }) => in_flight === 0
    )
    office.setFault(undefined)
    expect((await post("/v1/chat/completions", chat("small:1b"), bearer("alone"))).status).toBe(200)
  })

  it("count tokens of streams, let a debt be paid off, and never cut an answer", async () => {
    const openai = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: keys.spent, maxRetries: 0 })
    const messages = [{ role: "user" as const, content: "x".repeat(2_000) }]
    let text = ""
    for await (const chunk of await openai.chat.completions.create({ model: "small:1b", stream: true, messages }))
      text += chunk.choices[0]?.delta.content ?? ""
    expect(text).not.toBe("")
    const used = await eventually(
      () => figures("spent"),
      ({ in_flight, requests }) => in_flight === 0 && requests === 1
    )
    expect(used.tokens_out).toBeGreaterThan(0)
    expect(used.limits).toMatchObject({ tokens_per_minute: 60, requests_per_minute: null })
    const refused = await openai.chat.completions.create({ model: "small:1b", messages }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError)
    expect(refused).toMatchObject({ status: 429, code: "tokens_exhausted" })
  })
})

describe("official clients", () => {
  it("read refusals as what they are, and do not storm", async () => {
    const before = (await get("/internal/stats/keys")).json().refused
    const openai = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: makeKey() })
    await expect(openai.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError)
    const narrow = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: keys.narrow })
    await expect(narrow.chat.completions.create({ model: "big:70b", messages: [] })).rejects.toBeInstanceOf(OpenAI.PermissionDeniedError)
    const anthropic = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: makeKey() })
    const message = { model: "small:1b", max_tokens: 5, messages: [{ role: "user" as const, content: "hi" }] }
    await expect(anthropic.messages.create(message)).rejects.toBeInstanceOf(Anthropic.AuthenticationError)
    // Longer than a client would wait: it is told not to try again.
    const spent = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: keys.spent })
    const limited = await spent.messages.create(message).catch((error: unknown) => error)
    expect(limited).toBeInstanceOf(Anthropic.RateLimitError)
    const ollama = new Ollama({ host: daemon.url, headers: { authorization: `Bearer ${keys.narrow}` } })
    await expect(ollama.chat({ model: "big:70b", messages: [] })).rejects.toThrow(/may not use the model/)
    const after = (await get("/internal/stats/keys")).json().refused
    const grown = (code: string) => (after[code] ?? 0) - (before[code] ?? 0)
    expect([grown("invalid_api_key"), grown("model_not_allowed")]).toEqual([2, 2])
    expect(grown("tokens_exhausted")).toBe(1)
  })

  it("work with their keys: Messages, Responses and Ollama", async () => {
    const anthropic = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: keys.free })
    const { content } = await anthropic.messages.create({ model: "small:1b", max_tokens: 50, messages: [{ role: "user", content: "hi" }] })
    expect(content[0]?.type).toBe("text")
    const openai = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: keys.free })
    expect((await openai.responses.create({ model: "small:1b", input: "hi" })).output_text).not.toBe("")
    const ollama = new Ollama({ host: daemon.url, headers: { authorization: `Bearer ${keys.free}` } })
    expect((await ollama.chat({ model: "small:1b", messages: [{ role: "user", content: "hi" }] })).message.content).not.toBe("")
    expect((await ollama.list()).models.length).toBeGreaterThan(2)
  })

  it("curl speaks with a key as a password", async () => {
    const status = await new Promise<string>((resolve) => {
      const child = spawn("curl", [
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        `http://x:${keys.free}@127.0.0.1:${daemon.port}/v1/models`
      ])
      let text = ""
      child.stdout.on("data", (chunk: Buffer) => {
        text += chunk.toString()
      })
      child.once("close", () => resolve(text))
    })
    expect(status).toBe("200")
  })
})

describe("while it runs", () => {
  const place = () => join(daemon.folder, "keys.yaml")
  const rewrite = (text: string) => {
    writeFileSync(`${place()}.new`, text)
    renameSync(`${place()}.new`, place())
  }
  const statusOf = async (name: keyof typeof keys) => (await get("/v1/models", bearer(name))).status

  it("a key that is added works, a broken file changes nothing, and one that is taken out ends", async () => {
    expect(await statusOf("noted")).toBe(401)
    rewrite(`${file}${entry("noted")}`)
    await eventually(
      () => statusOf("noted"),
      (status) => status === 200
    )
    const before = (await get("/internal/status")).json().access
    expect(before).toMatchObject({ keys: 10, anonymous: "deny", source: "keys.yaml", last_error: null })
    for (const broken of ["", "keys: [", `${file}  - {name: wrong, hash: "sha256:00", modles: [a]}\n`]) {
      rewrite(broken)
      const after = await eventually(
        async () => (await get("/internal/status")).json().access,
        ({ last_error }) => last_error !== null
      )
      expect(after).toMatchObject({ keys: 10, generation: before.generation })
      expect(after.last_error).not.toContain("sha256:00")
      expect(await statusOf("noted")).toBe(200)
      rewrite(`${file}${entry("noted")}`)
      await eventually(
        async () => (await get("/internal/status")).json().access.last_error,
        (error) => error === null
      )
    }
    rewrite(file)
    await eventually(
      () => statusOf("noted"),
      (status) => status === 401
    )
    expect(daemon.output()).toContain('"Keys loaded"')
    expect(daemon.output()).toContain('"Keys not loaded"')
  })

  it("revoking lets a stream finish, and with `cut` ends it", async () => {
    office.setFault({ _tag: "endless" })
    const openai = new OpenAI({ baseURL: `${daemon.url}/v1`, apiKey: keys.noted, maxRetries: 0 })
    rewrite(`${file}${entry("noted")}`)
    await eventually(
      () => statusOf("noted"),
      (status) => status === 200
    )
    const stream = await openai.chat.completions.create({ model: "small:1b", stream: true, messages: [] })
    const anthropic = new Anthropic({ baseURL: `${daemon.url}/olla/anthropic`, apiKey: keys.noted, maxRetries: 0 })
    const messages = await anthropic.messages.create({
      model: "small:1b",
      stream: true,
      max_tokens: 100_000,
      messages: [{ role: "user", content: "x" }]
    })
    let pieces = 0
    let spoken = 0
    const reading = (async () => {
      for await (const _ of stream) pieces++
    })().catch((error: unknown) => error)
    const hearing = (async () => {
      for await (const _ of messages) spoken++
    })().catch((error: unknown) => error)
    await eventually(
      () => Math.min(pieces, spoken),
      (count) => count > 0
    )
    rewrite(`${file}${entry("noted", "disabled: true")}`)
    await eventually(
      () => statusOf("noted"),
      (status) => status === 401
    )
    const then = pieces
    await eventually(
      () => pieces,
      (count) => count > then
    )
    rewrite(`${file}${entry("noted", "disabled: true, cut: true")}`)
    expect(await reading).toBeInstanceOf(Error)
    const ended = await hearing
    expect(String((ended as Error).message)).toContain("authentication_error")
    rewrite(file)
  })
})

describe("what is told", () => {
  it("names keys in figures, metrics and log, and shows no part of one", async () => {
    await post("/v1/chat/completions", chat("small:1b"), { ...bearer("free"), "user-agent": `agent ${keys.few}` })
    await get(`/v1/models?k=${keys.free}`)
    const metrics = await get("/internal/metrics")
    expect(metrics.text).toMatch(/olla_key_requests_total\{key="free",outcome="ok"\} [1-9]/)
    expect(metrics.text).toMatch(/olla_access_refused_total\{code="invalid_api_key"\} [1-9]/)
    expect(metrics.text).toMatch(/olla_access_keys\{state="revoked"\} 1/)
    const { tokens_in, last_used, models } = await figures("free")
    expect(tokens_in).toBeGreaterThan(0)
    expect(last_used).not.toBeNull()
    expect(Object.keys(models)).toContain("small:1b")
    const told = await eventually(
      () => daemon.output(),
      (text) => text.includes('"key_in_query"')
    )
    expect(told).toMatch(/"key":"free"/)
    const documents = await Promise.all(
      ["/internal/status", "/internal/stats/keys", "/internal/metrics"].map(async (path) => (await get(path)).text)
    )
    // The line alone: the whole log says too much.
    for (const key of Object.values(keys))
      for (const text of [told, ...documents])
        for (const secret of [key, hashOf(key).slice(7)]) expect(text.split("\n").filter((line) => line.includes(secret))).toEqual([])
    expect(readFileSync(join(daemon.folder, "keys.yaml"), "utf8")).toContain("# who may ask")
  })
})
