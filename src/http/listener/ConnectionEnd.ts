/**
 * Connections whose last answer is being given: because the client said so, or because what came on it cannot be trusted
 * or read to its end. node would go on and serve requests that are pipelined behind it, although nobody gets the answers.
 */
const ending = new WeakSet<object>()

export const endConnection = (socket: object): void => {
  ending.add(socket)
}

export const isEnding = (socket: object): boolean => ending.has(socket)
