/** Bytes as they are written, to a listener and back: what no HTTP client would send. */
import { connect } from "node:net"

export interface Conversation {
  /** Everything the other side said, latin1. */
  readonly said: string
  /** Status of each answer, in order; 1xx included. */
  readonly statuses: ReadonlyArray<number>
  /** Milliseconds from the connection to its end. */
  readonly took: number
}

const statusesOf = (said: string): ReadonlyArray<number> => [...said.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, code]) => Number(code))

/** Ends our side of the connection; the other may still answer. */
export const hangUp = Symbol("hang up")
type Part = string | Buffer | typeof hangUp | ((said: string) => string | undefined)

/**
 * Writes the parts, each after the one before has left, and reads until the other side ends the connection. A part that is
 * a function is asked with what has been said so far, again and again, until it gives bytes.
 */
export const converse = (port: number, parts: ReadonlyArray<Part>): Promise<Conversation> =>
  new Promise((resolve) => {
    const began = performance.now()
    const socket = connect(port, "127.0.0.1")
    let said = ""
    let next = 0
    const write = () => {
      const part = parts[next]
      if (part === undefined || socket.destroyed) return
      if (part === hangUp) {
        socket.end()
        return
      }
      const bytes = typeof part === "function" ? part(said) : part
      if (bytes === undefined) return
      next++
      socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, () => setImmediate(write))
    }
    socket.setNoDelay(true)
    socket.on("connect", write)
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1")
      if (typeof parts[next] === "function") write()
    })
    // A reset is an end like any other.
    socket.on("error", () => {})
    socket.on("close", () => resolve({ said, statuses: statusesOf(said), took: performance.now() - began }))
  })
