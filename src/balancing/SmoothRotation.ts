/**
 * Takes turns by weight, spread evenly: of weights 3 and 1 the order is a a b a, not a a a b. Each holder gains its weight with every
 * turn, and whoever has gained most pays for the turn. The credit lives on the holders: who takes part may change from turn to turn.
 */

/** Who takes turns; `credit` is NaN until the first one. */
export interface TurnTaker {
  credit: number
}

/** Whose turn it is among the first `count`. `random`: uniform in [0, 1): where newcomers begin, so that several Ollas are not in step. */
export const takeTurn = (takers: ReadonlyArray<TurnTaker>, weights: ArrayLike<number>, count: number, random: () => number): number => {
  let total = 0
  let best = -1
  let most = Number.NEGATIVE_INFINITY
  for (let n = 0; n < count; n++) {
    const taker = takers[n] as TurnTaker
    const weight = weights[n] as number
    if (Number.isNaN(taker.credit)) taker.credit = random() * weight
    taker.credit += weight
    total += weight
    if (taker.credit > most) {
      most = taker.credit
      best = n
    }
  }
  if (best >= 0) (takers[best] as TurnTaker).credit -= total
  return best
}
