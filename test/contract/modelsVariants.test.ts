/** Names and lists under other configurations: where backends are asked on a miss, and without the unifier. */
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, startDaemon } from "./daemon.ts"

describe("a daemon that asks its backends on a miss, with rules of its own", () => {
  let backend: SimulatedBackend
  let asking: Daemon

  beforeAll(async () => {
    backend = await startBackend({ kind: "vllm", models: ["acme-7-turbo"] })
    asking = await startDaemon(
      `${endpointsYaml([{ name: "one", backend }])}model_registry: {routing_strategy: {type: discovery, options: {discovery_refresh_on_miss: true}}}\n`,
      {
        files: {
          "models.yaml":
            "model_extraction:\n  family_patterns: [{pattern: '^(acme)-(\\d+)', family_group: 1, variant_group: 2}]\ncapabilities:\n  name_patterns: [{pattern: turbo, capabilities: [fast]}]\n"
        }
      }
    )
  })

  afterAll(async () => {
    await asking?.stop()
    await backend?.stop()
  })

  const ask = async (model: string) => {
    const answer = await fetch(`${asking.url}/olla/proxy/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [] })
    })
    await answer.arrayBuffer()
    return [answer.status, answer.headers.get("x-olla-routing-reason")]
  }

  it("routes to a model that its backend has got since, and no longer to one that it has lost", async () => {
    expect(await ask("acme-7-turbo")).toEqual([200, "model_found_no_refresh"])
    backend.setModels(["acme-8"])
    expect(await ask("acme-8")).toEqual([200, "model_found"])
    expect(await ask("acme-7-turbo")).toEqual([404, "model_not_found"])
    backend.setModels(["acme-7-turbo", "acme-8"])
    // Five seconds for the same name; another name asks at once.
    expect(await ask("acme-7-turbo")).toEqual([404, "model_not_found"])
    expect(await ask("acme-9")).toEqual([404, "model_not_found"])
    expect(await ask("acme-7-turbo")).toEqual([200, "model_found_no_refresh"])
  })

  it("reads attributes by its models.yaml, and says where it found it", async () => {
    const found = (await (await fetch(`${asking.url}/olla/models/acme-7-turbo`)).json()) as {
      family: string
      variant: string
      capabilities: ReadonlyArray<string>
    }
    expect(found).toMatchObject({ family: "acme", variant: "7" })
    expect(found.capabilities).toContain("fast")
    expect(asking.output()).toMatch(/model unification config loaded.*models\.yaml/)
  })
})

describe("a daemon without the unifier", () => {
  let backend: SimulatedBackend
  let plain: Daemon

  beforeAll(async () => {
    backend = await startBackend({ kind: "ollama", models: ["zeta:1b", "Alpha:7b"] })
    plain = await startDaemon(
      `${endpointsYaml([{ name: "one", backend }])}model_registry: {enable_unifier: false}\nmodel_aliases: {big: [alpha:7b]}\n`
    )
  })

  afterAll(async () => {
    await plain?.stop()
    await backend?.stop()
  })

  const get = async (path: string) => {
    const answer = await fetch(plain.url + path)
    return { status: answer.status, body: await answer.text() }
  }

  it("still routes by name and alias", async () => {
    const client = new OpenAI({ baseURL: `${plain.url}/olla/openai/v1`, apiKey: "any", maxRetries: 0 })
    for (const model of ["zeta:1b", "BIG", "ALPHA:7B"]) await client.chat.completions.create({ model, messages: [] })
    expect(backend.inference().map((request) => (JSON.parse(request.body) as { model: string }).model)).toEqual([
      "zeta:1b",
      "Alpha:7b",
      "Alpha:7b"
    ])
  })

  it("makes its lists of what each backend lists", async () => {
    const names = (text: string) => (JSON.parse(text) as { models: ReadonlyArray<{ name: string; size: number }> }).models
    const tags = names((await get("/olla/ollama/api/tags")).body)
    expect(tags.map((model) => model.name)).toEqual(["Alpha:7b", "zeta:1b"])
    expect(tags.every((model) => model.size > 0)).toBe(true)
    expect(JSON.parse((await get("/olla/openai/v1/models")).body)).toMatchObject({
      object: "list",
      data: [{ id: "Alpha:7b" }, { id: "zeta:1b" }]
    })
    expect(JSON.parse((await get("/olla/anthropic/v1/models")).body)).toMatchObject({ first_id: "Alpha:7b" })
  })

  it("answers the unified list with the inventory, and knows no single model", async () => {
    expect(JSON.parse((await get("/olla/models")).body)).toMatchObject({ total_models: 2, total_endpoints: 1, models_by_family: {} })
    expect(await get("/olla/models/zeta:1b")).toEqual({ status: 501, body: "Unified models not supported\n" })
  })
})
