/**
 * Stop and hangup signals, from the system and from a parent that passes on its own. A terminal or a service manager
 * signals both processes, and that must count once: of each kind the larger of both counts is taken.
 */
export type StopSignal = "SIGINT" | "SIGTERM"
export type Signal = StopSignal | "SIGHUP"

export const signals: ReadonlyArray<Signal> = ["SIGINT", "SIGTERM", "SIGHUP"]

type Way = "system" | "parent"

const counts: Readonly<Record<Signal, Record<Way, number>>> = {
  SIGINT: { system: 0, parent: 0 },
  SIGTERM: { system: 0, parent: 0 },
  SIGHUP: { system: 0, parent: 0 }
}

/** The handler until the daemon sets its own: a stop signal exits with 0, SIGHUP is ignored. */
const quietEnd = (signal: Signal): void => {
  if (signal !== "SIGHUP") process.exit(0)
}

let handler: (signal: Signal) => void = quietEnd

const arrive = (signal: Signal, way: Way): void => {
  const count = counts[signal]
  const before = Math.max(count.system, count.parent)
  count[way]++
  if (Math.max(count.system, count.parent) > before) handler(signal)
}

/** Node opens its debugger at SIGUSR1, to everybody on this machine: a signal that is listened to does nothing else. */
export const keepDebuggerShut = (): void => {
  process.on("SIGUSR1", () => {})
}

/** Counts signals from now on; call it first. */
export const watchSignals = (): void => {
  keepDebuggerShut()
  for (const signal of signals) process.on(signal, () => arrive(signal, "system"))
}

/** What a parent wrote: names of signals, a line each. */
export const passOn = (text: string): void => {
  for (const line of text.split("\n")) if (line in counts) arrive(line as Signal, "parent")
}

/** The parent is gone: nobody else can stop this process any more. */
export const parentGone = (): void => handler("SIGTERM")

/** Replaces the handler: from now on the daemon decides what a signal does. */
export const onSignal = (own: (signal: Signal) => void): void => {
  handler = own
}
