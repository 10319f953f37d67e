/**
 * Where log records go, in which form, from which level on. A record is put together only when its
 * level is on, and the lines of a few milliseconds go out in one write: a proxied request writes several, and a system
 * call each would cost more than everything else about them. Lines are never lost: warnings go out at the end of the
 * turn, and `flush` (called at shutdown and on exit) waits until everything is out.
 */
import * as Context from "effect/Context"
import { bootstrapLogging, type LogDecision } from "./LogDecision.ts"
import { LogFile } from "./LogFile.ts"
import { clockTime, type Fields, jsonLine, type Level, type LogForm, prettyLine, textLine, visible } from "./LogRecord.ts"
import { type Theme, themeOf } from "./LogTheme.ts"
import { type RequestSummary, terminalLine } from "./requests/TerminalLine.ts"
import { standardOutput, type Writer } from "./StandardOutput.ts"

export { type Fields, type Level, LogDuration, type LogForm } from "./LogRecord.ts"

type Summary = (() => RequestSummary) | undefined

export interface LogSink {
  /** Ask before building a record; `detail`: is anybody reading detail records of this level? */
  readonly enabled: (level: Level, detail?: boolean) => boolean
  /**
   * `detail`: for JSON outputs and the file only, never for people's consoles. `summary`: what a coloured terminal shows of it
   * instead, in one line.
   */
  readonly write: (level: Level, message: string, fields?: Fields, detail?: boolean, summary?: Summary) => void
  /** Is there a file, and does it take records of this level? */
  readonly filed: (level: Level) => boolean
  /** For the file alone. */
  readonly file: (level: Level, message: string, fields: Fields) => void
  /** Standard output is for people: text, or a coloured terminal. */
  readonly forPeople: boolean
  /** Rows in columns, the first is the head: for people's consoles at level debug, never for JSON outputs or the file. */
  readonly table: (rows: ReadonlyArray<ReadonlyArray<string>>) => void
  /** Everything written so far is out. */
  readonly flush: () => void
}

/** The daemon's own, for whoever has something to tell without a fiber to tell it from. */
export class Journal extends Context.Service<Journal, LogSink>()("olla/telemetry/Journal") {}

/** Cells as wide as the widest of their column. */
export const inColumns = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, n) => rows.reduce((widest, row) => Math.max(widest, row[n]?.length ?? 0), 0))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, n) => visible(cell).padEnd(widths[n] ?? 0))
          .join("  ")
          .trimEnd()}\n`
    )
    .join("")
}

const ranks: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** Milliseconds that lines of level debug and info wait for company. */
const lingering = 10
/** Characters that go out at once. */
const enough = 64 * 1024
export interface SinkOptions {
  readonly level: Level
  readonly form: LogForm
  readonly theme?: Theme
  readonly file?: LogFile | undefined
  /** Where whole lines go; standard output unless a test says otherwise. */
  readonly out?: (text: string) => void
  /** Epoch milliseconds. */
  readonly now?: () => number
}

/** What writes to standard output now; a process that ends without a word to anybody still says its last ones. */
let atExit: (() => void) | undefined

const flushAtExit = (flush: () => void): void => {
  if (atExit === undefined) process.on("exit", () => atExit?.())
  atExit = flush
}

type Emit = (level: Level, message: string, fields: Fields, detail: boolean, at: number, summary?: Summary) => void

/** Milliseconds until a log file that could not be written is tried again: a full disk is emptied some time. */
const fileRest = 60_000

interface Outputs extends LogSink {
  readonly emit: Emit
}

const outputs = (options: SinkOptions): Outputs => {
  const least = ranks[options.level]
  const { form, file } = options
  const theme = options.theme ?? themeOf(undefined)
  const now = options.now ?? Date.now
  const lost = (records: number) =>
    `${render("warn", "Standard output took no more for a while, and records were dropped", { records }, now())}\n`
  const writer: Writer = options.out === undefined ? standardOutput({ lost }) : { write: options.out, finish: () => {} }
  const json = form === "json"
  const detailed = json || file !== undefined
  let console = ""
  let filed = ""
  /** Not before this time is the file tried again; 0: it is well. */
  let fileRests = 0
  let timer: NodeJS.Timeout | NodeJS.Immediate | undefined
  let urgent = false

  const put = () => {
    if (timer !== undefined) {
      if (urgent) clearImmediate(timer as NodeJS.Immediate)
      else clearTimeout(timer as NodeJS.Timeout)
      timer = undefined
    }
    const [text, lines] = [console, filed]
    console = ""
    filed = ""
    if (lines !== "" && file !== undefined && now() >= fileRests) {
      try {
        file.write(lines)
        if (fileRests > 0) writer.write(`${render("info", "The log file is written again", {}, now())}\n`)
        fileRests = 0
      } catch (error) {
        if (fileRests === 0) writer.write(`${render("warn", "The log file cannot be written, going on without it", { error }, now())}\n`)
        fileRests = now() + fileRest
      }
    }
    if (text !== "") writer.write(text)
  }

  const render = (level: Level, message: string, fields: Fields, at: number): string =>
    json
      ? jsonLine(level, message, fields, at)
      : form === "text"
        ? textLine(level, message, fields, at)
        : prettyLine(level, message, fields, at, theme)

  const schedule = (level: Level) => {
    if (console.length + filed.length >= enough) {
      put()
      return
    }
    if (ranks[level] >= ranks.warn) {
      if (timer !== undefined && urgent) return
      if (timer !== undefined) clearTimeout(timer as NodeJS.Timeout)
      urgent = true
      timer = setImmediate(put)
    } else if (timer === undefined) {
      urgent = false
      timer = setTimeout(put, lingering)
    }
  }

  const emit: Emit = (level, message, fields, detail, at, summary) => {
    if (ranks[level] < least || (detail && !detailed)) return
    if (json) {
      const line = `${jsonLine(level, message, fields, at)}\n`
      console += line
      if (file !== undefined) filed += line
    } else {
      if (!detail)
        console +=
          summary !== undefined && form === "pretty"
            ? `${terminalLine(summary(), clockTime(at), theme, process.stdout.columns ?? 0)}\n`
            : `${render(level, message, fields, at)}\n`
      if (file !== undefined) filed += `${jsonLine(level, message, fields, at)}\n`
    }
    schedule(level)
  }

  const flush = () => {
    put()
    writer.finish()
  }
  if (options.out === undefined) flushAtExit(flush)

  return {
    enabled: (level, detail = false) => ranks[level] >= least && (!detail || detailed),
    emit,
    write: (level, message, fields = {}, detail = false, summary) => emit(level, message, fields, detail, now(), summary),
    filed: (level) => file !== undefined && ranks[level] >= least,
    file: (level, message, fields) => {
      if (file === undefined || ranks[level] < least) return
      filed += `${jsonLine(level, message, fields, now())}\n`
      schedule(level)
    },
    forPeople: !json,
    table: (rows) => {
      if (json || ranks.debug < least) return
      console += inColumns(rows)
      schedule("debug")
    },
    flush
  }
}

export const makeSink = (options: SinkOptions): LogSink => outputs(options)

/** A log that exists before the configuration does. */
export interface Log extends LogSink {
  /** The settings are known, for the first time or anew: what was held back comes out in this form. */
  readonly configure: (decision: LogDecision) => void
  /** There is no configuration: what was held back comes out in the bootstrap form. */
  readonly release: () => void
  /** Flushes, waits for rotated files and closes the file. */
  readonly close: () => Promise<void>
}

/** Records held back at most; a start writes a few. */
const mostHeld = 10_000

export interface LogOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isTerminal: boolean
  readonly out?: (text: string) => void
  readonly now?: () => number
}

export const makeLog = (options: LogOptions): Log => {
  const now = options.now ?? Date.now
  const held: Array<Parameters<Emit>> = []
  let file: LogFile | undefined
  let sink: Outputs | undefined

  const use = (decision: LogDecision) => {
    sink?.flush()
    file?.close()
    let problem: unknown
    file = undefined
    if (decision.file !== undefined) {
      try {
        file = new LogFile(decision.file)
      } catch (error) {
        problem = error
      }
    }
    const made = outputs({ ...decision, file, now, ...(options.out === undefined ? {} : { out: options.out }) })
    sink = made
    for (const record of held.splice(0)) made.emit(...record)
    if (problem !== undefined)
      made.write("warn", "The log file cannot be opened, going on without it", { folder: decision.file?.folder, error: problem })
  }

  return {
    enabled: (level, detail) => sink === undefined || sink.enabled(level, detail),
    write: (level, message, fields = {}, detail = false, summary) => {
      if (sink !== undefined) sink.write(level, message, fields, detail, summary)
      else if (held.length < mostHeld) held.push([level, message, fields, detail, now()])
    },
    filed: (level) => sink?.filed(level) === true,
    file: (level, message, fields) => sink?.file(level, message, fields),
    get forPeople() {
      return sink?.forPeople === true
    },
    table: (rows) => sink?.table(rows),
    configure: use,
    release: () => {
      if (sink === undefined) use(bootstrapLogging(options.env, options.isTerminal))
    },
    flush: () => sink?.flush(),
    close: async () => {
      sink?.flush()
      const closing = file
      file = undefined
      await closing?.settled()
      closing?.close()
    }
  }
}
