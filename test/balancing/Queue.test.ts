import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Outlook } from "../../src/balancing/Outlook.ts"
import { Place, Queue, type QueueRefusal, type Waiter } from "../../src/balancing/Queue.ts"
import type { Urgency } from "../../src/balancing/WaitingLine.ts"
import { Host } from "../../src/endpoint/Host.ts"

interface Timer {
  readonly at: number
  readonly call: () => void
}

/** Servers with so many slots each, requests that want some of them, and a clock that a test moves. */
class World {
  now = 1_000
  readonly timers = new Set<Timer>()
  readonly soon: Array<() => void> = []
  readonly log: Array<string> = []
  readonly hosts: Array<Host> = []
  readonly slots: Array<number>
  readonly used: Array<number>
  readonly pausedUntil: Array<number>
  readonly away: Array<boolean>
  limits = { mostWaiting: 256, mostOfClient: 64 }
  readonly queue = new Queue({
    limits: () => this.limits,
    now: () => this.now,
    after: (milliseconds, call) => {
      const timer = { at: this.now + milliseconds, call }
      this.timers.add(timer)
      return () => this.timers.delete(timer)
    },
    soon: (call) => this.soon.push(call)
  })

  constructor(slots: ReadonlyArray<number>) {
    this.slots = [...slots]
    this.used = slots.map(() => 0)
    this.pausedUntil = slots.map(() => 0)
    this.away = slots.map(() => false)
    for (let n = 0; n < slots.length; n++) {
      const host = new Host()
      Object.defineProperty(host, "isFull", { get: () => !this.hasRoom(n) })
      this.hosts.push(host)
    }
  }

  hasRoom(server: number): boolean {
    return !this.away[server] && (this.pausedUntil[server] ?? 0) <= this.now && (this.used[server] ?? 0) < (this.slots[server] ?? 0)
  }

  settle(): void {
    for (let call = this.soon.shift(); call !== undefined; call = this.soon.shift()) call()
  }

  pass(milliseconds: number): void {
    const end = this.now + milliseconds
    this.settle()
    for (;;) {
      const [next] = [...this.timers].sort((a, b) => a.at - b.at)
      if (next === undefined || next.at > end) break
      this.now = Math.max(this.now, next.at)
      this.timers.delete(next)
      next.call()
      this.settle()
    }
    this.now = end
  }

  free(server: number): void {
    this.used[server] = (this.used[server] ?? 0) - 1
    this.queue.freed(this.hosts[server] as Host)
    this.settle()
  }
}

interface Asks {
  readonly servers?: ReadonlyArray<number>
  readonly client?: string
  readonly urgency?: Urgency
  readonly cost?: number
  readonly patience?: number
  readonly hold?: number
}

class Asker implements Waiter {
  readonly #world: World
  readonly name: string
  readonly servers: ReadonlyArray<number>
  readonly wish: Waiter["wish"]
  readonly model = "m"
  patience: number
  hold: number
  readonly place = new Place(this)
  /** The server that it has. */
  at: number | undefined
  refusal: QueueRefusal | undefined
  looks = 0

  constructor(world: World, name: string, asks: Asks = {}) {
    this.#world = world
    this.name = name
    this.servers = asks.servers ?? [0]
    this.wish = { client: asks.client ?? name, urgency: asks.urgency ?? "normal", cost: asks.cost ?? 100, bytes: 1 }
    this.patience = asks.patience ?? 30_000
    this.hold = asks.hold ?? 0
  }

  /** As the carrier goes about it: those who wait first, then whoever is free, then the queue. */
  ask(): this {
    this.#world.queue.settle()
    if (this.take()) this.served()
    else {
      const refusal = this.#world.queue.wait(this.place)
      if (refusal !== undefined) this.refused(refusal)
    }
    return this
  }

  renew(): void {
    this.looks++
  }

  take(): boolean {
    const server = this.servers.find((each) => this.#world.hasRoom(each))
    if (server === undefined) return false
    this.#world.used[server] = (this.#world.used[server] ?? 0) + 1
    this.at = server
    return true
  }

  outlook(): Outlook {
    const { pausedUntil, away, now } = this.#world
    const there = this.servers.filter((each) => !away[each])
    const pauses = there.map((each) => pausedUntil[each] ?? 0).filter((until) => until > now)
    const until = Math.min(...pauses)
    return { _tag: there.length === 0 ? "nobody" : pauses.length === there.length ? "pause" : "slot", until }
  }

  hosts(): ReadonlySet<Host> {
    return new Set(this.servers.map((each) => this.#world.hosts[each] as Host))
  }

  rate(): number {
    return this.servers.reduce((sum, each) => sum + (this.#world.slots[each] ?? 0), 0)
  }

  served(): void {
    this.#world.log.push(this.name)
  }

  refused(refusal: QueueRefusal): void {
    this.refusal = refusal
  }

  end(): void {
    const { at } = this
    this.at = undefined
    if (at !== undefined) this.#world.free(at)
  }
}

describe("a request that nobody can take", () => {
  it("gets the next slot that is free", () => {
    const world = new World([1])
    const first = new Asker(world, "first").ask()
    const second = new Asker(world, "second").ask()
    expect(world.log).toEqual(["first"])
    first.end()
    expect(world.log).toEqual(["first", "second"])
    second.end()
    expect([world.used[0], world.queue.size, world.timers.size]).toEqual([0, 0, 0])
  })

  it("gets whoever is free first of those who could serve it", () => {
    const world = new World([1, 1])
    const a = new Asker(world, "a", { servers: [0] }).ask()
    const b = new Asker(world, "b", { servers: [1] }).ask()
    new Asker(world, "onlyA", { servers: [0] }).ask()
    const any = new Asker(world, "any", { servers: [0, 1] }).ask()
    b.end()
    expect(any.at).toBe(1)
    a.end()
    expect(world.log).toEqual(["a", "b", "any", "onlyA"])
  })

  it("is refused when its time is over, with the time until a slot", () => {
    const world = new World([1])
    new Asker(world, "first").ask()
    for (let n = 0; n < 4; n++) new Asker(world, `before${n}`, { patience: 60_000 }).ask()
    const late = new Asker(world, "late", { patience: 5_000 }).ask()
    world.pass(4_999)
    expect(late.refusal).toBeUndefined()
    world.pass(1)
    expect(late.refusal).toEqual({ code: "queue_timeout", retryAfter: 4 })
    expect(world.queue.size).toBe(4)
  })

  it("is refused at once where it may not wait at all", () => {
    const world = new World([1])
    new Asker(world, "first").ask()
    expect(new Asker(world, "second", { patience: 0 }).ask().refusal?.code).toBe("queue_timeout")
  })

  it.each([
    ["queue_full", "other"],
    ["client_queue_full", "same"]
  ] as const)("is refused with %s", (code, client) => {
    const world = new World([1])
    world.limits = code === "queue_full" ? { mostWaiting: 2, mostOfClient: 9 } : { mostWaiting: 9, mostOfClient: 2 }
    new Asker(world, "first").ask()
    for (let n = 0; n < 2; n++) new Asker(world, `w${n}`, { client: "same", patience: 1_000 }).ask()
    const refused = new Asker(world, "refused", { client, patience: 1_000 }).ask()
    expect(refused.refusal).toEqual({ code, retryAfter: code === "queue_full" ? 1 : 2 })
    expect(world.queue.size).toBe(2)
  })

  it("leaves at once when its client does, and its slot is somebody else's", () => {
    const world = new World([1])
    const first = new Asker(world, "first").ask()
    const gone = new Asker(world, "gone").ask()
    new Asker(world, "next").ask()
    world.queue.cancel(gone.place)
    first.end()
    expect(world.log).toEqual(["first", "next"])
    expect(world.queue.size).toBe(0)
    world.queue.cancel(gone.place)
    expect(world.timers.size).toBe(0)
  })

  it("goes before a newcomer that comes in the moment in which a slot is free", () => {
    const world = new World([1])
    const first = new Asker(world, "first").ask()
    new Asker(world, "waiting").ask()
    world.used[0] = 0
    first.at = undefined
    world.queue.freed(world.hosts[0] as Host)
    new Asker(world, "newcomer").ask()
    expect(world.log).toEqual(["first", "waiting"])
  })

  it("keeps its place and what is left of its time when its turn comes to nothing", () => {
    const world = new World([1])
    const first = new Asker(world, "first").ask()
    const unlucky = new Asker(world, "unlucky", { patience: 10_000 }).ask()
    new Asker(world, "other").ask()
    world.pass(4_000)
    first.end()
    expect(unlucky.at).toBe(0)
    world.pass(20_000)
    // Its attempt fails, and another one has the slot.
    new Asker(world, "more").ask()
    unlucky.at = undefined
    expect(world.queue.wait(unlucky.place)).toBeUndefined()
    expect(unlucky.patience).toBe(6_000)
    expect(world.queue.position(unlucky.place)).toBe(0)
    world.pass(6_000)
    expect(unlucky.refusal?.code).toBe("queue_timeout")
  })
})

describe("pauses", () => {
  it("are waited for when they end in time", () => {
    const world = new World([2])
    world.pausedUntil[0] = world.now + 2_500
    const asker = new Asker(world, "patient").ask()
    world.pass(2_499)
    expect(asker.at).toBeUndefined()
    world.pass(1)
    expect(asker.at).toBe(0)
  })

  it("that end too late are told of at once", () => {
    const world = new World([2])
    world.pausedUntil[0] = world.now + 40_500
    expect(new Asker(world, "x").ask().refusal).toEqual({ code: "all_paused", retryAfter: 41 })
    expect(new Asker(world, "y", { patience: 0 }).ask().refusal?.code).toBe("all_paused")
  })

  it("that begin while somebody waits and end too late are told of then", () => {
    const world = new World([1])
    new Asker(world, "first").ask()
    const asker = new Asker(world, "x", { patience: 5_000 }).ask()
    world.pausedUntil[0] = world.now + 20_000
    world.queue.changed()
    world.settle()
    expect(asker.refusal).toEqual({ code: "all_paused", retryAfter: 20 })
  })
})

describe("a model that nobody serves", () => {
  it("is not waited for without hold", () => {
    const world = new World([1])
    world.away[0] = true
    expect(new Asker(world, "x").ask().refusal?.code).toBe("nobody")
  })

  it("is waited for with it, and looked for every second", () => {
    const world = new World([1])
    world.away[0] = true
    const asker = new Asker(world, "x", { hold: 10_000 }).ask()
    world.pass(3_500)
    expect(asker.looks).toBe(3)
    world.away[0] = false
    world.queue.changed()
    world.settle()
    expect(asker.at).toBe(0)
  })

  it("is given up in the end", () => {
    const world = new World([1])
    world.away[0] = true
    const asker = new Asker(world, "x", { hold: 10_000 }).ask()
    world.pass(9_999)
    expect(asker.refusal).toBeUndefined()
    world.pass(1)
    expect(asker.refusal?.code).toBe("nobody")
    expect(world.timers.size).toBe(0)
  })

  it("that comes back full is waited for as any other", () => {
    const world = new World([0])
    world.away[0] = true
    const asker = new Asker(world, "x", { hold: 10_000, patience: 3_000 }).ask()
    world.pass(9_000)
    world.away[0] = false
    world.queue.changed()
    world.pass(2_999)
    expect(asker.refusal).toBeUndefined()
    world.pass(1)
    expect(asker.refusal?.code).toBe("queue_timeout")
  })

  it("whose last server goes while a request waits is told of at once", () => {
    const world = new World([1])
    new Asker(world, "first").ask()
    const asker = new Asker(world, "x").ask()
    world.away[0] = true
    world.queue.changed()
    world.settle()
    expect(asker.refusal?.code).toBe("nobody")
  })
})

describe("what is seen", () => {
  it("is how many wait, for how long, of which class, for which model", () => {
    const world = new World([1])
    new Asker(world, "first").ask()
    new Asker(world, "a", { urgency: "low" }).ask()
    world.pass(700)
    new Asker(world, "b").ask()
    const { byModel, byModelAndClass, ...view } = world.queue.view()
    expect(view).toEqual({ waiting: 2, oldestMs: 700, byClass: { high: 0, normal: 1, low: 1 }, bytes: 2 })
    expect([...byModel]).toEqual([["m", 2]])
    expect([...byModelAndClass.values()].flatMap((classes) => Object.values(classes)).reduce((a, b) => a + b)).toBe(2)
  })
})

type Step =
  | {
      readonly do: "ask"
      readonly servers: ReadonlyArray<number>
      readonly client: string
      readonly urgency: Urgency
      readonly patience: number
    }
  | { readonly do: "end" | "cancel" | "fail"; readonly which: number }
  | { readonly do: "pass"; readonly by: number }
  | { readonly do: "pause"; readonly server: number; readonly by: number }
  | { readonly do: "away"; readonly server: number }

const servers = 3
const pick = <T>(all: ReadonlyArray<T>, which: number): T | undefined => all[which % Math.max(1, all.length)]
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("ask" as const),
      servers: fc.subarray([0, 1, 2], { minLength: 1 }),
      client: fc.constantFrom("a", "b", "c"),
      urgency: fc.constantFrom("high" as const, "normal" as const, "low" as const),
      patience: fc.constantFrom(0, 5_000, 20_000, 30_000)
    })
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("end" as const, "cancel" as const, "fail" as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass" as const), by: fc.integer({ min: 1, max: 12_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("pause" as const), server: fc.nat(servers - 1), by: fc.integer({ min: 1, max: 9_000 }) })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("away" as const), server: fc.nat(servers - 1) }) }
)

it("whatever happens: nobody idles while somebody waits for him, no server has more than its slots, and nothing is left in the end", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: servers, maxLength: servers }),
      fc.array(step, { minLength: 20, maxLength: 80, size: "max" }),
      (slots, steps) => {
        const world = new World(slots)
        world.limits = { mostWaiting: 12, mostOfClient: 6 }
        const asked: Array<Asker> = []
        const running = () => asked.filter(({ at }) => at !== undefined)
        const waiting = () => asked.filter(({ place }) => place.ticket?.isWaiting === true)
        for (const each of steps) {
          switch (each.do) {
            case "ask":
              asked.push(new Asker(world, `${asked.length}`, each).ask())
              break
            case "end":
              pick(running(), each.which)?.end()
              break
            case "fail": {
              const asker = pick(running(), each.which)
              if (asker === undefined) break
              const { at } = asker
              asker.at = undefined
              world.used[at as number] = (world.used[at as number] as number) - 1
              world.queue.freed(world.hosts[at as number] as Host)
              asker.ask()
              break
            }
            case "cancel": {
              const asker = pick(waiting(), each.which)
              if (asker !== undefined) world.queue.cancel(asker.place)
              break
            }
            case "pass":
              world.pass(each.by)
              break
            case "pause":
              world.pausedUntil[each.server] = world.now + each.by
              world.queue.changed()
              break
            case "away":
              world.away[each.server] = !world.away[each.server]
              world.queue.changed()
          }
          world.settle()
          world.pass(0)
          for (let server = 0; server < servers; server++) {
            expect(world.used[server]).toBe(running().filter(({ at }) => at === server).length)
            expect(world.used[server]).toBeLessThanOrEqual(slots[server] as number)
            if (world.hasRoom(server)) expect(waiting().filter((asker) => asker.servers.includes(server))).toEqual([])
          }
          expect(world.queue.size).toBe(waiting().length)
          for (const { at, refusal, place } of waiting())
            expect([at, refusal, place.deadline > world.now - 1]).toEqual([undefined, undefined, true])
        }
        world.pass(120_000)
        expect([world.queue.size, world.timers.size, world.soon.length]).toEqual([0, 0, 0])
        for (const asker of running()) asker.end()
        expect(world.used).toEqual(slots.map(() => 0))
      }
    )
  )
})
