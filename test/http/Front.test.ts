import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { ListedFleet } from "../catalogue/fakes.ts"
import { ask } from "../contract/ask.ts"
import { plain, type RawBackend, rawBackend } from "../proxy/rig.ts"
import { type Listening, listen, openRooms, type Rooms } from "./serving.ts"

let backend: RawBackend
let rooms: Rooms
let listening: Listening

beforeAll(async () => {
  backend = await rawBackend((socket) => socket.write(plain("{}")))
  const fleet = new ListedFleet()
  fleet.with("one", "vllm", ["m"], { url: `http://127.0.0.1:${backend.port}` })
  rooms = await openRooms(fleet, "olla", "server: { cross_site_protection: true }")
  listening = await listen(rooms)
})
beforeEach(() => rooms.reset())
afterAll(async () => {
  await listening.stop(0)
  await backend.stop()
  await rooms.close()
})

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"

describe("every request", () => {
  it.each(["/olla/proxy/v1/embeddings", "/version"])("to %s has its client's trace id in each of its records", async (path) => {
    await ask(listening.port, { path, headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } })
    let records = rooms.records()
    while (!records.some(({ msg }) => msg === "Access log")) {
      await new Promise((resolve) => setImmediate(resolve))
      records = [...records, ...rooms.records()]
    }
    const own = records.filter((record) => "request_id" in record)
    expect(own.length).toBeGreaterThan(1)
    expect(new Set(own.map((record) => record["trace_id"]))).toEqual(new Set([trace]))
  })

  it("has no trace id where the client's means nothing", async () => {
    await ask(listening.port, { path: "/version", headers: { traceparent: "00-0-0-01" } })
    expect(rooms.records().some((record) => record["trace_id"] !== undefined)).toBe(false)
  })

  it.each(["/olla/proxy/v1/x", "/olla/anthropic/v1/messages", "/version", "/nowhere"])("is not echoed by TRACE at %s", async (path) => {
    const before = backend.heard.length
    const answer = await ask(listening.port, { method: "TRACE", path })
    expect(answer.status).toBe(405)
    expect(answer.header("allow")).toBe("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    expect(backend.heard.length).toBe(before)
  })

  it("is refused as foreign where one of two Origin headers is", async () => {
    const own = `http://127.0.0.1:${listening.port}`
    const origins = (...all: ReadonlyArray<string>) => [
      "Host",
      `127.0.0.1:${listening.port}`,
      ...all.flatMap((origin) => ["Origin", origin])
    ]
    expect((await ask(listening.port, { path: "/version", headers: origins(own) })).status).toBe(200)
    for (const pair of [
      [own, "https://evil.example"],
      ["https://evil.example", own],
      [own, own]
    ])
      expect((await ask(listening.port, { path: "/version", headers: origins(...pair) })).status).toBe(403)
  })
})
