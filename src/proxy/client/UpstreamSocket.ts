/**
 * A socket to a backend whose failing write does not take the answer with it: a backend that refuses a prompt half-way says
 * why and closes, and what it said may still be waiting to be read when our next write fails.
 */
import net from "node:net"
import type { Origin } from "../../endpoint/Endpoint.ts"

/** How long a backend's answer may take to be read after a failed write, in milliseconds. */
const lastWords = 100

/** Every connection reads into the buffer of its size: a read and its callback are one synchronous step. */
const buffers = new Map<number, Buffer>()

/** Read sizes: what is used where nobody says, and the most that somebody gets, in bytes. */
const defaultRead = 64 * 1024
const largestRead = 1024 * 1024

const bufferOf = (wanted: number): Buffer => {
  const size = wanted <= 0 ? defaultRead : Math.min(largestRead, wanted)
  let buffer = buffers.get(size)
  if (buffer === undefined) {
    buffer = Buffer.allocUnsafeSlow(size)
    buffers.set(size, buffer)
  }
  return buffer
}

export class UpstreamSocket extends net.Socket {
  /** An answer is being waited for. */
  awaiting = false
  #timer: NodeJS.Timeout | undefined

  /** `onRead` gets each read where it lies: what is to be kept must be copied. */
  constructor(origin: Origin, keepAlive: number, readSize: number, onRead: (bytes: Buffer) => void) {
    const buffer = bufferOf(readSize)
    super({
      noDelay: true,
      onread: {
        buffer,
        callback: (size) => {
          onRead(buffer.subarray(0, size))
          return true
        }
      }
    })
    this.once("connect", () => this.setKeepAlive({ enable: true, initialDelay: keepAlive, interval: keepAlive }))
    this.connect({ host: origin.hostname, port: origin.port })
  }

  override destroy(error?: NodeJS.ErrnoException): this {
    if (this.#timer !== undefined) {
      if (error !== undefined) return this
    } else if (error?.syscall === "write" && this.awaiting && !this.destroyed) {
      this.#timer = setTimeout(() => super.destroy(error), lastWords)
      return this
    }
    clearTimeout(this.#timer)
    return super.destroy(error)
  }
}
