import { describe, expect, it } from "vitest"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { LogLine } from "../../src/endpoint/EndpointLog.ts"
import type { FleetEvent } from "../../src/endpoint/FleetEvent.ts"
import { watchReachability } from "../../src/endpoint/ReachabilityEdges.ts"

const world = (names: ReadonlyArray<string>) => {
  const endpoints = names.map(
    (name) => ({ name, admin: "active", inService: true, state: { status: "healthy", lastError: "" } }) as unknown as Endpoint
  )
  const told: Array<LogLine> = []
  const listeners = new Set<(event: FleetEvent) => void>()
  let now = 1_000
  const fleet = {
    endpoints,
    now: () => now,
    onEvent: (listener: (event: FleetEvent) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
  const become = (name: string, status: string, lastError = "", after = 0) => {
    now += after
    const endpoint = endpoints.find((one) => one.name === name) as Endpoint
    Object.assign(endpoint.state, { status, lastError })
    for (const listener of listeners) listener({ _tag: "StatusChanged", endpoint, from: endpoint.state, to: endpoint.state })
  }
  return { fleet, told, become, listeners, tell: (line: LogLine) => told.push(line) }
}

describe("that nobody can be asked", () => {
  it("is told once, with who and why, and once that somebody can be again", () => {
    const { fleet, told, become, listeners, tell } = world(["a", "b"])
    const end = watchReachability(fleet, tell)
    become("a", "offline", "connection refused")
    expect(told).toEqual([])
    become("b", "unhealthy", "HTTP 500", 2_000)
    become("b", "offline", "connection refused", 2_000)
    expect(told).toEqual([
      {
        level: "warn",
        message: "No endpoint reachable",
        fields: { total: 2, endpoints: ["a: connection refused", "b: HTTP 500"] }
      }
    ])
    become("a", "warming", "", 3_000)
    become("b", "healthy", "", 3_000)
    expect(told.slice(1)).toEqual([
      { level: "info", message: "Endpoints reachable again", fields: { after_ms: 5_000, reachable: 1, total: 2 } }
    ])
    end()
    expect(listeners.size).toBe(0)
  })

  it("is told at the start, of at most ten by name", () => {
    const { fleet, told, become, tell } = world(Array.from({ length: 12 }, (_, n) => `e${n}`))
    for (let n = 0; n < 12; n++) become(`e${n}`, "unknown")
    watchReachability(fleet, tell)
    expect(told).toHaveLength(1)
    expect(told[0]?.fields["endpoints"]).toHaveLength(10)
    expect(told[0]?.fields).toMatchObject({ total: 12, endpoints: expect.arrayContaining(["e0: not checked yet"]) })
  })
})
