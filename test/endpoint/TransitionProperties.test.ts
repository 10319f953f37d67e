/** No sequence of events leads one endpoint to a state that cannot be, or leaves it unwatched. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isDisabled } from "../../src/endpoint/DiscoveryState.ts"
import type { ActorState, DiscoveryReason, EndpointCommand, EndpointEvent, EndpointPolicy } from "../../src/endpoint/EndpointEvent.ts"
import { isRoutable } from "../../src/endpoint/EndpointState.ts"
import type { ProbeResult } from "../../src/endpoint/ProbeResult.ts"
import { initialState, transition } from "../../src/endpoint/Transition.ts"

const probed = ["healthy", "busy", "offline", "unhealthy", "config_error", "rate_limited"] as const

const result = (status: ProbeResult["status"], window: number, late: boolean): ProbeResult => ({
  status,
  errorType: status !== "offline" ? 0 : late ? 2 : 1,
  statusCode: status === "offline" ? undefined : 200,
  cause: status === "healthy" || status === "busy" ? "" : "why",
  latency: 7,
  rateLimit: status === "rate_limited" ? { wait: window, defaulted: undefined, header: "" } : undefined
})

/** Times are relative to the moment at which the move comes. */
type Move =
  | { readonly move: "wait"; readonly ms: number }
  /** The time may not have come, or a probe be under way. */
  | { readonly move: "due" }
  /** Waits until the next check is due. */
  | { readonly move: "dueInTime" }
  | {
      readonly move: "finish"
      readonly status: ProbeResult["status"]
      readonly window: number
      readonly jitter: number
      readonly listed: boolean
      readonly late: boolean
      readonly answered: boolean
    }
  | { readonly move: "attempt"; readonly age: number; readonly inDoubt: boolean; readonly answered: boolean }
  | { readonly move: "answer" }
  | { readonly move: "discover"; readonly reason: DiscoveryReason }
  | { readonly move: "listed"; readonly ok: boolean; readonly recoverable: boolean; readonly took: number }
  | { readonly move: "detected" }
  | { readonly move: "crash" }

const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ move: fc.constant("wait" as const), ms: fc.oneof(fc.nat(10_000), fc.nat(200_000)) }),
  fc.record({ move: fc.constant("due" as const) }),
  { weight: 3, arbitrary: fc.record({ move: fc.constant("dueInTime" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      move: fc.constant("finish" as const),
      status: fc.constantFrom(...probed),
      window: fc.nat(3_600_000),
      jitter: fc.double({ min: -1, max: 1, noNaN: true }),
      listed: fc.boolean(),
      late: fc.boolean(),
      answered: fc.boolean()
    })
  },
  fc.record({ move: fc.constant("attempt" as const), age: fc.nat(20_000), inDoubt: fc.boolean(), answered: fc.boolean() }),
  fc.record({ move: fc.constant("answer" as const) }),
  fc.record({
    move: fc.constant("discover" as const),
    reason: fc.constantFrom<DiscoveryReason>("startup", "periodic", "recovery", "retry", "request")
  }),
  {
    weight: 2,
    arbitrary: fc.record({ move: fc.constant("listed" as const), ok: fc.boolean(), recoverable: fc.boolean(), took: fc.nat(30_000) })
  },
  fc.record({ move: fc.constant("detected" as const) }),
  fc.record({ move: fc.constant("crash" as const) })
)

/** The world around the function: keeps what an actor would keep. */
class Run {
  readonly policy: EndpointPolicy
  state: ActorState
  now = 1_000_000
  probeStartedAt: number | undefined
  listing: { readonly reason: DiscoveryReason; readonly startedAt: number } | undefined
  everLearned = false

  constructor(policy: EndpointPolicy) {
    this.policy = policy
    this.state = initialState(this.now)
  }

  step(event: EndpointEvent): ReadonlyArray<EndpointCommand> {
    const before = this.state
    const { state, commands } = transition(before, event, this.policy)
    this.state = state
    const announced = commands.filter((command) => command._tag === "Announce")
    expect(announced).toHaveLength(before.condition.status === state.condition.status ? 0 : 1)
    for (const command of commands) {
      if (command._tag === "Probe") {
        expect(this.probeStartedAt).toBeUndefined()
        this.probeStartedAt = this.now
      }
      if (command._tag === "Discover") {
        expect(this.listing).toBeUndefined()
        this.listing = { reason: command.reason, startedAt: this.now }
      }
    }
    return commands
  }

  make(each: Move): void {
    const { condition } = this.state
    switch (each.move) {
      case "wait":
        this.now += each.ms
        return
      case "dueInTime":
        this.now = Math.max(this.now, condition.nextCheck, condition.rateLimitedUntil)
        this.step({ _tag: "ProbeDue", now: this.now })
        return
      case "due":
        this.step({ _tag: "ProbeDue", now: this.now })
        return
      case "finish": {
        const startedAt = this.probeStartedAt
        if (startedAt === undefined) return
        this.probeStartedAt = undefined
        this.everLearned = true
        const { status, window, jitter, listed, late, answered } = each
        this.step({ _tag: "ProbeFinished", startedAt, now: this.now, result: result(status, window, late), jitter, listed, answered })
        return
      }
      case "attempt": {
        const { age, inDoubt, answered } = each
        if (!inDoubt) this.everLearned = true
        this.step({ _tag: "AttemptFailed", startedAt: this.now - age, now: this.now, cause: "refused", inDoubt, answered })
        return
      }
      case "answer":
        this.step({ _tag: "AttemptSucceeded", now: this.now })
        return
      case "discover":
        this.step({ _tag: "DiscoverNow", now: this.now, reason: each.reason })
        return
      case "listed": {
        const { listing } = this
        if (listing === undefined) return
        this.listing = undefined
        this.now += each.took
        if (each.ok) this.step({ _tag: "ListingRead", now: this.now, reason: listing.reason })
        else this.step({ _tag: "ListingFailed", ...listing, recoverable: each.recoverable })
        return
      }
      case "detected":
        this.step({ _tag: "ListingRead", now: this.now, reason: "detection" })
        return
      case "crash":
        // Its children die with it.
        this.probeStartedAt = undefined
        this.listing = undefined
        this.step({ _tag: "Restarted", now: this.now, cause: "crash" })
    }
  }

  check(): void {
    const { condition, probing, discovery } = this.state
    const { checkInterval } = this.policy
    expect(this.everLearned ? probed : ["unknown"]).toContain(condition.status)
    if (isRoutable(condition.status)) expect(condition).toMatchObject({ consecutiveFailures: 0, backoffMultiplier: 1, rateLimitedUntil: 0 })
    else if (condition.status !== "unknown") expect(condition.consecutiveFailures).toBeGreaterThan(0)
    expect([1, 2, 4, 8, 12]).toContain(condition.backoffMultiplier)
    expect(condition.lastChecked).toBeLessThanOrEqual(this.now)
    // A failing endpoint says why.
    if (!isRoutable(condition.status) && condition.status !== "unknown") expect(condition.lastError).not.toBe("")
    // Back-off, breaker and window, whichever is the longest, with its spread.
    const longest = Math.max(60_000, checkInterval)
    expect(condition.nextCheck - this.now).toBeLessThanOrEqual(
      Math.max(longest, condition.rateLimitedUntil - this.now) * 1.05 + 3_600_000 * 0.05
    )
    expect(condition.rateLimitedUntil - this.now).toBeLessThanOrEqual(3_600_000)
    if (condition.status !== "rate_limited" && condition.rateLimitedUntil <= this.now)
      expect(condition.nextCheck - this.now).toBeLessThanOrEqual(longest * 1.05 + 1)
    // What is under way is on record, and nothing else.
    expect(probing).toBe(this.probeStartedAt !== undefined)
    expect(discovery.running).toBe(this.listing !== undefined)
    expect(isDisabled(discovery)).toBe(discovery.step > 0)
    if (isDisabled(discovery)) expect(discovery.retryAt - this.now).toBeLessThanOrEqual(3_600_000)
  }
}

const policies = fc.record({
  checkInterval: fc.constantFrom(1000, 5000, 30_000, 600_000),
  probes: fc.constant(true),
  discovery: fc.record({ enabled: fc.constant(true), interval: fc.constantFrom(1000, 300_000, 36_000_000) })
})

describe("whatever happens, in whatever order", () => {
  const explore = (after: (run: Run) => void) =>
    fc.assert(
      fc.property(policies, fc.array(move, { maxLength: 120 }), (policy, moves) => {
        const run = new Run(policy)
        for (const each of moves) {
          run.make(each)
          run.check()
        }
        after(run)
      }),
      { numRuns: 500 }
    )

  it("the state stays possible, back-off bounded, one probe and one listing under way at most, and each change is told", () => {
    explore(() => {})
  })

  it("the endpoint is probed again", () => {
    explore((run) => {
      if (run.probeStartedAt !== undefined) return
      run.make({ move: "dueInTime" })
      expect(run.probeStartedAt).toBeDefined()
    })
  })

  it("one good probe makes it healthy, with nothing left of the past, and its models are read unless they just were", () => {
    explore((run) => {
      if (run.probeStartedAt === undefined) run.make({ move: "dueInTime" })
      const { status } = run.state.condition
      const { lastChecked } = run.state.condition
      const isStale = (run.probeStartedAt ?? 0) < lastChecked
      run.make({ move: "finish", status: "healthy", window: 0, jitter: 0, listed: false, late: false, answered: false })
      run.check()
      // A demotion that came while the probe was under way is the newer news.
      if (isStale) return
      expect(run.state.condition).toMatchObject({ status: "healthy", consecutiveFailures: 0, backoffMultiplier: 1, lastError: "" })
      if (status !== "healthy") expect(run.listing).toBeDefined()
    })
  })

  it("a disabled listing is tried again when its time has come", () => {
    explore((run) => {
      if (!isDisabled(run.state.discovery) || run.listing !== undefined) return
      run.now = Math.max(run.now, run.state.discovery.retryAt)
      run.make({ move: "discover", reason: "periodic" })
      expect(run.listing).toMatchObject({ reason: "periodic" })
    })
  })
})
