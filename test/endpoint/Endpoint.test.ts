import { describe, expect, it } from "vitest"
import { accepts, Endpoint } from "../../src/endpoint/Endpoint.ts"
import type { EndpointCommand } from "../../src/endpoint/EndpointEvent.ts"
import { lanePolicyOf } from "../../src/endpoint/lane/LaneCondition.ts"
import type { ProbeResult } from "../../src/endpoint/ProbeResult.ts"
import { reachability } from "../../src/endpoint/Reachability.ts"
import { failure } from "../../src/exchange/Failure.ts"
import type { ListedModel } from "../../src/profile/ListedModel.ts"
import { configOf, specOf } from "../balancing/fakes.ts"

const good: ProbeResult = { status: "healthy", errorType: 0, statusCode: 200, cause: "", latency: 1, rateLimit: undefined }
const late: ProbeResult = { ...good, status: "offline", errorType: 2, statusCode: undefined, cause: "timeout after 2s" }
const refused: ProbeResult = { ...late, errorType: 1, cause: "connection refused" }

const made = (name = "a") => {
  const at = { now: 0, hurries: 0 }
  const commands: Array<EndpointCommand> = []
  const endpoint = new Endpoint(specOf(name), {
    now: () => at.now,
    policy: ({ checkInterval, probes }) => ({ checkInterval, probes, discovery: { enabled: true, interval: 300_000 } }),
    command: (command) => commands.push(command),
    hurry: () => at.hurries++,
    breakerTurned: () => {},
    gone: () => {},
    lanes: {
      policy: () => lanePolicyOf(configOf().traffic.ejection, true),
      random: () => 0.5,
      turned: () => {},
      loaded: () => {},
      rested: () => {}
    }
  })
  const probe = (result: ProbeResult, now: number): void => {
    at.now = now
    endpoint.step({ _tag: "ProbeDue", now })
    endpoint.probed(result, now, 0, false)
  }
  return { endpoint, at, commands, probe }
}
const closed = (startedAt: number) => ({ failure: failure("closed", ""), startedAt })

describe("an endpoint", () => {
  it("stays the same when what the configuration says of it is replaced", () => {
    const { endpoint, probe } = made()
    probe(good, 1000)
    endpoint.enter()
    for (let n = 0; n < 5; n++) endpoint.breaker.fail(undefined)
    endpoint.spec = { ...endpoint.spec, name: "renamed", priority: 7, checkInterval: 60_000 }
    expect([endpoint.name, endpoint.priority, endpoint.inFlight, endpoint.breaker.phase, accepts(endpoint)]).toEqual([
      "renamed",
      7,
      1,
      "open",
      true
    ])
    probe(good, 6000)
    expect(endpoint.state.nextCheck).toBe(66_000)
    endpoint.leave()
    expect(endpoint.inFlight).toBe(0)
  })
  it("forgets what it does not serve with its condition, its list and its kind", () => {
    const { endpoint, probe } = made()
    const model = (name: string) => ({ name }) as ListedModel
    const forgets = (change: () => void): boolean => {
      endpoint.unserved.add("POST", "/v1/rerank", "")
      change()
      return endpoint.unserved.isEmpty
    }
    endpoint.register([model("m")], 0)
    expect([
      forgets(() => endpoint.register([model("m")], 1)),
      forgets(() => endpoint.register([model("m"), model("n")], 2)),
      forgets(() => probe(good, 1000)),
      forgets(() => probe(good, 6000)),
      forgets(() => endpoint.respecify({ ...endpoint.spec, priority: 3 }, false)),
      forgets(() => endpoint.respecify({ ...endpoint.spec, type: "vllm" }, true))
    ]).toEqual([false, true, true, false, false, true])
  })
  it("that late probes took out is back with the first answer to a request", () => {
    const { endpoint, probe, commands } = made()
    probe(good, 1000)
    for (let n = 1; n <= 3; n++) probe(late, 1000 + n * 5000)
    expect(accepts(endpoint)).toBe(false)
    commands.length = 0
    endpoint.answered()
    expect([accepts(endpoint), commands.map(({ _tag }) => _tag)]).toEqual([true, ["Announce"]])
    for (let n = 5; n <= 10; n++) probe(late, n * 5000)
    expect(accepts(endpoint)).toBe(true)
    endpoint.answered()
  })
  it("hurries its actor when something is due sooner, and only then", () => {
    const { endpoint, at, probe } = made()
    probe(good, 1000)
    const before = at.hurries
    at.now = 3000
    endpoint.attemptFailed(closed(2900))
    expect([at.hurries, endpoint.state.nextCheck]).toEqual([before + 1, 3000])
    endpoint.attemptFailed(closed(2950))
    expect(at.hurries).toBe(before + 1)
  })
  it("that dies of every request while its probes are good has its breaker open in the end", () => {
    const { endpoint, at, probe } = made()
    probe(good, 1000)
    for (let n = 0; n < 5; n++) {
      at.now += 1000
      endpoint.breaker.fail(undefined)
      endpoint.attemptFailed(closed(at.now - 10))
      probe(good, at.now)
    }
    expect([accepts(endpoint), endpoint.breaker.phase]).toEqual([true, "open"])
    probe(refused, 20_000)
    probe(good, 25_000)
    expect(endpoint.breaker.phase).toBe("closed")
  })
})

describe("who can be reached", () => {
  it("is told with names and causes, and no more names than a line takes", () => {
    const fleet = ["a", "b", "c"].map((name) => made(name))
    const tell = () => reachability(fleet.map(({ endpoint }) => endpoint))
    expect(tell()).toBe("0 of 3 endpoints reachable: not checked yet: a, b, c")
    for (const [n, one] of fleet.entries()) one.probe(n === 0 ? good : refused, 1000)
    expect(tell()).toBe("1 of 3 endpoints reachable: connection refused: b, c")
    for (const one of fleet) one.probe(good, 6000)
    expect(tell()).toBe("3 of 3 endpoints reachable")
    const many = Array.from({ length: 9 }, (_, n) => made(`e${n}`).endpoint)
    expect(reachability(many)).toBe("0 of 9 endpoints reachable: not checked yet: e0, e1, e2, e3, e4 and 4 more")
    expect(reachability([])).toBe("no endpoint is configured")
    expect(reachability([], "vllm")).toBe("no vllm endpoint is configured")
  })
})
