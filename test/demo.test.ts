import { describe, expect, it } from "vitest"
import { demoLog, keyboard } from "../src/demo.ts"
import { startDemoFleet } from "../src/simulator/DemoFleet.ts"
import { makeLog } from "../src/telemetry/LogSink.ts"

describe("the demo's log", () => {
  it("says of a request how it ended, and of everything else what it would", () => {
    let out = ""
    const log = demoLog(makeLog({ env: { OLLA_PRETTY_LOGS: "false" }, isTerminal: false, out: (text) => (out += text), now: () => 0 }))
    log.release()
    log.write("info", "Olla started")
    log.table([["a"], ["b"]])
    log.write("info", "Request received", { request_id: "x", model: "m" })
    log.write("warn", "Connection failed to endpoint, marking as unhealthy", { request_id: "x", endpoint: "gpu-1" })
    log.write("info", "Request completed", { request_id: "x", model: "m", endpoint: "gpu-2", duration_ms: 7, total_bytes: 9 })
    log.write("warn", "Endpoint status changed: gpu-1")
    log.flush()
    const records = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(records.map(({ timestamp: _, time: __, ...rest }) => rest)).toEqual([
      { level: "INFO", msg: "Olla started" },
      { level: "INFO", msg: "Request completed", request_id: "x", model: "m", endpoint: "gpu-2", duration_ms: 7 },
      { level: "WARN", msg: "Endpoint status changed: gpu-1" }
    ])
  })
})

describe("the demo's keys", () => {
  it("stop and start one backend each, and end it all", async () => {
    const fleet = await startDemoFleet()
    const [, url = ""] = /name: gpu-1/.test(fleet.yaml) ? (/url: "([^"]+)", name: gpu-1/.exec(fleet.yaml) ?? []) : []
    const isUp = () =>
      fetch(`${url}/health`, { headers: { connection: "close" } }).then(
        (answer) => answer.ok,
        () => false
      )
    let ended = 0
    const keys = keyboard(fleet.members, () => {
      ended++
    })
    expect(await isUp()).toBe(true)
    expect(await keys.press("2")).toMatch(/^2 gpu-1 is stopped/)
    expect(await isUp()).toBe(false)
    expect(await keys.press("2")).toMatch(/^2 gpu-1 is started/)
    expect(await isUp()).toBe(true)
    for (const key of ["0", "6", "x", "\r", ""]) expect(await keys.press(key)).toBeUndefined()
    expect(ended).toBe(0)
    for (const key of ["q", "\u0003"]) await keys.press(key)
    expect(ended).toBe(2)
    await fleet.stop()
  })
})
