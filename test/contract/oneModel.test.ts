/** Names that mean one model are one entry in every list, and a server's own aliases are names like others. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"

interface Entry {
  readonly id?: string
  readonly name?: string
  readonly aliases?: ReadonlyArray<string>
  readonly status?: { readonly value: string }
  readonly olla?: { readonly aliases: ReadonlyArray<string>; readonly availability: ReadonlyArray<{ endpoint: string; state: string }> }
}

const listed = (id: string, aliases: ReadonlyArray<string>, status?: object) => ({
  id,
  aliases: [id, ...aliases],
  object: "model",
  created: 1,
  owned_by: "llamacpp",
  ...(status === undefined ? {} : { status })
})
const routerList = JSON.stringify({
  object: "list",
  data: [
    listed("org/big-Q4.gguf", ["Big", "shared"], { value: "loaded", args: [] }),
    listed("org/small-Q4.gguf", ["small"], { value: "unloaded" }),
    listed("org/bad.gguf", [], { value: "unloaded", failed: true, exit_code: 1 })
  ]
})

describe.each([
  ["Ollama first", ["ollama", "vllm"]],
  ["Ollama last", ["vllm", "ollama"]]
] as const)("a model of Ollama's, of vLLM and of llama.cpp by an alias, %s", (_name, order) => {
  const backends = new Map<string, SimulatedBackend>()
  let daemon: Daemon
  beforeAll(async () => {
    backends.set("ollama", await startBackend({ kind: "ollama", models: ["shared:latest", "only:latest"] }))
    backends.set("vllm", await startBackend({ kind: "vllm", models: ["shared"] }))
    const llamacpp = await startBackend({ kind: "llamacpp", models: ["org/big-Q4.gguf"] })
    llamacpp.setFault({ _tag: "body", body: routerList, contentType: "application/json" }, "listing")
    backends.set("llamacpp", llamacpp)
    const names = [...order, "llamacpp"]
    daemon = await startDaemon(
      endpointsYaml(
        names.map((name) => ({ name, backend: backends.get(name) as SimulatedBackend })),
        rareChecks
      )
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    for (const backend of backends.values()) await backend.stop()
  })

  const read = async (path: string): Promise<ReadonlyArray<Entry>> => {
    const answer = await fetch(`${daemon.url}${path}`)
    expect(answer.status).toBe(200)
    const document = (await answer.json()) as { readonly data?: ReadonlyArray<Entry>; readonly models?: ReadonlyArray<Entry> }
    return document.data ?? document.models ?? []
  }
  const idsOf = async (path: string) => (await read(path)).map(({ id, name }) => id ?? name)
  const ask = (model: string, path = "/olla/proxy/v1/chat/completions") =>
    fetch(`${daemon.url}${path}`, {
      method: "POST",
      body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] }),
      headers: { "content-type": "application/json" }
    })

  it("is one entry of each list, by the name that all of them take", async () => {
    const openAi = ["Big", "only:latest", "org/bad.gguf", "org/big-Q4.gguf", "org/small-Q4.gguf", "shared", "small"]
    for (const path of ["/olla/proxy/v1/models", "/olla/openai/v1/models", "/olla/models?format=openai"])
      expect(await idsOf(path)).toEqual(openAi)
    expect(await idsOf("/olla/models")).toEqual(["only:latest", "org/bad.gguf", "org/small-Q4.gguf", "shared"])
    expect(await idsOf("/olla/anthropic/v1/models")).toEqual(["only:latest", "org/bad.gguf", "org/small-Q4.gguf", "shared"])
    for (const format of ["lmdeploy", "sglang", "lemonade"])
      expect(await idsOf(`/olla/models?format=${format}`)).toEqual(["only:latest", "org/bad.gguf", "org/small-Q4.gguf", "shared"])
    for (const path of ["/olla/ollama/api/tags", "/olla/ollama/v1/models", "/olla/models?format=ollama"])
      expect(await idsOf(path)).toEqual(["only:latest", "shared:latest"])
    expect(await idsOf("/olla/vllm/v1/models")).toEqual(["shared"])
    expect(await idsOf("/olla/llamacpp/v1/models")).toEqual([
      "Big",
      "org/bad.gguf",
      "org/big-Q4.gguf",
      "org/small-Q4.gguf",
      "shared",
      "small"
    ])
  })
  it("says in the unified list who has it, under all of its names", async () => {
    const shared = (await read("/olla/models")).find(({ id }) => id === "shared")
    expect([...(shared?.olla?.aliases ?? [])].sort()).toEqual(["Big", "org/big-Q4.gguf", "shared", "shared:latest"])
    expect(new Map(shared?.olla?.availability.map(({ endpoint, state }) => [endpoint, state]))).toEqual(
      new Map([
        ["ollama", "available"],
        ["vllm", "unknown"],
        ["llamacpp", "loaded"]
      ])
    )
  })
  it.each(["shared", "shared:latest", "big", "org/big-Q4.gguf"])("is found as %s by each route that shows one model", async (name) => {
    const ids = await Promise.all(
      ["/olla/models/", "/olla/proxy/v1/models/", "/olla/openai/v1/models/"].map(async (path) => {
        const answer = await fetch(`${daemon.url}${path}${name}`)
        return [answer.status, ((await answer.json()) as Entry).id]
      })
    )
    for (const [status, id] of ids) expect([status, typeof id]).toEqual([200, "string"])
  })
  it("has the state that a llama.cpp router tells", async () => {
    const own = await read("/olla/models?format=llamacpp")
    const of = (id: string) => own.find((entry) => entry.id === id)
    expect(of("org/small-Q4.gguf")).toMatchObject({ status: { value: "unloaded" }, aliases: ["small"] })
    expect(of("org/bad.gguf")).toMatchObject({ status: { value: "failed" } })
    const small = await (await fetch(`${daemon.url}/olla/models/small`)).json()
    expect(small).toMatchObject({ id: "org/small-Q4.gguf", aliases: ["org/small-Q4.gguf", "small"], loaded_endpoints: [] })
    const big = await (await fetch(`${daemon.url}/olla/models/Big`)).json()
    expect(big).toMatchObject({ loaded_endpoints: ["llamacpp"] })
  })
  it("is asked for by each server's own name", async () => {
    const heard = new Map<string, string>()
    for (let n = 0; n < 12; n++) expect((await ask("Shared")).status).toBe(200)
    for (const [name, backend] of backends)
      for (const { body } of backend.inference()) heard.set(name, (JSON.parse(body) as { readonly model: string }).model)
    expect(heard).toEqual(
      new Map([
        ["ollama", "shared:latest"],
        ["vllm", "shared"],
        ["llamacpp", "org/big-Q4.gguf"]
      ])
    )
    const alias = await ask("BIG", "/olla/llamacpp/v1/chat/completions")
    expect([alias.status, alias.headers.get("x-olla-model")]).toEqual([200, "big"])
  })
})
