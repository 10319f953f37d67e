/** The usual ways to choose, and an oracle that looks into the machines. */
import type { Machine, Work } from "../../src/simulator/machine/Machine.ts"
import { type Asked, type Dispatcher, type World, workOf } from "./World.ts"

export type { Dispatcher } from "./World.ts"
export type MakeDispatcher = (world: World) => Dispatcher

const atOnce =
  (name: string, choose: (asked: Asked) => number) =>
  (world: World): Dispatcher => ({
    name,
    arrived: (asked) => world.dispatch(asked, choose(asked))
  })

export const roundRobin: MakeDispatcher = (world) => {
  let turn = 0
  return atOnce("round-robin", () => turn++ % world.hosts.length)(world)
}

/** Ties in turn. */
export const leastConnections: MakeDispatcher = (world) => {
  let turn = 0
  return atOnce("least-connections", () => {
    const least = Math.min(...world.hosts.map(({ inFlight }) => inFlight))
    const ties = world.hosts.flatMap(({ inFlight }, index) => (inFlight === least ? [index] : []))
    return ties[turn++ % ties.length] as number
  })(world)
}

/** Knows what every machine has before it and remembers: who would really be first. Within a hundredth the one with the least to do. */
export const oracle: MakeDispatcher = (world) =>
  atOnce("oracle", (asked) => {
    const work = workOf(asked)
    const times = world.hosts.map(({ machine }) => forecast(machine, work, world.time.now()))
    const soonest = Math.min(...times)
    let best = -1
    for (const [index, time] of times.entries()) {
      if (time > soonest * 1.01 + 1) continue
      if (best < 0 || (world.hosts[index]?.inFlight ?? 0) < (world.hosts[best]?.inFlight ?? 0)) best = index
    }
    return best
  })(world)

/** Milliseconds until the first token of this work, were it given to the machine now and nothing else after it. */
export const forecast = (machine: Machine, work: Work, now: number): number => {
  /** When its slots become free, soonest first. */
  const ends: Array<number> = []
  const endsAt = (end: number) => {
    const later = ends.findIndex((each) => each > end)
    if (later < 0) ends.push(end)
    else ends.splice(later, 0, end)
  }
  let readUntil = now
  for (const job of machine.running) {
    if (job.phase === "answering") endsAt(job.phaseEndsAt)
    else {
      readUntil = job.phase === "reading" ? job.phaseEndsAt : readUntil + machine.readMillis(job.work)
      endsAt(readUntil + machine.answerMillis(job.work))
    }
  }
  const readyAt = new Map<string, number>()
  const firstTokenOf = (each: Work): number => {
    const slot = ends.length < machine.slots ? now : (ends.shift() as number)
    let ready = readyAt.get(each.model)
    if (ready === undefined) {
      const load = machine.memory.untilReady(each.model)
      const isNew = load > 0 && !machine.memory.listed.includes(each.model)
      // What it pushes out has to end first.
      ready = load + (isNew && !machine.memory.hasRoom ? Math.max(now, ends.at(-1) ?? now) : now)
      readyAt.set(each.model, ready)
    }
    readUntil = Math.max(readUntil, slot, ready) + machine.readMillis(each)
    endsAt(readUntil + machine.answerMillis(each))
    return readUntil
  }
  for (const job of machine.waiting) firstTokenOf(job.work)
  return firstTokenOf(work) - now
}
