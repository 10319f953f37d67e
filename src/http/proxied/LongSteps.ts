/**
 * Steps with long bodies, one in each turn of the event loop. `setImmediate` alone would run those of all requests whose bodies became
 * whole in the same turn one after the other, and a hundred uploads at once would hold everybody else up for half a second.
 */
const waiting: Array<() => void> = []

const next = (): void => {
  const step = waiting.shift()
  // From within an immediate: after the sockets have been looked at.
  if (waiting.length > 0) setImmediate(next)
  step?.()
}

/** `step` throws nothing. */
export const inATurnOfItsOwn = (step: () => void): void => {
  if (waiting.push(step) === 1) setImmediate(next)
}
