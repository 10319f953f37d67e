/** What a client meets while a backend is in trouble of a kind that its health checks do not show, or show too late. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"

interface Seen {
  readonly name: string
  readonly status: string
  readonly circuit_breaker: string
  readonly last_error?: string
}

const chat = (daemon: Daemon, model = "m") =>
  fetch(`${daemon.url}/olla/openai/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })
const statusOf = async (daemon: Daemon, model?: string): Promise<number> => {
  const answer = await chat(daemon, model)
  await answer.arrayBuffer()
  return answer.status
}
const seen = async (daemon: Daemon): Promise<ReadonlyArray<Seen>> =>
  ((await (await fetch(`${daemon.url}/internal/status/endpoints`)).json()) as { endpoints: ReadonlyArray<Seen> }).endpoints
const readiness = async (daemon: Daemon): Promise<number> => (await fetch(`${daemon.url}/internal/ready`)).status
const probes = (backend: SimulatedBackend): number => backend.requests.filter(({ url }) => url === "/health").length

describe("one backend alone", () => {
  let backend: SimulatedBackend
  let daemon: Daemon
  beforeEach(async () => {
    backend = await startBackend({ kind: "vllm", models: ["m"] })
    // With traffic handling the second such end takes it out, and the next good check brings it back.
    daemon = await startDaemon(`traffic: {enabled: false}\n${endpointsYaml([{ name: "only", backend }])}`)
  })
  afterEach(async () => {
    await daemon?.stop()
    await backend?.stop()
  })

  it("whose health route is late while it works stays in rotation", async () => {
    backend.setFault({ _tag: "hang" }, "health")
    const before = probes(backend)
    const statuses = new Set<number>()
    while (probes(backend) < before + 4) statuses.add(await statusOf(daemon))
    expect([...statuses]).toEqual([200])
    expect(await seen(daemon)).toMatchObject([{ status: "healthy" }])
  }, 30_000)

  it("that hangs altogether is out after three late checks, not one, and back with its first good one", async () => {
    const before = probes(backend)
    backend.setFault({ _tag: "hang" }, "everything")
    const [out] = await eventually(
      () => seen(daemon),
      ([only]) => only?.status !== "healthy"
    )
    expect(out).toMatchObject({ status: "offline", last_error: expect.stringMatching(/^timeout after 900ms/) })
    expect(probes(backend) - before).toBeGreaterThanOrEqual(3)
    expect(await statusOf(daemon)).toBe(503)
    backend.setFault(undefined)
    await eventually(
      () => statusOf(daemon),
      (status) => status === 200
    )
  }, 30_000)

  it("that dies of every request, its checks being good, gets one a second, is not ready, and is used again at once when well", async () => {
    backend.setFault({ _tag: "reset" })
    for (let n = 0; n < 5; n++) expect(await statusOf(daemon)).toBe(502)
    expect(await seen(daemon)).toMatchObject([{ status: "healthy", circuit_breaker: "open" }])
    const refused = await chat(daemon)
    expect([refused.status, await refused.text(), refused.headers.get("retry-after")]).toEqual([
      502,
      expect.stringContaining("circuit breaker open for endpoint only"),
      "1"
    ])
    expect(await readiness(daemon)).toBe(503)
    backend.setFault(undefined)
    const since = performance.now()
    await eventually(
      () => statusOf(daemon),
      (status) => status === 200
    )
    expect(performance.now() - since).toBeLessThan(2000)
    expect(await readiness(daemon)).toBe(200)
  }, 30_000)
})

describe("a request that servers die of", () => {
  let daemon: Daemon
  const backends: Array<SimulatedBackend> = []
  beforeAll(async () => {
    for (let n = 0; n < 3; n++) backends.push(await startBackend({ kind: "vllm", models: ["m", "poison"] }))
    daemon = await startDaemon(endpointsYaml(backends.map((backend, n) => ({ name: `s${n}`, backend }))))
  })
  afterAll(async () => {
    await daemon?.stop()
    await Promise.all(backends.map((backend) => backend.stop()))
  })

  it("goes to two of them at most, asks for a check of each, and takes nobody out", async () => {
    for (const backend of backends) backend.setFault({ _tag: "reset" }, "inference", 1)
    const asked = () => backends.reduce((sum, backend) => sum + backend.inference().length, 0)
    expect(await statusOf(daemon, "poison")).toBe(502)
    expect(asked()).toBe(2)
    for (const backend of backends) backend.setFault(undefined)
    for (let n = 0; n < 20; n++) expect(await statusOf(daemon)).toBe(200)
    expect((await seen(daemon)).map(({ status }) => status)).toEqual(["healthy", "healthy", "healthy"])
  })
})
