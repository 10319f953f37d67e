/** Lists of thousands of models through a started daemon: whole, sorted, compressed where that is wanted, and in nobody's way. */
import { gunzipSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { ask } from "./ask.ts"
import { type Daemon, endpointsYaml, rareChecks, startDaemon } from "./daemon.ts"

const count = 4_000
const names = Array.from({ length: count }, (_, i) => `model-${String((i * 7_919) % count).padStart(5, "0")}`)

let backend: SimulatedBackend
let daemon: Daemon

beforeAll(async () => {
  backend = await startBackend({ kind: "vllm", models: names })
  daemon = await startDaemon(endpointsYaml([{ name: "vllm", backend }], rareChecks))
})

afterAll(async () => {
  await daemon?.stop()
  await backend?.stop()
})

const get = (path: string, headers: Record<string, string> = {}, method = "GET") => ask(daemon.port, { path, headers, method })

describe("a list of thousands of models", () => {
  const expected = [...names].sort()

  it.each(["/olla/models", "/olla/models?format=vllm", "/olla/models?format=llamacpp", "/olla/proxy/v1/models", "/olla/vllm/v1/models"])(
    "is whole and sorted, compressed or not: %s",
    async (path) => {
      const [plain, zipped, head] = await Promise.all([get(path), get(path, { "accept-encoding": "gzip" }), get(path, {}, "HEAD")])
      expect(plain.json().data.map((one: { id: string }) => one.id)).toEqual(expected)
      expect(gunzipSync(zipped.bytes).toString()).toBe(plain.text)
      expect([plain.header("vary"), zipped.header("content-encoding")]).toEqual(["Accept-Encoding", "gzip"])
      expect([head.status, head.header("content-length"), head.bytes.length]).toEqual([200, String(plain.bytes.length), 0])
    }
  )

  it("is filtered as a short one", async () => {
    expect((await get("/olla/models?endpoint=nobody")).json()).toEqual({ object: "list", data: [] })
  })

  it("has an entity tag as inventory, that spares sending it again", async () => {
    const path = "/internal/status/models?detailed=true&group=family"
    const first = await get(path)
    expect(first.json()).toMatchObject({ total_models: count, models_by_family: { unknown: expected } })
    const again = await get(path, { "if-none-match": first.header("etag") ?? "" })
    expect([again.status, again.bytes.length, again.header("etag")]).toEqual([304, 0, first.header("etag")])
  })

  it("lets requests pass while many ask for it, and outlives clients that go away", async () => {
    const lists = Array.from({ length: 6 }, () => get("/olla/models"))
    const gone = Array.from({ length: 6 }, () => {
      const control = new AbortController()
      const asked = fetch(`${daemon.url}/olla/models`, { signal: control.signal }).catch(() => "gone")
      setImmediate(() => control.abort())
      return asked
    })
    const order: Array<string> = []
    await Promise.all([
      ...lists.map((list) => list.then(() => order.push("list"))),
      get("/internal/health").then(({ status }) => order.push(`health ${status}`))
    ])
    await Promise.all(gone)
    expect(order.indexOf("health 200")).toBeLessThan(order.length - 1)
    expect((await get("/olla/models")).json().data).toHaveLength(count)
  })
})
