/** What can be seen of a model that fails on one of its endpoints: answers, status document, metrics and log say the same. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { readPrometheus } from "../telemetry/promText.ts"
import { type Daemon, eventually, rareChecks, startDaemon } from "./daemon.ts"
import { type Answer, ModelServer } from "./modelServer.ts"

interface Traffic {
  readonly enabled: boolean
  readonly failover: { readonly requests_10s: number; readonly extra_10s: number; readonly allowed_10s: number }
  readonly queue: { readonly waiting: number }
  readonly lanes: ReadonlyArray<{ readonly endpoint: string; readonly model: string; readonly state: string; readonly in_flight: number }>
}

const broken: Answer = (res) => {
  res.writeHead(503, { "content-type": "application/json" })
  res.end('{"error":"the engine is dead"}')
}
const well: Answer = (res) => {
  res.writeHead(200, { "content-type": "application/json" })
  res.end('{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}')
}

const sick = new ModelServer(["m"])
const fit = new ModelServer(["m"])
/** Takes one request at a time. */
const narrow = new ModelServer(["n"])
let daemon: Daemon

const ask = (model = "m") =>
  fetch(`${daemon.url}/olla/openai/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })
const traffic = async (): Promise<Traffic> => (await (await fetch(`${daemon.url}/internal/status/traffic`)).json()) as Traffic
const laneOf = ({ lanes }: Traffic, name: string) => lanes.find(({ endpoint, model }) => endpoint === name && model === "m")
const records = (message: string) =>
  daemon
    .output()
    .split("\n")
    .filter((line) => line.includes(`"msg":"${message}"`))
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
const metric = async (name: string) =>
  (readPrometheus(await (await fetch(`${daemon.url}/internal/metrics`)).text()).get(name)?.samples ?? []).map(
    ({ labels, value }): Readonly<Record<string, string | number>> => ({ ...labels, value })
  )

beforeAll(async () => {
  await Promise.all([sick.start(), fit.start(), narrow.start()])
  sick.answer = broken
  fit.answer = well
  daemon = await startDaemon(
    `proxy: {load_balancer: priority}
traffic: {ejection: {failures: 2, duration: 300ms, slow_start: 0s}}
discovery: {static: {endpoints: [{url: "${sick.url}", name: sick, type: vllm, priority: 200, ${rareChecks}}, {url: "${fit.url}", name: fit, type: vllm, priority: 100, ${rareChecks}}, {url: "${narrow.url}", name: narrow, type: vllm, max_concurrent: 1, ${rareChecks}}]}}
`,
    { env: { OLLA_LOGGING_REQUESTS: "brief" } }
  )
})

afterAll(async () => {
  await daemon?.stop()
  await Promise.all([sick.stop(), fit.stop(), narrow.stop()])
})

describe("a model that fails on one of its endpoints", () => {
  it("is answered by another one, and every answer says why it was chosen", async () => {
    const answers = [await ask(), await ask()]
    expect(answers.map(({ status, headers }) => [status, headers.get("x-olla-endpoint"), headers.get("x-olla-pick")])).toEqual([
      [200, "fit", "priority"],
      [200, "fit", "priority"]
    ])
    expect(answers[0]?.headers.get("x-olla-attempts")).toBe("2")
  })

  it("is told of once as left out, with why and for how long", async () => {
    const [record] = await eventually(
      () => records("Lane ejected"),
      (found) => found.length > 0
    )
    expect(record).toMatchObject({ level: "WARN", endpoint: "sick", model: "m", reason: "status_5xx", failures: 2 })
    expect(Number(record?.["duration"]) / 1e6).toBeGreaterThan(200)
  })

  it("stands as such in the status document, beside what failover did", async () => {
    const now = await traffic()
    expect(now.enabled).toBe(true)
    expect(now.failover).toMatchObject({ requests_10s: 2, extra_10s: 2 })
    expect(["ejected", "trial"]).toContain(laneOf(now, "sick")?.state)
    expect(laneOf(now, "fit")?.state).toBe("open")
  })

  it("is counted: what it came to, who was chosen and how often it was left out", async () => {
    expect(await metric("olla_ejections_total")).toEqual([{ endpoint: "sick", model: "m", reason: "status_5xx", value: 1 }])
    expect(await metric("olla_failovers_total")).toEqual([{ endpoint: "sick", model: "m", reason: "status_5xx", value: 2 }])
    expect(await metric("olla_picks_total")).toContainEqual({ endpoint: "fit", reason: "priority", value: 2 })
    expect((await metric("olla_lane_state")).find((sample) => sample["endpoint"] === "fit")).toMatchObject({ model: "m", value: 0 })
  })

  it("comes back by a trial, which is told once too", async () => {
    sick.answer = well
    await eventually(ask, (answer) => answer.headers.get("x-olla-endpoint") === "sick")
    expect(
      await eventually(
        () => records("Lane recovered"),
        (found) => found.length > 0
      )
    ).toMatchObject([{ level: "INFO", endpoint: "sick", model: "m", was: "ejected" }])
    expect((await metric("olla_picks_total")).find((sample) => sample["reason"] === "trial")).toMatchObject({ endpoint: "sick", value: 1 })
    await eventually(
      () => records("Request completed"),
      (found) => found.some((record) => record["endpoint"] === "sick" && record["pick"] === "trial")
    )
  })

  it("makes no series of names that nobody offers", async () => {
    for (let n = 0; n < 20; n++) await (await ask(`junk-${n}`)).text()
    const shown = JSON.stringify([await metric("olla_lane_state"), await traffic()])
    expect(shown).not.toContain("junk")
  })
})

describe("requests that have to wait", () => {
  it("stand in the status document while they do, by model and class, and in metrics and log with how long it was", async () => {
    let free = () => {}
    narrow.answer = (res, asked, req) => {
      free = () => well(res, asked, req)
    }
    const first = ask("n")
    await eventually(traffic, ({ lanes }) => lanes.some(({ model, in_flight }) => model === "n" && in_flight === 1))
    const second = ask("n")
    const { queue } = await eventually(traffic, (now) => now.queue.waiting === 1)
    expect(queue).toMatchObject({ max_waiting: 256, by_class: { high: 0, normal: 1, low: 0 }, by_model: { n: 1 } })
    expect(await metric("olla_queue_waiting")).toContainEqual({ model: "n", class: "normal", value: 1 })
    const releasing = free
    narrow.answer = well
    releasing()
    const answers = await Promise.all([first, second])
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    expect(answers[1]?.headers.get("x-olla-queue-time")).toMatch(/^\d+ms$/)
    const counted = await metric("olla_queue_wait_seconds")
    expect(counted.find((sample) => sample["le"] === "+Inf")).toMatchObject({ model: "n", class: "normal", value: 1 })
    await eventually(
      () => records("Request completed"),
      (found) => found.some((record) => record["endpoint"] === "narrow" && Number(record["queue_ms"]) > 0)
    )
  })
})
