import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { LogDecision } from "../../src/telemetry/LogDecision.ts"
import { LogFile } from "../../src/telemetry/LogFile.ts"
import { makeLog, makeSink } from "../../src/telemetry/LogSink.ts"
import { themeOf } from "../../src/telemetry/LogTheme.ts"

let folder = ""
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "olla-log-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const collected = () => {
  const lines: Array<string> = []
  return { lines, out: (text: string) => void lines.push(...text.trimEnd().split("\n")) }
}

const fileIn = (name = "logs") => new LogFile({ folder: join(folder, name), maxSize: 1e6, maxBackups: 7, maxAge: 14 })
const messages = (lines: ReadonlyArray<string>): ReadonlyArray<string> => lines.map((line) => JSON.parse(line).msg)

describe("the sink", () => {
  it("drops what is below its level and says so before", () => {
    const { lines, out } = collected()
    const sink = makeSink({ level: "warn", form: "json", out })
    expect([sink.enabled("debug"), sink.enabled("info"), sink.enabled("warn"), sink.enabled("error")]).toEqual([false, false, true, true])
    sink.write("info", "a")
    sink.write("error", "b")
    sink.flush()
    expect(messages(lines)).toEqual(["b"])
  })

  it("writes lines of a moment together, in order", () => {
    const writes: Array<string> = []
    const sink = makeSink({ level: "info", form: "json", out: (text) => writes.push(text) })
    for (const message of ["a", "b", "c"]) sink.write("info", message)
    expect(writes).toEqual([])
    sink.flush()
    expect(writes).toHaveLength(1)
    expect(messages((writes[0] ?? "").trimEnd().split("\n"))).toEqual(["a", "b", "c"])
  })

  it("puts rows in columns on people's consoles only", () => {
    const rows = [
      ["PRI", "NAME"],
      ["100", "a-long-name"],
      ["5", "b"]
    ]
    for (const form of ["text", "pretty", "json"] as const) {
      const { lines, out } = collected()
      const sink = makeSink({ level: "debug", form, out })
      sink.table(rows)
      sink.flush()
      expect(lines).toEqual(form === "json" ? [] : ["PRI  NAME", "100  a-long-name", "5    b"])
    }
    const { lines, out } = collected()
    const quiet = makeSink({ level: "info", form: "text", out })
    quiet.table(rows)
    quiet.flush()
    expect(lines).toEqual([])
  })

  it("writes a warning at the end of the turn, with what was waiting", async () => {
    const { lines, out } = collected()
    const sink = makeSink({ level: "info", form: "json", out })
    sink.write("info", "a")
    sink.write("warn", "b")
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(messages(lines)).toEqual(["a", "b"])
  })

  it("gives detail records to JSON and the file, never to a text console", () => {
    const console = collected()
    const file = fileIn()
    const sink = makeSink({ level: "info", form: "text", file, out: console.out })
    expect(sink.enabled("info", true)).toBe(true)
    sink.write("info", "Access log", { path: "/x" }, true)
    sink.write("info", "Plain", {})
    sink.flush()
    expect(console.lines).toHaveLength(1)
    expect(console.lines[0]).toContain("msg=Plain")
    expect(messages(readFileSync(file.path, "utf8").trimEnd().split("\n"))).toEqual(["Access log", "Plain"])
    file.close()
    expect(makeSink({ level: "info", form: "text", out: console.out }).enabled("info", true)).toBe(false)
  })

  it("goes on without the file when it cannot be written", () => {
    const { lines, out } = collected()
    const file = fileIn()
    file.close()
    const sink = makeSink({ level: "info", form: "json", file, out })
    sink.write("info", "a")
    sink.flush()
    sink.write("info", "b")
    sink.flush()
    expect(messages(lines)).toEqual(["The log file cannot be written, going on without it", "a", "b"])
  })

  it("tries the file again after a minute", () => {
    const { lines, out } = collected()
    const written: Array<string> = []
    let isFull = true
    let now = 1_000
    const write = (text: string) => {
      if (isFull) throw new Error("ENOSPC: no space left on device")
      written.push(text)
    }
    const sink = makeSink({ level: "info", form: "json", file: { write } as LogFile, out, now: () => now })
    for (const message of ["a", "b", "c"]) {
      sink.write("info", message)
      sink.flush()
      now += 40_000
      isFull = message === "a"
    }
    expect(messages(lines)).toEqual(["The log file cannot be written, going on without it", "a", "b", "The log file is written again", "c"])
    expect(messages(written.join("").trimEnd().split("\n"))).toEqual(["c"])
  })
})

describe("the log before the configuration", () => {
  const decision = (changes: Partial<LogDecision> = {}): LogDecision => ({
    level: "info",
    form: "json",
    theme: themeOf(undefined),
    file: undefined,
    ...changes
  })

  it("holds records back and writes them in the runtime form, with their own times", () => {
    const { lines, out } = collected()
    let now = 1000
    const log = makeLog({ env: {}, isTerminal: false, out, now: () => now })
    log.write("info", "Initialising", { pid: 1 })
    log.write("debug", "too small")
    log.flush()
    expect(lines).toEqual([])
    now = 60_000
    log.configure(decision())
    log.write("info", "later")
    log.flush()
    expect(messages(lines)).toEqual(["Initialising", "later"])
    expect(new Date(JSON.parse(lines[0] ?? "").time).getTime()).toBe(1000)
  })

  it("writes them in the bootstrap form when there is no configuration", () => {
    const { lines, out } = collected()
    const log = makeLog({ env: {}, isTerminal: false, out })
    log.write("error", "Failed to load configuration", { error: "line 3" })
    log.release()
    log.flush()
    expect(lines[0]).toContain('level=ERROR msg="Failed to load configuration" error="line 3"')
  })

  it("changes its level when it is configured again", () => {
    const { lines, out } = collected()
    const log = makeLog({ env: {}, isTerminal: false, out })
    log.configure(decision({ level: "error" }))
    log.write("info", "a")
    log.configure(decision({ level: "debug" }))
    log.write("debug", "b")
    log.flush()
    expect(messages(lines)).toEqual(["b"])
  })

  it("warns and goes on when the file cannot be opened", async () => {
    writeFileSync(join(folder, "blocked"), "")
    const { lines, out } = collected()
    const log = makeLog({ env: {}, isTerminal: false, out })
    log.configure(decision({ file: { folder: join(folder, "blocked", "logs"), maxSize: 1e6, maxBackups: 7, maxAge: 14 } }))
    await log.close()
    expect(messages(lines)).toEqual(["The log file cannot be opened, going on without it"])
  })

  it("writes the file too, and closes it at the end", async () => {
    const { out } = collected()
    const log = makeLog({ env: {}, isTerminal: false, out })
    log.configure(decision({ file: { folder, maxSize: 1e6, maxBackups: 7, maxAge: 14 } }))
    log.write("info", "a")
    await log.close()
    expect(messages(readFileSync(join(folder, "olla.log"), "utf8").trimEnd().split("\n"))).toEqual(["a"])
  })
})
