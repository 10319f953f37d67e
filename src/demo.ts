/** `olla demo`: the daemon over a simulated fleet that can be broken from the keyboard, with a log that is one line a request. */
import { readFileSync } from "node:fs"
import { decodeConfig } from "./config/ConfigLoading.ts"
import { type DemoFleet, startDemoFleet } from "./simulator/DemoFleet.ts"
import { run, type ServeOptions } from "./startup.ts"
import type { Fields, Log } from "./telemetry/LogSink.ts"

/** Records that say how a request ended. */
const ends: ReadonlySet<string> = new Set(["Request completed", "Request failed", "Request rejected", "Request cancelled"])
/** What its line says, as far as it is known. */
const told = [
  "request_id",
  "method",
  "path",
  "model",
  "endpoint",
  "http_status",
  "status",
  "reason",
  "error",
  "duration_ms",
  "output_tokens"
]

const briefly = (fields: Fields): Fields =>
  Object.fromEntries(told.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])))

/** Of a request only its end, in few words; everything else but the tables as it is. */
export const demoLog = (log: Log): Log => ({
  ...log,
  table: () => {},
  write: (level, message, fields = {}, detail = false, summary) => {
    if (fields["request_id"] === undefined) log.write(level, message, fields, detail, summary)
    else if (ends.has(message)) log.write(level, message, briefly(fields), detail, summary)
  }
})

/**
 * A process of the background is stopped by the system when it reads its terminal. Linux tells in /proc who has the foreground:
 * behind the name in parentheses stand state, parent, group, session, terminal, group of the foreground.
 */
const isInForeground = (): boolean => {
  try {
    const [, , group, , , foreground] = readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")
    return group === foreground
  } catch {
    return true
  }
}

export interface Keyboard {
  /** The answer to one key; `undefined`: none. */
  readonly press: (key: string) => Promise<string | undefined>
}

/** A terminal in raw mode hands Ctrl-C over as a character. */
export const isBreakKey = (key: string): boolean => key === "q" || key === "\u0003" || key === "\u0004"

/** 1 to 5 stop a backend or start it again, `q` ends. `end`: as a stop signal does. */
export const keyboard = (members: DemoFleet["members"], end: () => void): Keyboard => ({
  press: async (key) => {
    if (isBreakKey(key)) {
      end()
      return undefined
    }
    const member = members[Number(key) - 1]
    if (member === undefined) return undefined
    const isUp = await member.toggle()
    return isUp
      ? `${key} ${member.name} is started: it takes part again after its next probe\n`
      : `${key} ${member.name} is stopped: send the same request again and see who answers\n`
  }
})

/** Until the returned function is called. */
export const listenToKeys = (keys: Keyboard, say: (text: string) => void): (() => void) => {
  const { stdin } = process
  if (stdin.isTTY && !isInForeground()) return () => {}
  if (stdin.isTTY) stdin.setRawMode(true)
  // One after the other, in the order they were pressed.
  let turn = Promise.resolve()
  const onData = (bytes: Buffer) => {
    for (const key of bytes.toString())
      turn = turn.then(async () => {
        const answer = await keys.press(key)
        if (answer !== undefined) say(answer)
      })
  }
  stdin.on("data", onData)
  stdin.on("error", () => {})
  stdin.unref?.()
  return () => {
    stdin.off("data", onData)
    if (stdin.isTTY) stdin.setRawMode(false)
    stdin.pause()
  }
}

export const demo = async (options: ServeOptions): Promise<number> => {
  const fleet = await startDemoFleet()
  const port = options.env["OLLA_SERVER_PORT"] ?? "40114"
  const say = (text: string): void => void process.stderr.write(text)
  let unlisten = () => {}
  try {
    return await run(decodeConfig(fleet.yaml, "demo.yaml", options.env), options, {
      log: demoLog,
      whenReady: () => {
        say(fleet.introduction(port))
        unlisten = listenToKeys(
          keyboard(fleet.members, () => process.kill(process.pid, "SIGINT")),
          say
        )
      }
    })
  } finally {
    unlisten()
    await fleet.stop()
  }
}
