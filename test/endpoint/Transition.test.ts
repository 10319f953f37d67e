import { describe, expect, it } from "vitest"
import { type EndpointState, isRoutable, type Status } from "../../src/endpoint/EndpointState.ts"
import { type ProbeResult, statusOfAnswer } from "../../src/endpoint/ProbeResult.ts"
import {
  type ActorState,
  type EndpointCommand,
  type EndpointEvent,
  type EndpointPolicy,
  initialState,
  transition
} from "../../src/endpoint/Transition.ts"

const interval = 5000
const policy: EndpointPolicy = { checkInterval: interval, discovery: { enabled: true, interval: 300_000 } }

const result = (status: ProbeResult["status"], wait = 0): ProbeResult => ({
  status,
  errorType: status === "offline" ? 1 : 0,
  statusCode: status === "offline" ? undefined : 200,
  cause: status === "healthy" || status === "busy" ? "" : "why",
  latency: 7,
  rateLimit: status === "rate_limited" ? { wait, defaulted: undefined, header: "" } : undefined
})

const step = (state: ActorState, event: EndpointEvent): ActorState => transition(state, event, policy).state

/** A whole probe: due, then finished at once. */
const probed = (
  state: ActorState,
  now: number,
  outcome: ProbeResult
): { readonly state: ActorState; readonly commands: ReadonlyArray<EndpointCommand> } => {
  const due = transition(
    { ...state, condition: { ...state.condition, nextCheck: 0, rateLimitedUntil: 0 } },
    { _tag: "ProbeDue", now },
    policy
  )
  return transition(due.state, { _tag: "ProbeFinished", startedAt: now, now, result: outcome, jitter: 0, listed: false }, policy)
}

const inStatus = (status: Status, condition: Partial<EndpointState> = {}): ActorState => {
  const state = initialState(0)
  return { ...state, condition: { ...state.condition, status, ...condition } }
}

const tags = (commands: ReadonlyArray<EndpointCommand>): ReadonlyArray<string> =>
  commands.map((command) => (command._tag === "Discover" ? `Discover ${command.reason}` : command._tag))

describe("the status after an event", () => {
  const columns = ["healthy", "busy", "offline", "unhealthy", "config_error", "rate_limited"] as const
  const statuses: ReadonlyArray<Status> = ["unknown", "healthy", "busy", "warming", "offline", "unhealthy", "config_error", "rate_limited"]
  it.each(statuses.flatMap((from) => columns.map((to) => [from, to] as const)))("%s probed %s", (from, to) => {
    const { state, commands } = probed(inStatus(from), 10_000, result(to))
    expect(state.condition.status).toBe(to)
    const recovers = to === "healthy" && from !== "healthy" && from !== "unknown"
    expect(tags(commands).includes("Discover recovery")).toBe(recovers || (to === "busy" && !isRoutable(from) && from !== "unknown"))
    expect(tags(commands).includes("Announce")).toBe(from !== to)
  })

  it.each(statuses)("%s with a failed proxied connection is offline", (from) => {
    const { state, commands } = transition(inStatus(from), { _tag: "AttemptFailed", startedAt: 8000, now: 9000, cause: "refused" }, policy)
    expect(state.condition).toMatchObject({
      status: "offline",
      consecutiveFailures: 1,
      backoffMultiplier: 2,
      lastChecked: 9000,
      nextCheck: 14_000
    })
    expect(tags(commands)).toEqual(from === "offline" ? ["Demoted"] : ["Announce", "Demoted"])
  })

  it.each([
    [200, 10_000, "healthy"],
    [204, 1, "healthy"],
    [200, 10_001, "busy"],
    [401, 20_000, "config_error"],
    [403, 1, "config_error"],
    [429, 1, "rate_limited"],
    [304, 1, "unhealthy"],
    [404, 1, "unhealthy"],
    [500, 10_001, "unhealthy"]
  ] as const)("an answer %d after %d ms means %s", (code, latency, status) => {
    expect(statusOfAnswer(code, latency)).toBe(status)
  })
})

describe("counters and waits", () => {
  it("double from the interval to a minute while probes fail", () => {
    let state = initialState(0)
    const seen: Array<readonly [number, number, number]> = []
    let now = 0
    for (let n = 0; n < 6; n++) {
      state = probed(state, now, result("unhealthy")).state
      const { consecutiveFailures: f, backoffMultiplier: m, nextCheck } = state.condition
      seen.push([f, m, (nextCheck - now) / 1000])
      now = nextCheck
    }
    expect(seen).toEqual([
      [1, 2, 5],
      [2, 4, 10],
      [3, 8, 20],
      [4, 12, 40],
      [5, 12, 60],
      [6, 12, 60]
    ])
  })
  it("never wait less than a long interval", () => {
    const slow = { ...policy, checkInterval: 120_000 }
    const failed = transition(
      inStatus("offline", { backoffMultiplier: 12, lastChecked: 1 }),
      { _tag: "AttemptFailed", startedAt: 5, now: 10, cause: "" },
      slow
    )
    expect(failed.state.condition.nextCheck).toBe(120_010)
  })
  it.each(["healthy", "busy"] as const)("are reset by %s", (status) => {
    const { state } = probed(inStatus("offline", { consecutiveFailures: 9, backoffMultiplier: 12, lastError: "x" }), 10_000, result(status))
    expect(state.condition).toMatchObject({
      consecutiveFailures: 0,
      backoffMultiplier: 1,
      nextCheck: 15_000,
      lastError: "",
      lastChecked: 10_000
    })
  })
  it("leave the multiplier alone when rate limited, and wait the window out", () => {
    const limited = (wait: number) =>
      probed(inStatus("healthy", { backoffMultiplier: 4 }), 10_000, result("rate_limited", wait)).state.condition
    expect(limited(120_000)).toMatchObject({ consecutiveFailures: 1, backoffMultiplier: 4, nextCheck: 130_000, rateLimitedUntil: 130_000 })
    expect(limited(0)).toMatchObject({ nextCheck: 15_000 })
  })
  it("spread probes by at most 5 %, and never into a rate-limit window", () => {
    const at = (jitter: number, outcome: ProbeResult) => {
      const due = step(initialState(0), { _tag: "ProbeDue", now: 0 })
      return step(due, { _tag: "ProbeFinished", startedAt: 0, now: 0, result: outcome, jitter, listed: false }).condition.nextCheck
    }
    expect([at(-1, result("healthy")), at(1, result("healthy"))]).toEqual([4750, 5250])
    expect(at(-1, result("rate_limited", 60_000))).toBe(63_000)
  })
  it("clear the rate-limit window with any other answer", () => {
    const limited = probed(inStatus("healthy"), 1000, result("rate_limited", 90_000)).state
    expect(probed(limited, 91_000, result("unhealthy")).state.condition.rateLimitedUntil).toBe(0)
  })
  it("do not probe inside the window, even after a demotion set an earlier time", () => {
    const limited = probed(inStatus("healthy"), 1000, result("rate_limited", 90_000)).state
    const demoted = step(limited, { _tag: "AttemptFailed", startedAt: 2000, now: 3000, cause: "" })
    expect(demoted.condition).toMatchObject({ status: "offline", nextCheck: 91_000, rateLimitedUntil: 91_000 })
  })
})

describe("recency", () => {
  it("discards a probe that began before a demotion", () => {
    const due = step(inStatus("healthy"), { _tag: "ProbeDue", now: 1000 })
    const demoted = step(due, { _tag: "AttemptFailed", startedAt: 900, now: 1500, cause: "refused" })
    const { state, commands } = transition(
      demoted,
      { _tag: "ProbeFinished", startedAt: 1000, now: 2000, result: result("healthy"), jitter: 0, listed: false },
      policy
    )
    expect(state.condition).toEqual(demoted.condition)
    expect(state.probing).toBe(false)
    expect(commands).toEqual([])
  })
  it("counts one outage met by fifty requests once", () => {
    let state = inStatus("healthy")
    for (let n = 0; n < 50; n++) state = step(state, { _tag: "AttemptFailed", startedAt: 1000 + (n % 7), now: 1010 + n, cause: "" })
    expect(state.condition).toMatchObject({ consecutiveFailures: 1, backoffMultiplier: 2, nextCheck: 6010 })
  })
  it("ignores a slow request that fails after the endpoint was probed healthy", () => {
    const healthy = probed(inStatus("offline"), 5000, result("healthy")).state
    expect(step(healthy, { _tag: "AttemptFailed", startedAt: 4000, now: 6000, cause: "" })).toBe(healthy)
    expect(step(healthy, { _tag: "AttemptFailed", startedAt: 5500, now: 6000, cause: "" }).condition.status).toBe("offline")
  })
})

describe("probes", () => {
  it("are never two at a time", () => {
    const first = transition(initialState(0), { _tag: "ProbeDue", now: 0 }, policy)
    expect(tags(first.commands)).toEqual(["Probe"])
    expect(transition(first.state, { _tag: "ProbeDue", now: 100_000 }, policy).commands).toEqual([])
  })
})

/** Refused from the first probe, interval 5 s, retries and jitter left out. */
it("a refused endpoint is asked ever more seldom, up to once a minute", () => {
  let state = initialState(0)
  const seen: Array<number> = []
  for (let now = 0; now < 200_000; now = state.condition.nextCheck) {
    seen.push(now / 1000)
    state = probed(state, now, result("offline")).state
  }
  expect(seen).toEqual([0, 5, 15, 35, 75, 135, 195])
})

describe("models", () => {
  it("are read after the first good probe, and not again for what detection read", () => {
    expect(tags(probed(initialState(0), 0, result("healthy")).commands)).toEqual(["Announce", "Discover startup"])
    const due = step(initialState(0), { _tag: "ProbeDue", now: 0 })
    const finished = transition(
      due,
      { _tag: "ProbeFinished", startedAt: 0, now: 0, result: result("healthy"), jitter: 0, listed: true },
      policy
    )
    expect(tags(finished.commands)).toEqual(["Announce"])
  })
  it("are not read when discovery is off", () => {
    const off = { ...policy, discovery: { enabled: false, interval: 1000 } }
    const due = transition(initialState(0), { _tag: "ProbeDue", now: 0 }, off).state
    const finished = transition(
      due,
      { _tag: "ProbeFinished", startedAt: 0, now: 0, result: result("healthy"), jitter: 0, listed: false },
      off
    )
    expect(tags(finished.commands)).toEqual(["Announce"])
    expect(transition(finished.state, { _tag: "DiscoverNow", now: 0, reason: "request" }, off).commands).toEqual([])
  })
  it("are read once at a time", () => {
    const running = step(inStatus("healthy"), { _tag: "DiscoverNow", now: 0, reason: "periodic" })
    expect(transition(running, { _tag: "DiscoverNow", now: 1, reason: "request" }, policy).commands).toEqual([])
  })
  it("are tried once more at the next healthy probe when recovery could not read them", () => {
    let { state } = probed(inStatus("offline"), 1000, result("healthy"))
    state = step(state, { _tag: "ListingFailed", startedAt: 1000, recoverable: true, reason: "recovery" })
    const next = probed(state, 6000, result("healthy"))
    expect(tags(next.commands)).toEqual(["Discover retry"])
    state = step(next.state, { _tag: "ListingFailed", startedAt: 6000, recoverable: true, reason: "retry" })
    expect(tags(probed(state, 11_000, result("healthy")).commands)).toEqual([])
  })
  it("are left alone for a doubling time after a 4xx or five failures", () => {
    const fails = (state: ActorState, at: number, recoverable: boolean) =>
      step(state, { _tag: "ListingFailed", startedAt: at, recoverable, reason: "periodic" })
    let state = inStatus("healthy")
    for (let n = 1; n <= 4; n++) state = fails(state, n, true)
    expect(state.discovery.step).toBe(0)
    expect(fails(state, 5000, true).discovery).toMatchObject({ step: 1, retryAt: 5000 + 600_000 })
    const disabled = fails(inStatus("healthy"), 5000, false)
    expect(disabled.discovery).toMatchObject({ step: 1, retryAt: 605_000 })
    expect(fails(disabled, 605_000, false).discovery).toMatchObject({ step: 2, retryAt: 605_000 + 1_200_000 })
    let longest = disabled
    for (let n = 0; n < 9; n++) longest = fails(longest, 0, true)
    expect(longest.discovery.retryAt).toBe(3_600_000)
    expect(transition(disabled, { _tag: "DiscoverNow", now: 100_000, reason: "periodic" }, policy).commands).toEqual([])
    expect(tags(transition(disabled, { _tag: "DiscoverNow", now: 605_000, reason: "periodic" }, policy).commands)).toEqual([
      "Discover periodic"
    ])
    expect(step(disabled, { _tag: "ListingRead", now: 9, reason: "recovery" }).discovery).toMatchObject({
      step: 0,
      failures: 0,
      syncedAt: 9
    })
  })
})

it("a restarted actor probes again within an interval, whatever was under way", () => {
  const probing = step(inStatus("offline"), { _tag: "ProbeDue", now: 40_000 })
  const restarted = step(probing, { _tag: "Restarted", now: 41_000, cause: "crash" })
  expect(restarted).toMatchObject({ probing: false, condition: { lastError: "crash" } })
  expect(restarted.condition.nextCheck).toBeLessThanOrEqual(46_000)
  expect(tags(transition(restarted, { _tag: "ProbeDue", now: 46_000 }, policy).commands)).toEqual(["Probe"])
})
