/** A fleet of every kind behind a started daemon: what an operator sees of it, in good days and bad ones. */
import { readdirSync, readFileSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type BackendKind, backendKinds, type Fault, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

interface Seen {
  readonly name: string
  readonly type: string
  readonly detected_type?: string
  readonly status: string
  readonly issues?: string
  readonly last_error?: string
  readonly model_count: number
  readonly discovery_disabled?: boolean
}

const endpointsOf = async (daemon: Daemon): Promise<ReadonlyMap<string, Seen>> => {
  const document = (await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as { readonly endpoints: ReadonlyArray<Seen> }
  return new Map(document.endpoints.map((endpoint) => [endpoint.name, endpoint]))
}
const idsOf = async (daemon: Daemon, path: string): Promise<ReadonlyArray<string>> => {
  const answer = await fetch(`${daemon.url}${path}`)
  expect(answer.status).toBe(200)
  const document = (await answer.json()) as Record<string, ReadonlyArray<Record<string, string>>>
  return (document["data"] ?? document["models"] ?? []).map((entry) => entry["id"] ?? entry["name"] ?? "")
}
const post = (daemon: Daemon, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${daemon.url}${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } })
const chat = (model: string) => ({ model, messages: [{ role: "user", content: "hi" }] })

/** Prefixes, chat path and own listing path of each kind, as its users know them. */
const kinds: Readonly<Record<BackendKind, { readonly prefixes: ReadonlyArray<string>; readonly chat: string; readonly listing: string }>> =
  {
    ollama: { prefixes: ["ollama"], chat: "v1/chat/completions", listing: "api/tags" },
    "lm-studio": { prefixes: ["lmstudio", "lm-studio", "lm_studio"], chat: "v1/chat/completions", listing: "api/v0/models" },
    llamacpp: { prefixes: ["llamacpp"], chat: "v1/chat/completions", listing: "v1/models" },
    vllm: { prefixes: ["vllm"], chat: "v1/chat/completions", listing: "v1/models" },
    "vllm-mlx": { prefixes: ["vllm-mlx"], chat: "v1/chat/completions", listing: "v1/models" },
    sglang: { prefixes: ["sglang"], chat: "v1/chat/completions", listing: "v1/models" },
    lmdeploy: { prefixes: ["lmdeploy"], chat: "v1/chat/completions", listing: "v1/models" },
    lemonade: { prefixes: ["lemonade"], chat: "api/v1/chat/completions", listing: "api/v1/models" },
    litellm: { prefixes: ["litellm"], chat: "v1/chat/completions", listing: "v1/models" },
    "docker-model-runner": { prefixes: ["dmr"], chat: "engines/v1/chat/completions", listing: "engines/v1/models" },
    omlx: { prefixes: ["omlx"], chat: "v1/chat/completions", listing: "v1/models" },
    "openai-compatible": { prefixes: ["openai", "openai-compatible"], chat: "v1/chat/completions", listing: "v1/models" }
  }

describe("twelve kinds with one line each", () => {
  let daemon: Daemon
  const backends = new Map<BackendKind, SimulatedBackend>()
  beforeAll(async () => {
    for (const kind of backendKinds) backends.set(kind, await startBackend({ kind, models: [`${kind}-7b`] }))
    const lines = [...backends].map(([kind, { url }]) => `      - {url: "${url}", type: ${kind}, name: ${kind}}`)
    daemon = await startDaemon(`discovery:\n  static:\n    endpoints:\n${lines.join("\n")}\n`)
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([...backends.values()].map((backend) => backend.stop()))
  })

  it("are all healthy and have their models when the daemon has started", async () => {
    const seen = await endpointsOf(daemon)
    for (const kind of backendKinds)
      expect([...(seen.has(kind) ? [seen.get(kind)] : [])]).toMatchObject([{ type: kind, status: "healthy", model_count: 1 }])
  })
  it.each(backendKinds)("%s: lists and chats under each of its prefixes, and nobody else's models", async (kind) => {
    const { prefixes, chat: path, listing } = kinds[kind]
    for (const prefix of prefixes) {
      const own = kind === "openai-compatible" ? backendKinds.map((each) => `${each}-7b`).sort() : [`${kind}-7b`]
      expect(await idsOf(daemon, `/olla/${prefix}/v1/models`)).toEqual(own)
      expect(await idsOf(daemon, `/olla/${prefix}/${listing}`)).toEqual(own)
      const answer = await post(daemon, `/olla/${prefix}/${path}`, chat(`${kind}-7b`))
      expect([answer.status, answer.headers.get("x-olla-backend-type"), answer.headers.get("x-olla-endpoint")]).toEqual([200, kind, kind])
      expect(await answer.json()).toMatchObject({ model: `${kind}-7b`, object: "chat.completion" })
      expect(backends.get(kind)?.inference().at(-1)?.url).toBe(`/${path}`)
    }
  })
  it("answer Anthropic's Messages natively where they can, at their own path, and in translation elsewhere", async () => {
    for (const kind of backendKinds) {
      const answer = await post(daemon, "/olla/anthropic/v1/messages", { ...chat(`${kind}-7b`), max_tokens: 9 })
      expect([kind, answer.status]).toEqual([kind, 200])
      expect(await answer.json()).toMatchObject({ type: "message", role: "assistant" })
      const native = ["ollama", "lm-studio", "llamacpp", "vllm", "vllm-mlx", "docker-model-runner", "omlx"].includes(kind)
      const path = kind === "docker-model-runner" ? "/anthropic/v1/messages" : "/v1/messages"
      expect([kind, backends.get(kind)?.inference().at(-1)?.url]).toEqual([kind, native ? path : `/${kinds[kind].chat}`])
    }
  })
  it("Ollama's management is refused, and other local routes name their methods", async () => {
    for (const path of ["api/pull", "api/push", "api/create", "api/copy", "api/delete", "api/list", "api/blobs/sha256:0"])
      expect([path, (await post(daemon, `/olla/ollama/${path}`, {})).status]).toEqual([path, 501])
    for (const prefix of ["proxy", ...Object.values(kinds).flatMap(({ prefixes }) => prefixes)])
      expect([prefix, (await post(daemon, `/olla/${prefix}/api/delete`, {})).status]).toEqual([prefix, 501])
    expect(await (await fetch(`${daemon.url}/olla/ollama/api/version`)).json()).toEqual({ version: "0.14.2" })
  })
})

describe("a fleet in trouble", () => {
  let daemon: Daemon
  const backends = new Map<string, SimulatedBackend>()
  const of = (name: string): SimulatedBackend => {
    const backend = backends.get(name)
    if (backend === undefined) throw new Error(name)
    return backend
  }
  const names = ["dies", "locked", "auto"]
  beforeAll(async () => {
    for (const name of names)
      backends.set(
        name,
        await startBackend({
          kind: name === "auto" ? "sglang" : "vllm",
          port: await freePort(),
          models: [`${name}-m`],
          ...(name === "locked" ? { key: "right" } : {})
        })
      )
    const more: Readonly<Record<string, string>> = { locked: ", health_check_url: /v1/models, auth: {type: bearer, token: wrong}" }
    const lines = names.map(
      (name) =>
        `      - {url: "${of(name).url}", type: ${name === "auto" ? "auto" : "vllm"}, name: ${name}, check_interval: 2s, check_timeout: 1900ms${more[name] ?? ""}}`
    )
    daemon = await startDaemon(
      `discovery:\n  model_discovery: {interval: 1s, timeout: 2s, retry_attempts: 0}\n  static:\n    endpoints:\n${lines.join("\n")}\n`
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([...backends.values()].map((backend) => backend.stop()))
  })
  const becomes = (name: string, wanted: (seen: Seen) => boolean) =>
    eventually(
      async () => (await endpointsOf(daemon)).get(name) as Seen,
      (seen) => wanted(seen)
    )

  it("a backend that dies is out at once, and back within its next check", async () => {
    await of("dies").kill()
    const failed = await post(daemon, "/olla/vllm/v1/chat/completions", chat("dies-m"))
    expect(failed.status).toBeGreaterThanOrEqual(502)
    expect((await endpointsOf(daemon)).get("dies")).toMatchObject({
      status: "offline",
      issues: "unavailable",
      // A listing that was due meanwhile may have failed as well, and then both are told.
      last_error: expect.stringMatching(/^connection refused(?:$|; )/)
    })
    expect((await post(daemon, "/olla/vllm/v1/chat/completions", chat("dies-m"))).status).toBe(503)
    of("dies").setModels(["dies-m", "new-m"])
    await of("dies").restart()
    const back = await becomes("dies", ({ status, model_count }) => status === "healthy" && model_count === 2)
    expect(back.issues).toBeUndefined()
    // The snapshot that routes is built a moment after the listing was read.
    await eventually(
      () => post(daemon, "/olla/vllm/v1/chat/completions", chat("new-m")),
      ({ status }) => status === 200
    )
  })

  it("rejected credentials say so, and nothing else is asked", async () => {
    expect((await endpointsOf(daemon)).get("locked")).toMatchObject({
      status: "config_error",
      issues: "authentication rejected",
      last_error: "HTTP 401",
      model_count: 0
    })
    expect(of("locked").requests.every(({ url }) => url === "/v1/models")).toBe(true)
    of("locked").setKey("wrong")
    await becomes("locked", ({ status, model_count }) => status === "healthy" && model_count === 1)
  })

  it("an endpoint of type auto is what it proves to be", async () => {
    expect((await endpointsOf(daemon)).get("auto")).toMatchObject({ type: "auto", detected_type: "sglang", status: "healthy" })
    expect(await idsOf(daemon, "/olla/sglang/v1/models")).toEqual(["auto-m"])
  })
})

it.runIf(process.platform === "linux")("names that nobody answers for leave threads for the others' lookups", async () => {
  const backend = await startBackend({ kind: "vllm", models: ["m"] })
  const url = backend.url.replace("127.0.0.1", "localhost")
  const daemon = await startDaemon(`discovery: {static: {endpoints: [{url: "${url}", type: vllm, name: named}]}}\n`)
  try {
    const tasks = `/proc/${daemon.child.pid}/task`
    const workers = readdirSync(tasks).filter((task) => readFileSync(`${tasks}/${task}/comm`, "utf8").startsWith("libuv-worker"))
    expect(workers).toHaveLength(16)
    expect((await endpointsOf(daemon)).get("named")).toMatchObject({ status: "healthy", model_count: 1 })
  } finally {
    await daemon.stop()
    await backend.stop()
  }
})

const many = (count: number): string =>
  JSON.stringify({ data: Array.from({ length: count }, (_, n) => ({ id: `m-${n}`, object: "model" })) })
const bad: Readonly<Record<string, { readonly fault: Fault; readonly said: RegExp }>> = {
  malformed: { fault: { _tag: "body", body: "<html>busy</html>" }, said: /failed to parse vLLM response/ },
  truncated: { fault: { _tag: "body", body: '{"object":"list","data":[{"id":"a"},{"id":"b' }, said: /failed to parse vLLM response/ },
  "cut-off": { fault: { _tag: "cut", after: 0 }, said: /the answer broke off/ },
  huge: { fault: { _tag: "body", body: many(100_000) }, said: /more than 10000 models/ },
  endless: { fault: { _tag: "endless" }, said: /larger than 10 MiB/ },
  hanging: { fault: { _tag: "hang" }, said: /timeout/ },
  foreign: {
    fault: { _tag: "body", body: '{"error":"Unexpected endpoint"}' },
    said: /has no "data" list but an error: Unexpected endpoint/
  },
  refused: { fault: { _tag: "status", status: 500 }, said: /HTTP 500/ }
}

it("a model is perhaps at the endpoints whose lists could never be read: the answer names them", async () => {
  const lists: Readonly<Record<string, Fault>> = {
    page: { _tag: "body", body: "<html>busy</html>" },
    half: { _tag: "body", body: '{"data":[{"id' },
    endless: { _tag: "stall", after: 0 }
  }
  const backends = await Promise.all(
    Object.entries(lists).map(async ([name, fault]) => {
      const backend = await startBackend({ kind: "vllm", models: [name] })
      backend.setFault(fault, "listing")
      return { name, backend }
    })
  )
  const fine = { name: "fine", backend: await startBackend({ kind: "vllm", models: ["m"] }) }
  const daemon = await startDaemon(`${endpointsYaml([...backends, fine], rareChecks)}  model_discovery: {timeout: 1s, retry_attempts: 0}\n`)
  try {
    const answer = await eventually(
      async () => {
        const refused = await post(daemon, "/olla/proxy/v1/chat/completions", chat("nope"), { accept: "application/json" })
        return { status: refused.status, text: await refused.text() }
      },
      ({ text }) => text.includes("could not be read") && !text.includes("not read yet")
    )
    expect(answer.status).toBe(503)
    expect(answer.text).toMatch(/the model lists of page, half, endless could not be read/)
    for (const [name, seen] of await endpointsOf(daemon))
      expect([name, seen.issues, seen.last_error !== undefined]).toEqual(
        name === "fine" ? [name, undefined, false] : [name, "model list unreadable", true]
      )
  } finally {
    await daemon.stop()
    for (const { backend } of [...backends, fine]) await backend.stop()
  }
})

describe("a listing that is", () => {
  let daemon: Daemon
  const backends = new Map<string, SimulatedBackend>()
  beforeAll(async () => {
    for (const name of ["steady", ...Object.keys(bad)]) backends.set(name, await startBackend({ kind: "vllm", models: [`${name}-m`] }))
    const lines = [...backends].map(
      ([name, { url }]) => `      - {url: "${url}", type: vllm, name: ${name}, check_interval: 2s, check_timeout: 1900ms}`
    )
    daemon = await startDaemon(
      `discovery:\n  model_discovery: {interval: 1s, timeout: 2s, retry_attempts: 0, concurrent_workers: 9}\n  static:\n    endpoints:\n${lines.join("\n")}\n`
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all([...backends.values()].map((backend) => backend.stop()))
  })
  it.concurrent.each(Object.entries(bad))(
    "%s is refused and told on its endpoint only, the known models stay, and all is well again after it",
    async (name, { fault, said }) => {
      const backend = backends.get(name)
      const seen = async () => (await endpointsOf(daemon)).get(name) as Seen
      expect(await seen()).toMatchObject({ status: "healthy", model_count: 1 })
      backend?.setFault(fault, "listing")
      const odd = await eventually(seen, ({ last_error }) => last_error !== undefined && said.test(last_error))
      expect(odd.last_error).toMatch(said)
      expect(odd).toMatchObject({ status: "healthy", model_count: 1, issues: "model list unreadable" })
      expect((await post(daemon, "/olla/vllm/v1/chat/completions", chat(`${name}-m`))).status).toBe(200)
      const steady = (await endpointsOf(daemon)).get("steady")
      expect(steady).toMatchObject({ status: "healthy", model_count: 1 })
      expect(steady?.last_error).toBeUndefined()
      backend?.setFault(undefined)
      await eventually(seen, ({ last_error }) => last_error === undefined)
    },
    20_000
  )
})
