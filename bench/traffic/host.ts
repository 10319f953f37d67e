/**
 * One simulated host in its own process, so that it can be killed and stopped as real ones are. The first argument is its options as
 * JSON; orders come over the channel to its parent, and it ends with that.
 */
import { type BackendOptions, type Fault, startBackend } from "../../src/simulator/Backend.ts"

export type Order = { readonly _tag: "fault"; readonly fault: Fault | undefined } | { readonly _tag: "counts" }

export interface Counts {
  /** Inference requests that it got. */
  readonly asked: number
  /** Answers under way, and what its machine still works on. */
  readonly active: number
  readonly working: number
}

export type Told = { readonly _tag: "ready"; readonly port: number } | { readonly _tag: "counts"; readonly counts: Counts }

if (import.meta.main) {
  const backend = await startBackend(JSON.parse(process.argv[2] ?? "{}") as BackendOptions)
  const tell = (told: Told) => void process.send?.(told)
  process.on("message", (order: Order) => {
    if (order._tag === "fault") backend.setFault(order.fault)
    else {
      const { machine } = backend
      const working = machine === undefined ? 0 : machine.running.size + machine.waiting.length
      tell({ _tag: "counts", counts: { asked: backend.asked(), active: backend.active(), working } })
    }
  })
  process.on("disconnect", () => process.exit(0))
  tell({ _tag: "ready", port: backend.port })
}
