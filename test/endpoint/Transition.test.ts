import { describe, expect, it } from "vitest"
import { isOutForLateness } from "../../src/endpoint/AfterProbe.ts"
import type { ActorState, EndpointCommand, EndpointEvent, EndpointPolicy } from "../../src/endpoint/EndpointEvent.ts"
import { type EndpointState, isRoutable, type Status } from "../../src/endpoint/EndpointState.ts"
import { type ProbeResult, statusOfAnswer } from "../../src/endpoint/ProbeResult.ts"
import { dueAt, initialState, transition } from "../../src/endpoint/Transition.ts"

const interval = 5000
const policy: EndpointPolicy = { checkInterval: interval, probes: true, discovery: { enabled: true, interval: 300_000 } }

const result = (status: ProbeResult["status"], wait = 0): ProbeResult => ({
  status,
  errorType: status === "offline" ? 1 : 0,
  statusCode: status === "offline" ? undefined : 200,
  cause: status === "healthy" || status === "busy" ? "" : "why",
  latency: 7,
  rateLimit: status === "rate_limited" ? { wait, defaulted: undefined, header: "" } : undefined
})

/** Of a connection that could not be made. */
const met = { inDoubt: false, answered: false }
const late: ProbeResult = { ...result("offline"), errorType: 2, cause: "timeout after 2s" }

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
  return transition(
    due.state,
    { _tag: "ProbeFinished", startedAt: now, now, result: outcome, jitter: 0, listed: false, answered: false },
    policy
  )
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
    const { state, commands } = transition(
      inStatus(from),
      { _tag: "AttemptFailed", startedAt: 8000, now: 9000, cause: "refused", ...met },
      policy
    )
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
  it("keep the interval for the first minute, and then double up to a minute while probes fail", () => {
    let state = initialState(0)
    const seen: Array<readonly [number, number]> = []
    for (let now = 0; now < 400_000; now = state.condition.nextCheck) {
      state = probed(state, now, result("unhealthy")).state
      seen.push([state.condition.backoffMultiplier, (state.condition.nextCheck - now) / 1000])
    }
    expect(seen.slice(0, 12)).toEqual(Array(12).fill([2, 5]))
    expect(seen.slice(12)).toEqual([[4, 10], [8, 20], [12, 40], ...Array(5).fill([12, 60])])
  })
  it("never wait less than a long interval", () => {
    const slow = { ...policy, checkInterval: 120_000 }
    const failed = transition(
      inStatus("offline", { backoffMultiplier: 12, lastChecked: 1 }),
      { _tag: "AttemptFailed", startedAt: 70_000, now: 70_010, cause: "", ...met },
      slow
    )
    expect(failed.state.condition.nextCheck).toBe(190_010)
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
      return step(due, { _tag: "ProbeFinished", startedAt: 0, now: 0, result: outcome, jitter, listed: false, answered: false }).condition
        .nextCheck
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
    const demoted = step(limited, { _tag: "AttemptFailed", startedAt: 2000, now: 3000, cause: "", ...met })
    expect(demoted.condition).toMatchObject({ status: "offline", nextCheck: 91_000, rateLimitedUntil: 91_000 })
  })
})

describe("recency", () => {
  it("discards a probe that began before a demotion", () => {
    const due = step(inStatus("healthy"), { _tag: "ProbeDue", now: 1000 })
    const demoted = step(due, { _tag: "AttemptFailed", startedAt: 900, now: 1500, cause: "refused", ...met })
    const { state, commands } = transition(
      demoted,
      { _tag: "ProbeFinished", startedAt: 1000, now: 2000, result: result("healthy"), jitter: 0, listed: false, answered: false },
      policy
    )
    expect(state.condition).toEqual(demoted.condition)
    expect(state.probing).toBe(false)
    expect(commands).toEqual([])
  })
  it("counts one outage met by fifty requests once", () => {
    let state = inStatus("healthy")
    for (let n = 0; n < 50; n++) state = step(state, { _tag: "AttemptFailed", startedAt: 1000 + (n % 7), now: 1010 + n, cause: "", ...met })
    expect(state.condition).toMatchObject({ consecutiveFailures: 1, backoffMultiplier: 2, nextCheck: 6010 })
  })
  it("ignores a slow request that fails after the endpoint was probed healthy", () => {
    const healthy = probed(inStatus("offline"), 5000, result("healthy")).state
    expect(step(healthy, { _tag: "AttemptFailed", startedAt: 4000, now: 6000, cause: "", ...met })).toBe(healthy)
    expect(step(healthy, { _tag: "AttemptFailed", startedAt: 5500, now: 6000, cause: "", ...met }).condition.status).toBe("offline")
  })
})

describe("probes", () => {
  it("are never two at a time", () => {
    const first = transition(initialState(0), { _tag: "ProbeDue", now: 0 }, policy)
    expect(tags(first.commands)).toEqual(["Probe"])
    expect(transition(first.state, { _tag: "ProbeDue", now: 100_000 }, policy).commands).toEqual([])
  })
})

describe("a late probe", () => {
  const healthy = () => probed(initialState(0), 0, result("healthy")).state
  const finish = (state: ActorState, at: number, outcome: ProbeResult, answered = false) =>
    transition(
      { ...state, probing: true },
      { _tag: "ProbeFinished", startedAt: at, now: at + 2000, result: outcome, jitter: 0, listed: false, answered },
      policy
    )
  it("decides only after two others in a row, and each is followed by the next at the interval", () => {
    let state = healthy()
    const seen: Array<readonly [string, number]> = []
    for (let n = 1; n <= 3; n++) {
      state = finish(state, n * 5000, late).state
      seen.push([state.condition.status, state.condition.nextCheck])
    }
    expect(seen).toEqual([
      ["healthy", 10_000],
      ["healthy", 15_000],
      ["offline", 20_000]
    ])
    expect(state.condition).toMatchObject({ consecutiveFailures: 1, lastError: "timeout after 2s" })
  })
  it("counts anew after one that was in time", () => {
    let state = healthy()
    for (const outcome of [late, late, result("healthy"), late, late]) state = finish(state, state.condition.nextCheck, outcome).state
    expect(state.condition.status).toBe("healthy")
  })
  it("says nothing of an endpoint that answers requests, nor for six intervals after the last answer", () => {
    let state = healthy()
    for (let n = 1; n <= 20; n++) state = finish(state, n * 5000, late, n <= 10).state
    // The last answer was known of at 52 s.
    expect([state.condition.status, state.outSince]).toEqual(["offline", 82_000])
  })
  it("decides at once of an endpoint that was not in rotation, and of one that a request left in doubt", () => {
    expect(finish(initialState(0), 0, late).state.condition.status).toBe("offline")
    const doubted = step(healthy(), { _tag: "AttemptFailed", startedAt: 3000, now: 4000, cause: "", inDoubt: true, answered: false })
    expect(finish(doubted, 4000, late).state.condition.status).toBe("offline")
  })
  it("is forgiven at the first answer to a request", () => {
    let state = healthy()
    for (let n = 1; n <= 3; n++) state = finish(state, n * 5000, late).state
    expect(isOutForLateness(state)).toBe(true)
    const back = transition(state, { _tag: "AttemptSucceeded", now: 18_000 }, policy)
    expect(back.state.condition).toMatchObject({ status: "healthy", consecutiveFailures: 0, lastError: "" })
    expect(tags(back.commands)).toEqual(["Announce"])
    // A refusal is no lateness.
    const refused = finish(state, 20_000, result("offline")).state
    expect(isOutForLateness(refused)).toBe(false)
    expect(step(refused, { _tag: "AttemptSucceeded", now: 23_000 })).toBe(refused)
  })
})

describe("a connection that was closed without an answer", () => {
  const healthy = probed(initialState(0), 10_000, result("healthy")).state
  const closed = (state: ActorState, now: number) =>
    step(state, { _tag: "AttemptFailed", startedAt: now - 50, now, cause: "", inDoubt: true, answered: false })
  it("asks for a probe at once and takes nobody out", () => {
    const doubted = closed(healthy, 13_000)
    expect(doubted.condition).toMatchObject({ status: "healthy", nextCheck: 13_000, consecutiveFailures: 0 })
    expect(dueAt(doubted)).toBe(13_000)
    expect(probed(doubted, 13_000, result("healthy")).state.condition).toMatchObject({ status: "healthy", nextCheck: 18_000 })
    expect(probed(doubted, 13_000, result("offline")).state.condition.status).toBe("offline")
  })
  it("takes it out with the second one within ten seconds where that is asked for, unless a probe was good between", () => {
    const again = (state: ActorState, now: number) =>
      step(state, { _tag: "AttemptFailed", startedAt: now - 50, now, cause: "", inDoubt: true, secondDecides: true, answered: false })
    const first = again(healthy, 13_000)
    expect(first.condition.status).toBe("healthy")
    const out = again(first, 13_010)
    expect(out.condition.status).toBe("offline")
    // It is looked at at once all the same.
    expect(dueAt(out)).toBe(13_010)
    expect(probed(out, 13_020, result("healthy")).state.condition.status).toBe("healthy")
    expect(again(first, 23_000).condition.status).toBe("healthy")
    expect(again(probed(first, 13_500, result("healthy")).state, 14_000).condition.status).toBe("healthy")
    expect(closed(first, 13_010).condition.status).toBe("healthy")
  })
  it("asks once a second at most, however many requests are meant to kill it", () => {
    let state = healthy
    const asked: Array<number> = []
    for (let now = 10_100; now < 15_100; now += 10) {
      state = closed(state, now)
      if (now < dueAt(state)) continue
      asked.push(now)
      state = probed(state, now, result("healthy")).state
    }
    expect(asked).toEqual([11_000, 12_000, 13_000, 14_000, 15_000])
  })
  it("is not settled by a probe that began before it", () => {
    const probing = step(healthy, { _tag: "ProbeDue", now: 15_000 })
    const doubted = closed(probing, 15_200)
    const after = step(doubted, {
      _tag: "ProbeFinished",
      startedAt: 15_000,
      now: 15_400,
      result: result("healthy"),
      jitter: 0,
      listed: false,
      answered: false
    })
    expect(after.condition).toMatchObject({ status: "healthy", nextCheck: 16_000 })
    expect(probed(after, 16_000, result("healthy")).state.condition.nextCheck).toBe(21_000)
  })
  it("is nothing new to an endpoint that is out", () => {
    expect(closed(inStatus("offline"), 20_000)).toEqual(inStatus("offline"))
  })
})

describe("an endpoint that is not probed", () => {
  const unprobed = { ...policy, probes: false }
  const at = (state: ActorState, event: EndpointEvent) => transition(state, event, unprobed)
  const failed = (state: ActorState, now: number, answered = false) =>
    at(state, { _tag: "AttemptFailed", startedAt: now - 50, now, cause: "refused", inDoubt: false, answered }).state
  it("is taken as healthy, with its models read", () => {
    const { state, commands } = at(initialState(0), { _tag: "ProbeDue", now: 0 })
    expect([state.condition.status, tags(commands), dueAt(state)]).toEqual([
      "healthy",
      ["Announce", "Discover startup"],
      Number.POSITIVE_INFINITY
    ])
  })
  it("goes out for an interval when three attempts in a row could not be carried, and then at the first one", () => {
    let state = at(initialState(0), { _tag: "ProbeDue", now: 0 }).state
    for (const answered of [false, false, true, false]) state = failed(state, 1000, answered)
    expect(state.condition.status).toBe("healthy")
    state = failed(state, 2000)
    expect(state.condition).toMatchObject({ status: "offline", nextCheck: 7000, lastError: "refused" })
    state = at(state, { _tag: "ProbeDue", now: 7000 }).state
    expect(state.condition.status).toBe("healthy")
    expect(failed(state, 7500).condition.status).toBe("offline")
    expect(failed(state, 7500, true).condition.status).toBe("healthy")
  })
})

describe("models", () => {
  it("are read after the first good probe, and not again for what detection read", () => {
    expect(tags(probed(initialState(0), 0, result("healthy")).commands)).toEqual(["Announce", "Discover startup"])
    const due = step(initialState(0), { _tag: "ProbeDue", now: 0 })
    const finished = transition(
      due,
      { _tag: "ProbeFinished", startedAt: 0, now: 0, result: result("healthy"), jitter: 0, listed: true, answered: false },
      policy
    )
    expect(tags(finished.commands)).toEqual(["Announce"])
  })
  it("are not read when discovery is off", () => {
    const off = { ...policy, discovery: { enabled: false, interval: 1000 } }
    const due = transition(initialState(0), { _tag: "ProbeDue", now: 0 }, off).state
    const finished = transition(
      due,
      { _tag: "ProbeFinished", startedAt: 0, now: 0, result: result("healthy"), jitter: 0, listed: false, answered: false },
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
