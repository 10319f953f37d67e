/** The simulated hosts of the live trials, each a process of its own. */
import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import type { BackendOptions, Fault } from "../../src/simulator/Backend.ts"
import type { Counts, Order, Told } from "./host.ts"

export class LiveHost {
  readonly #options: BackendOptions
  #child: ChildProcess
  port: number

  private constructor(options: BackendOptions, child: ChildProcess, port: number) {
    this.#options = options
    this.#child = child
    this.port = port
  }

  static async start(options: BackendOptions): Promise<LiveHost> {
    const { child, port } = await launch(options)
    return new LiveHost(options, child, port)
  }

  fault(fault: Fault | undefined): void {
    this.#order({ _tag: "fault", fault })
  }

  /** `undefined`: it does not live. */
  counts(): Promise<Counts | undefined> {
    const child = this.#child
    if (!child.connected) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const onMessage = (told: Told) => {
        if (told._tag !== "counts") return
        child.off("message", onMessage)
        resolve(told.counts)
      }
      child.on("message", onMessage)
      child.once("exit", () => resolve(undefined))
      this.#order({ _tag: "counts" })
    })
  }

  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(signal)
  }

  /** Again on its port, after a kill. */
  async revive(): Promise<void> {
    const { child } = await launch({ ...this.#options, port: this.port })
    this.#child = child
  }

  stop(): Promise<void> {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      child.once("exit", () => resolve())
      child.kill("SIGCONT")
      child.kill("SIGTERM")
    })
  }

  #order(order: Order): void {
    if (this.#child.connected) this.#child.send(order, () => {})
  }
}

const launch = (options: BackendOptions): Promise<{ readonly child: ChildProcess; readonly port: number }> => {
  const child = fork(join(import.meta.dirname, "host.ts"), [JSON.stringify(options)])
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`a simulated host ended with ${code}`)))
    child.on("message", (told: Told) => {
      if (told._tag === "ready") resolve({ child, port: told.port })
    })
  })
}
