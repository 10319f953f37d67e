/**
 * Standard output by its descriptor: no stream object, and no event of a broken pipe. A reader that is slow is waited for, a
 * disk that is full is tried again, and one that has gone is no reason to die.
 */
import { writeSync } from "node:fs"

export interface Writer {
  /** Whole lines. */
  readonly write: (text: string) => void
  /** Waits, within reason, until a slow reader has taken everything. */
  readonly finish: () => void
}

/** Milliseconds until a pipe that is full is tried again, and one that failed in another way, such as a file on a full disk. */
const slowRetry = 10
const failedRetry = 1_000
/** Longest wait for a reader at `finish`, in milliseconds. */
const patience = 1_000
/** Bytes kept for a reader that does not read; what comes after that is dropped, and counted. */
export const mostPending = 8 * 1024 * 1024

/** Characters that are handed over at once, about: what a pipe takes. */
const partSize = 64 * 1024

/** Nobody will ever read again. */
const final: ReadonlySet<string> = new Set(["EPIPE", "EBADF", "ECONNRESET", "ENOTCONN"])

export interface StandardOutputOptions {
  /** Takes some of the bytes and says how many, or throws what the system says. */
  readonly write?: (bytes: Buffer) => number
  /** The line that tells of records that were dropped, with its line end; they are counted by lines. */
  readonly lost?: (records: number) => string
}

const nothing = Buffer.alloc(0)

const linesOf = (text: string): number => text.split("\n").length - 1

export const standardOutput = ({ write = (bytes) => writeSync(1, bytes), lost = () => "" }: StandardOutputOptions = {}): Writer => {
  /** What waits, in parts: it may be megabytes, and as more comes every few milliseconds it is not to be copied each time. */
  let waiting: Array<string> = []
  /** Characters of it. */
  let pending = 0
  /** What is left of the part that is being written. */
  let left: Buffer = nothing
  let dropped = 0
  let gone = false
  let retry: NodeJS.Timeout | undefined

  const keep = (text: string) => {
    const last = waiting.length - 1
    const part = waiting[last]
    if (part !== undefined && part.length < partSize) waiting[last] = part + text
    else waiting.push(text)
    pending += text.length
  }

  /** There is more to be written. */
  const fill = (): boolean => {
    if (left.length > 0) return true
    if (waiting.length === 0 && dropped > 0) {
      keep(lost(dropped))
      dropped = 0
    }
    const text = waiting.shift() ?? ""
    pending -= text.length
    left = Buffer.from(text)
    return text !== ""
  }

  /** `done`: all is out, or never will be. */
  const push = (): "done" | "full" | "failed" => {
    while (!gone && fill()) {
      try {
        left = left.subarray(write(left))
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined
        if (code === "EAGAIN" || code === "EINTR") return "full"
        if (!final.has(String(code))) return "failed"
        gone = true
      }
    }
    waiting = []
    pending = 0
    left = nothing
    return "done"
  }

  const later = (time: number) => {
    retry ??= setTimeout(() => {
      retry = undefined
      attempt()
    }, time).unref()
  }

  const attempt = () => {
    const state = push()
    if (state !== "done") later(state === "full" ? slowRetry : failedRetry)
  }

  return {
    write: (text) => {
      if (gone) return
      if (left.length + pending + text.length > mostPending) {
        dropped += linesOf(text)
        return
      }
      if (text !== "") keep(text)
      // What is being waited for is asked again when its time comes, not with each line.
      if (retry === undefined) attempt()
    },
    finish: () => {
      const until = performance.now() + patience
      while (push() === "full" && performance.now() < until) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
