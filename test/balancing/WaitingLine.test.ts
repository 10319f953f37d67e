import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  clampSeconds,
  mostBytes,
  risesAfter,
  secondsUntilTurn,
  Ticket,
  type Urgency,
  WaitingLine,
  type Wish
} from "../../src/balancing/WaitingLine.ts"
import { classes } from "../../src/config/TrafficSchema.ts"

const lineOf = (mostWaiting = 256, mostOfClient = 256) => new WaitingLine<string>(() => ({ mostWaiting, mostOfClient }))

const wishOf = (client: string, fields: Partial<Wish> = {}): Wish => ({ client, urgency: "normal", cost: 100, bytes: 10, ...fields })

const joined = (line: WaitingLine<string>, name: string, wish: Wish, now = 0): Ticket<string> => {
  const ticket = line.join(name, wish, now)
  if (!(ticket instanceof Ticket)) throw new Error(ticket)
  return ticket
}

const namesOf = (line: WaitingLine<string>, now = 0) => line.inOrder(now).map(({ holder }) => holder)

/** Serves whoever is next. */
const serveNext = (line: WaitingLine<string>, now = 0): Ticket<string> | undefined => {
  const [next] = line.inOrder(now)
  if (next !== undefined) line.serve(next)
  return next
}

describe("the order of tickets", () => {
  it("is by class before anything else", () => {
    const line = lineOf()
    joined(line, "low", wishOf("a", { urgency: "low", cost: 1 }))
    joined(line, "normal", wishOf("b", { cost: 1 }))
    joined(line, "high", wishOf("c", { urgency: "high", cost: 9_000 }))
    expect(namesOf(line)).toEqual(["high", "normal", "low"])
  })

  it("is by arrival among those who have the same share", () => {
    const line = lineOf()
    for (const name of ["a", "b", "c"]) joined(line, name, wishOf(name))
    expect(namesOf(line)).toEqual(["a", "b", "c"])
  })

  it("puts some after the others of their class, until they have waited for ten seconds", () => {
    const line = lineOf()
    joined(line, "load1", wishOf("a"))
    joined(line, "here1", wishOf("b"), 1)
    joined(line, "load2", wishOf("c"), 2)
    joined(line, "here2", wishOf("d"), 3)
    joined(line, "urgent", wishOf("e", { urgency: "high" }), 4)
    const order = (now: number) => line.inOrder(now, (name) => name.startsWith("load")).map(({ holder }) => holder)
    expect(order(5)).toEqual(["urgent", "here1", "here2", "load1", "load2"])
    // Their class has risen by then, too.
    expect(order(risesAfter)).toEqual(["load1", "here1", "here2", "urgent", "load2"])
  })

  it("gives a client with one ticket its turn before the second ticket of another", () => {
    const line = lineOf()
    for (const name of ["a1", "a2", "a3"]) joined(line, name, wishOf("a"))
    joined(line, "b1", wishOf("b"))
    expect(namesOf(line)).toEqual(["a1", "b1", "a2", "a3"])
  })

  it("counts tokens, not requests", () => {
    const line = lineOf()
    for (const name of ["long1", "long2"]) joined(line, name, wishOf("long", { cost: 400 }))
    for (const name of ["s1", "s2", "s3", "s4", "s5"]) joined(line, name, wishOf("short", { cost: 100 }))
    expect(namesOf(line)).toEqual(["long1", "s1", "s2", "s3", "s4", "long2", "s5"])
  })

  it("lets a ticket rise by a class for every ten seconds, and no further than to the first", () => {
    const line = lineOf()
    joined(line, "old", wishOf("a", { urgency: "low" }))
    joined(line, "normal", wishOf("b"), risesAfter - 1)
    expect(namesOf(line, risesAfter - 1)).toEqual(["normal", "old"])
    expect(namesOf(line, risesAfter)).toEqual(["old", "normal"])
    joined(line, "high", wishOf("c", { urgency: "high" }), 2 * risesAfter - 1)
    expect(namesOf(line, 2 * risesAfter - 1)).toEqual(["normal", "high", "old"])
    expect(namesOf(line, 2 * risesAfter)).toEqual(["old", "normal", "high"])
    expect(joined(line, "x", wishOf("d")).rankAt(1_000_000)).toBe(0)
  })

  it("keeps shares fair however long one client's many tickets have waited", () => {
    const line = lineOf()
    for (let n = 0; n < 50; n++) joined(line, `many${n}`, wishOf("many"))
    for (let n = 0; n < 10; n++) serveNext(line, 2 * risesAfter)
    joined(line, "fresh", wishOf("other"), 2 * risesAfter)
    expect(namesOf(line, 2 * risesAfter)[0]).toBe("fresh")
    // A class rises as a whole: its own order stays.
    joined(line, "high", wishOf("urgent", { urgency: "high", cost: 1 }), 2 * risesAfter)
    expect(namesOf(line, 2 * risesAfter).slice(0, 3)).toEqual(["fresh", "high", "many10"])
  })

  it("starts newcomers where the line is, not where it once began", () => {
    const line = lineOf()
    for (let n = 0; n < 5; n++) joined(line, `a${n}`, wishOf("a"))
    for (let n = 0; n < 3; n++) serveNext(line)
    joined(line, "b", wishOf("b"))
    expect(namesOf(line)).toEqual(["b", "a3", "a4"])
    expect(line.inOrder(0)[0]?.start).toBe(200)
  })
})

describe("a ticket that leaves", () => {
  it("gives its share back to its client", () => {
    const line = lineOf()
    const first = joined(line, "a1", wishOf("a", { cost: 1_000 }))
    joined(line, "a2", wishOf("a"))
    joined(line, "b1", wishOf("b"))
    joined(line, "b2", wishOf("b"))
    expect(namesOf(line)).toEqual(["a1", "b1", "b2", "a2"])
    line.leave(first)
    expect(namesOf(line)).toEqual(["a2", "b1", "b2"])
  })

  it("takes nothing from what its client was served in between", () => {
    const line = lineOf()
    const low = joined(line, "low", wishOf("a", { urgency: "low" }))
    const high = joined(line, "high", wishOf("a", { urgency: "high" }))
    joined(line, "b1", wishOf("b"))
    line.serve(high)
    line.leave(low)
    const next = joined(line, "a3", wishOf("a"))
    expect(next.start).toBe(100)
  })

  it("is gone once, however often it leaves", () => {
    const line = lineOf()
    const ticket = joined(line, "a", wishOf("a"))
    line.leave(ticket)
    line.leave(ticket)
    line.serve(ticket)
    expect([line.size, line.bytes, line.clients]).toEqual([0, 0, 0])
  })
})

describe("a ticket whose turn came to nothing", () => {
  it("keeps its place and its age", () => {
    const line = lineOf()
    const first = joined(line, "a1", wishOf("a"))
    joined(line, "b1", wishOf("b"), 5)
    joined(line, "b2", wishOf("b"), 5)
    line.serve(first)
    joined(line, "a2", wishOf("a"), 6)
    line.rejoin(first)
    expect(namesOf(line)).toEqual(["a1", "b1", "b2", "a2"])
    expect(first.since).toBe(0)
    line.rejoin(first)
    expect(line.size).toBe(4)
  })
})

describe("limits of the line", () => {
  it.each([
    ["queue_full", lineOf(1), wishOf("b")],
    ["client_queue_full", lineOf(9, 1), wishOf("a")],
    ["client_queue_full", lineOf(1, 1), wishOf("a")],
    ["queue_full", lineOf(), wishOf("b", { bytes: mostBytes })]
  ] as const)("refuse with %s", (code, line, wish) => {
    joined(line, "first", wishOf("a"))
    expect(line.join("second", wish, 0)).toBe(code)
    expect(line.size).toBe(1)
  })

  it("let bodies in up to the last byte", () => {
    const line = lineOf()
    joined(line, "a", wishOf("a", { bytes: mostBytes - 1 }))
    joined(line, "b", wishOf("b", { bytes: 1 }))
    expect(line.join("c", wishOf("c", { bytes: 1 }), 0)).toBe("queue_full")
  })
})

it("tells whole seconds from 1 to 60", () => {
  expect([0, 0.2, 1, 1.01, 59.5, 60, 400, Number.POSITIVE_INFINITY].map(clampSeconds)).toEqual([1, 1, 1, 2, 60, 60, 60, 60])
  expect(secondsUntilTurn(20, 2)).toBe(10)
  expect(secondsUntilTurn(20, 2, 4)).toBe(6)
  expect(secondsUntilTurn(20, 0)).toBe(60)
})

type Step =
  | { readonly do: "join"; readonly client: string; readonly urgency: Urgency; readonly cost: number }
  | { readonly do: "serve" }
  | { readonly do: "fail" }
  | { readonly do: "leave"; readonly which: number }
  | { readonly do: "time"; readonly by: number }

const clients = ["a", "b", "c"]
const join: fc.Arbitrary<Step> = fc.record({
  do: fc.constant("join" as const),
  client: fc.constantFrom(...clients),
  urgency: fc.constantFrom(...classes),
  cost: fc.integer({ min: 1, max: 500 })
})
const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: join },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("serve" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("fail" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat(50) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("time" as const), by: fc.integer({ min: 1, max: 15_000 }) }) }
  ),
  { maxLength: 120 }
)

describe("whatever comes and goes", () => {
  it("counters are those of who waits, and nothing is left when nobody does", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const line = lineOf(20, 8)
        let now = 0
        let last: Ticket<string> | undefined
        const check = () => {
          const waiting = line.inOrder(now)
          expect(line.size).toBe(waiting.length)
          expect(line.bytes).toBe(waiting.reduce((sum, { wish }) => sum + wish.bytes, 0))
          for (const client of clients) expect(line.sizeOf(client)).toBe(waiting.filter(({ wish }) => wish.client === client).length)
        }
        for (const step of all) {
          if (step.do === "join") line.join("x", wishOf(step.client, { urgency: step.urgency, cost: step.cost }), now)
          else if (step.do === "serve") last = serveNext(line, now)
          else if (step.do === "time") now += step.by
          else if (step.do === "fail") {
            if (last !== undefined) line.rejoin(last)
          } else {
            const ticket = line.inOrder(now)[step.which]
            if (ticket !== undefined) line.leave(ticket)
          }
          check()
        }
        for (const ticket of line.inOrder(now)) line.leave(ticket)
        expect([line.size, line.bytes, line.clients]).toEqual([0, 0, 0])
      })
    )
  })

  it("tickets of one client and class keep their order", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const line = lineOf(60, 60)
        let now = 0
        for (const step of all) {
          if (step.do === "join") line.join("x", wishOf(step.client, { urgency: step.urgency, cost: step.cost }), now)
          else if (step.do === "serve") serveNext(line, now)
          else if (step.do === "time") now += step.by
          else if (step.do === "leave") {
            const ticket = line.inOrder(now)[step.which]
            if (ticket !== undefined) line.leave(ticket)
          }
          for (const client of clients)
            for (const rank of [0, 1, 2]) {
              const numbers = line
                .inOrder(now)
                .filter((ticket) => ticket.wish.client === client && ticket.rank === rank)
                .map(({ number }) => number)
              expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
            }
        }
      })
    )
  })

  it("two clients that both wait get no further apart than their two largest requests", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 30 })
    const crowd = fc.array(fc.record({ client: fc.constantFrom("x", "y", "z"), cost: fc.integer({ min: 1, max: 500 }) }), { maxLength: 20 })
    fc.assert(
      fc.property(sizes, sizes, crowd, fc.nat(10), fc.array(fc.nat(60), { maxLength: 10 }), (ofA, ofB, others, served, leaving) => {
        const line = lineOf(1_000, 1_000)
        for (const { client, cost } of others) joined(line, client, wishOf(client, { cost }))
        for (let n = 0; n < served; n++) serveNext(line)
        for (const cost of ofA) joined(line, "a", wishOf("a", { cost }))
        for (const cost of ofB) joined(line, "b", wishOf("b", { cost }))
        // Whoever leaves of them leaves before the two are compared.
        for (const which of leaving) {
          const ticket = line.inOrder(0)[which]
          if (ticket !== undefined) line.leave(ticket)
        }
        const most = Math.max(...ofA) + Math.max(...ofB)
        const work = { a: 0, b: 0 }
        while (line.sizeOf("a") > 0 && line.sizeOf("b") > 0) {
          const { client, cost } = (serveNext(line) as Ticket<string>).wish
          if (client === "a" || client === "b") work[client] += cost
          if (line.sizeOf("a") > 0 && line.sizeOf("b") > 0) expect(Math.abs(work.a - work.b)).toBeLessThanOrEqual(most)
        }
      })
    )
  })

  it("nobody starves while others come again and again in the same class", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 5 }),
        (cost, sizes) => {
          const line = lineOf(1_000, 1_000)
          for (let n = 0; n < 3; n++) joined(line, `busy${n}`, wishOf("busy", { cost: sizes[n % sizes.length] as number }))
          const patient = joined(line, "patient", wishOf("patient", { cost }))
          for (let turn = 0; turn < 20 && patient.isWaiting; turn++) {
            serveNext(line)
            joined(line, `more${turn}`, wishOf("busy", { cost: sizes[turn % sizes.length] as number }))
          }
          expect(patient.isWaiting).toBe(false)
        }
      )
    )
  })
})
