/** When the daemon is asked to stop: the first signal asks, a second one ends it at once. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { onSignal } from "./signals.ts"
import type { LogSink } from "./telemetry/LogSink.ts"

export interface StopRequest {
  /** Waits for the first signal and names it. */
  readonly requested: Effect.Effect<string>
  /** From now on the first signal is a graceful stop; before, while nothing is served yet, it ends the process quietly. */
  started: boolean
  /** What SIGHUP does from now on; one that came before is made up for. */
  readonly onHangup: (reload: () => void) => void
  /** When it came, in milliseconds of the process's clock; 0: it has not. */
  stoppedAt: number
}

/** Exit codes of a second signal, as a shell shows them. */
const atOnce = { SIGINT: 130, SIGTERM: 143 } as const

export const takeStopRequests = (sink: LogSink): StopRequest => {
  const requested = Deferred.makeUnsafe<string>()
  let count = 0
  let hangup: (() => void) | undefined
  let hungUp = false
  onSignal((signal) => {
    if (signal === "SIGHUP") {
      sink.write("info", "SIGHUP received, reading the configuration again")
      if (hangup === undefined) hungUp = true
      else hangup()
      return
    }
    count++
    if (!request.started || count > 1) {
      sink.flush()
      process.exit(count > 1 ? atOnce[signal] : 0)
    }
    request.stoppedAt = performance.now()
    sink.write("info", "Shutdown signal received", { signal })
    Deferred.doneUnsafe(requested, Effect.succeed(signal))
  })
  const request: StopRequest = {
    requested: Deferred.await(requested),
    started: false,
    stoppedAt: 0,
    onHangup: (reload) => {
      hangup = reload
      if (hungUp) reload()
    }
  }
  return request
}
