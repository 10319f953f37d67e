/** What an operator reads who changed nothing: a short start, one record a request, each edge once. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, endpointsYaml, eventually, startDaemon } from "./daemon.ts"
import { freePort } from "./freePort.ts"

type Record_ = Readonly<Record<string, unknown>>

let one: SimulatedBackend
let two: SimulatedBackend
let daemon: Daemon
let started = 0

const records = (): ReadonlyArray<Record_> =>
  daemon
    .output()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record_)

const since = (before: number): ReadonlyArray<Record_> => records().slice(before)
const count = (message: string): number => records().filter(({ msg }) => msg === message).length

const ask = (model: string, path = "/olla/openai/v1/chat/completions") =>
  fetch(`${daemon.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }] })
  })

const asked = async (model: string, path?: string) => {
  const before = records().length
  const answer = await ask(model, path)
  const body = await answer.text()
  const id = answer.headers.get("x-olla-request-id")
  await eventually(
    () => since(before),
    (told) => told.some(({ request_id, msg }) => request_id === id && msg !== "Access log")
  )
  return { status: answer.status, body, told: since(before).filter(({ request_id }) => request_id === id) }
}

beforeAll(async () => {
  one = await startBackend({ port: await freePort(), kind: "vllm", models: ["m"] })
  two = await startBackend({ port: await freePort(), kind: "vllm", models: ["m", "n"] })
  daemon = await startDaemon(
    endpointsYaml([
      { name: "one", backend: one },
      { name: "two", backend: two }
    ]),
    { env: { OLLA_LOGGING_REQUESTS: "brief" } }
  )
  started = records().findIndex(({ msg }) => msg === "Olla started")
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([one, two].map((backend) => backend?.stop()))
})

describe("the log by default", () => {
  it("has a short start: the configuration, one line an endpoint, where requests go, and that it runs", () => {
    const told = records().slice(0, started + 1)
    expect(told.length).toBeLessThanOrEqual(10)
    const messages = told.map(({ msg }) => msg)
    expect(messages).toEqual(expect.arrayContaining(["Endpoint one is Healthy", "Endpoint two is Healthy", "Loaded configuration"]))
    expect(messages).toContain(`Send requests to ${daemon.url}/v1`)
    expect(told.at(-1)).toMatchObject({ endpoints: "2/2", models: 2 })
    for (const message of messages) expect(message).not.toMatch(/^\s/)
  })

  it.each(["/olla/openai/v1/chat/completions", "/v1/chat/completions"])("has one record of a request to %s", async (path) => {
    const { status, told } = await asked("m", path)
    expect(status).toBe(200)
    expect(told.map(({ msg, level }) => `${level} ${msg}`)).toEqual(["INFO Request completed"])
    expect(told[0]).toMatchObject({ outcome: "ok", model: "m", method: "POST", overhead_ms: expect.any(Number) })
  })

  it("says of an unknown model what is near it, in the log too", async () => {
    const { status, body, told } = await asked("mm:latest")
    expect(status).toBe(404)
    expect(body).toContain("model_not_found")
    expect(told.find(({ msg }) => msg === "Request rejected")).toMatchObject({ cause: "model_not_found", reason: "model_not_found" })
  })

  it("tells once that nobody is left, says to whoever asks how many there are, and once that somebody is back", async () => {
    await one.kill()
    await two.kill()
    await eventually(
      () => count("No endpoint reachable"),
      (told) => told > 0
    )
    const gone = records().find(({ msg }) => msg === "No endpoint reachable")
    expect(gone).toMatchObject({ level: "WARN", total: 2, endpoints: [expect.stringMatching(/^one: /), expect.stringMatching(/^two: /)] })
    const { status, body, told } = await asked("m", "/olla/vllm/v1/chat/completions")
    expect(status).toBe(404)
    expect((JSON.parse(body) as { error: { message: string } }).error.message).toMatch(
      /^No vllm endpoints available; 0 of 2 vllm endpoints reachable: .*one/
    )
    expect(told.find(({ msg }) => msg === "Request rejected")?.["detail"]).toMatch(/^0 of 2 vllm endpoints reachable: /)
    await two.restart()
    await eventually(
      () => count("Endpoints reachable again"),
      (again) => again > 0
    )
    expect(records().find(({ msg }) => msg === "Endpoints reachable again")).toMatchObject({ level: "INFO", reachable: 1, total: 2 })
    expect([count("No endpoint reachable"), count("Endpoints reachable again")]).toEqual([1, 1])
  })
})
