/** What is told of a simulation. */
import type { Asked, World } from "./World.ts"

export const percentile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

export interface Figures {
  readonly requests: number
  /** Milliseconds from arrival to the first token. */
  readonly p50: number
  readonly p95: number
  /** Prompt tokens that need not be read. */
  readonly hitRate: number
  /** Requests of the busiest machine over the mean of all; the same by prompt tokens read and answers' time. */
  readonly spread: number
  readonly workSpread: number
  /** Machines that got more than half of their share. */
  readonly used: number
  readonly loads: number
  /** Loads of a model that began while another host was loading it. */
  readonly duplicateLoads: number
  /** Milliseconds from arrival to a slot, p95. */
  readonly waitP95: number
  /** Requests that were given to a host before an earlier one of the same client. */
  readonly outOfOrder: number
}

const spreadOf = (loads: ReadonlyArray<number>): number => {
  const mean = loads.reduce((sum, load) => sum + load, 0) / loads.length
  return mean === 0 ? 1 : Math.max(...loads) / mean
}

/** Of requests that came after `from`; those that never got a first token count as endless. */
export const figuresOf = (world: World, from: number, which: (asked: Asked) => boolean = () => true): Figures => {
  const asked = world.all.filter((each) => each.arrivedAt >= from && which(each))
  const firsts = asked.map(({ firstTokenAt, arrivedAt }) =>
    Number.isNaN(firstTokenAt) ? Number.POSITIVE_INFINITY : firstTokenAt - arrivedAt
  )
  const sum = (of: (each: Asked) => number) => asked.reduce((total, each) => total + of(each), 0)
  const perHost = world.hosts.map((_, index) => asked.filter(({ host }) => host === index))
  const counts = perHost.map((each) => each.length)
  const busy = perHost.map((each, index) => {
    const { promptTokensPerSecond = 1, tokensPerSecond = 1 } = world.hosts[index]?.options ?? {}
    return each.reduce(
      (total, { promptTokens, cached, answerTokens }) =>
        total + (promptTokens - cached) / promptTokensPerSecond + answerTokens / tokensPerSecond,
      0
    )
  })
  return {
    requests: asked.length,
    p50: percentile(firsts, 0.5),
    p95: percentile(firsts, 0.95),
    hitRate: sum(({ cached }) => cached) / sum(({ promptTokens }) => promptTokens),
    spread: spreadOf(counts),
    workSpread: spreadOf(busy),
    used: counts.filter((count) => count > asked.length / world.hosts.length / 2).length,
    loads: world.hosts.reduce((total, { machine }) => total + machine.memory.loads, 0),
    duplicateLoads: world.duplicateLoads,
    waitP95: percentile(
      asked.map(({ dispatchedAt, arrivedAt }) => (Number.isNaN(dispatchedAt) ? Number.POSITIVE_INFINITY : dispatchedAt - arrivedAt)),
      0.95
    ),
    outOfOrder: outOfOrder(asked)
  }
}

const outOfOrder = (asked: ReadonlyArray<Asked>): number => {
  const latest = new Map<string, number>()
  let found = 0
  for (const { client, dispatchedAt } of asked) {
    if (Number.isNaN(dispatchedAt)) continue
    const before = latest.get(client) ?? 0
    if (dispatchedAt < before) found++
    latest.set(client, Math.max(before, dispatchedAt))
  }
  return found
}
