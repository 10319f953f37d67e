/**
 * What a request costs on a lane: the milliseconds until its first byte there, as far as anybody can tell. Warm models, kept prompts,
 * queues and slow machines count in one unit, so that nothing has to be set against anything else.
 */
import { leastRead } from "../../endpoint/lane/LaneWork.ts"

/** Milliseconds for each failure in a row. */
const failureCost = 2000

/** A lane in numbers, as one request sees it. Filled anew for each pick: nothing is made for it. */
export interface LaneFigures {
  /** Milliseconds for 1,000 tokens of prompt. */
  pace: number
  /** Tokens of prompts that have no first byte yet. */
  unread: number
  /** Attempts under way, Olla's own and of others. */
  inFlight: number
  foreign: number
  /** Milliseconds of an attempt. */
  turn: number
  /** Attempts that are worked on at once; Infinity: nobody says. */
  slots: number
  /** Milliseconds that the model takes to be there. */
  load: number
  /** Failures in a row. */
  failures: number
  weight: number
  /** Leading tokens of this prompt that it has kept. */
  cached: number
}

export const newFigures = (): LaneFigures => ({
  pace: 0,
  unread: 0,
  inFlight: 0,
  foreign: 0,
  turn: 0,
  slots: 0,
  load: 0,
  failures: 0,
  weight: 1,
  cached: 0
})

/** Its own prompt. `tokens`: of all of it. */
export const firstCost = ({ pace, cached }: LaneFigures, tokens: number): number => (pace * Math.max(leastRead, tokens - cached)) / 1000

/** What stands before it. */
const waitCost = ({ pace, unread, turn, inFlight, foreign, slots }: LaneFigures): number => {
  const excess = inFlight + foreign + 1 - slots
  return (pace * unread) / 1000 + (excess > 0 ? (turn * excess) / slots : 0)
}

export const costOf = (lane: LaneFigures, tokens: number): number =>
  waitCost(lane) / lane.weight + firstCost(lane, tokens) + lane.load + failureCost * lane.failures
