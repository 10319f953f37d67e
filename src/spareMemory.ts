/**
 * Gives memory back that is needed no more: what only starting needed, and what a flood of uploads leaves behind. V8 keeps such pages
 * until it needs them, and the C library keeps freed memory as long as anything lies above it: a gigabyte, for ever.
 */
import v8 from "node:v8"
import { runInNewContext } from "node:vm"
import type { BodyBudget } from "./guard/BodyBudget.ts"

type Collect = (options: { readonly type: "major"; readonly execution: "sync"; readonly flavor: "last-resort" }) => void

const collectGarbage = (): void => {
  try {
    v8.setFlagsFromString("--expose-gc")
    const collect = runInNewContext("globalThis.gc") as Collect | undefined
    collect?.({ type: "major", execution: "sync", flavor: "last-resort" })
  } catch {
    // A runtime without this option only keeps more memory.
  } finally {
    v8.setFlagsFromString("--no-expose-gc")
  }
}

type Trim = (padding: bigint) => number

/** glibc's `malloc_trim`; `undefined`: another C library, or a node that cannot call one. */
const findTrim = (): Trim | undefined => {
  const { emitWarning } = process
  try {
    // That it is experimental is no news for who runs a daemon: where it is not there, memory is kept as it ever was.
    process.emitWarning = () => {}
    const ffi = process.getBuiltinModule("node:ffi")
    const { functions } = ffi.dlopen(null, { malloc_trim: { arguments: ["u64"], return: "i32" } })
    return functions.malloc_trim as Trim
  } catch {
    return undefined
  } finally {
    process.emitWarning = emitWarning
  }
}

let trim: Trim | undefined | "unknown" = "unknown"

/** True: the C library has given back what it had too. */
export const releaseMemory = (): boolean => {
  collectGarbage()
  if (trim === "unknown") trim = findTrim()
  return trim !== undefined && trim(0n) >= 0
}

/** Bytes of growth that are worth the pause: a tenth of a second for each half a gigabyte. */
const worthAPause = 64 * 1024 * 1024
/** Bytes of bodies that were held at most while the daemon passes for idle. */
const idleBodies = 8 * 1024 * 1024

/** Bytes of bodies that leave enough behind. */
const floodOfBodies = 4 * idleBodies

/** When memory is given back: bodies have filled it, and nobody is uploading now. */
export class SpareMemory {
  readonly #budget: BodyBudget
  readonly #resident: () => number
  readonly #release: () => void
  /** After the last time, bytes. */
  #resting: number
  /** The most that bodies took since then. */
  #most = 0

  constructor(budget: BodyBudget, resident: () => number, release: () => void) {
    this.#budget = budget
    this.#resident = resident
    this.#release = release
    this.#resting = resident()
    budget.takeRecent()
  }

  /** Called every few seconds. */
  look(): void {
    const recent = this.#budget.takeRecent()
    this.#most = Math.max(this.#most, recent)
    if (recent > idleBodies || this.#most < floodOfBodies || this.#resident() - this.#resting < worthAPause) return
    this.#release()
    // What is left is in use.
    this.#resting = this.#resident()
    this.#most = 0
  }
}
