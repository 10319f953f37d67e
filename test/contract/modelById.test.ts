/** `GET .../v1/models/{id}`: one entry of a list, by any client and whatever endpoint has the model. */
import OpenAI from "openai"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ask } from "./ask.ts"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"

const [a, b] = [new ModelServer(["org/Deep-7b"]), new ModelServer(["other", "shared"])]
let daemon: Daemon
let openai: OpenAI

beforeAll(async () => {
  await Promise.all([a.start(), b.start()])
  const entry = (name: string, type: string, server: ModelServer) =>
    `      - {name: ${name}, type: ${type}, url: "${server.url}", ${rareChecks}}\n`
  daemon = await startDaemon(
    `discovery:\n  static:\n    endpoints:\n${entry("a", "vllm", a)}${entry("b", "omlx", b)}model_aliases: {best: [org/Deep-7b]}\n`
  )
  openai = new OpenAI({ baseURL: `${daemon.url}/olla/proxy/v1`, apiKey: "any", maxRetries: 0 })
})
afterAll(async () => {
  await daemon?.stop()
  await Promise.all([a.stop(), b.stop()])
})

const get = (path: string, method = "GET") => ask(daemon.port, { method, path, headers: { accept: "application/json" } })

describe("a model by its id", () => {
  it.each(["org/Deep-7b", "other", "ORG/deep-7b"])("is what the list says of it, for the official client: %s", async (id) => {
    const listed = (await openai.models.list()).data.find((one) => one.id.toLowerCase() === id.toLowerCase())
    expect(await openai.models.retrieve(id)).toEqual(listed)
    expect(listed).toBeDefined()
  })
  it("is found by an alias, under the alias's name", async () => {
    expect(await openai.models.retrieve("best")).toMatchObject({ id: "best", object: "model" })
  })
  it("is the provider's own on a provider's route, in each of its lists' forms", async () => {
    expect((await get("/olla/vllm/v1/models/org/Deep-7b")).json()).toMatchObject({ id: "org/Deep-7b", object: "model" })
    expect((await get("/olla/vllm/v1/models/org%2FDeep-7b")).json()).toMatchObject({ id: "org/Deep-7b" })
    expect((await get("/olla/openai/v1/models/other")).json()).toMatchObject({ id: "other" })
    expect((await get("/olla/vllm/v1/models/other")).status).toBe(404)
  })
  it("is 404 in JSON where nobody has it, and no backend is asked", async () => {
    await expect(openai.models.retrieve("nobody")).rejects.toMatchObject({ status: 404, code: "model_not_found" })
    expect(a.asked.length + b.asked.length).toBe(0)
  })
  it("leaves paths that a kind has below its list to it", async () => {
    expect((await get("/olla/omlx/v1/models/status")).json()).toEqual({ ok: true })
    expect(b.asked.map(({ url }) => url)).toEqual(["/v1/models/status"])
  })
  it.each(["/olla/proxy/v1/models", "/olla/vllm/v1/models", "/olla/anthropic/v1/models", "/olla/anthropic/models"])(
    "of the list %s HEAD tells what GET would",
    async (path) => {
      const [head, whole] = [await get(path, "HEAD"), await get(path)]
      expect([head.status, head.header("content-length"), head.text]).toEqual([200, whole.header("content-length"), ""])
      expect((await get(path.replace("anthropic", "vllm"), "OPTIONS")).status).toBe(200)
    }
  )
})
