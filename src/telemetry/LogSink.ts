/**
 * Where log records go, in which form, from which level on (configuration.md 8). Synchronous: a record is put together
 * only when its level is on, and lines of one turn of the loop go out in one write.
 */
import { writeSync } from "node:fs"
import { formatDuration } from "../config/Duration.ts"

export type Level = "debug" | "info" | "warn" | "error"

const ranks: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

export type LogForm = "json" | "text" | "pretty"

/** A duration in a record: nanoseconds in JSON, `1m30s` in text. */
export class LogDuration {
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
}

export type Fields = Readonly<Record<string, unknown>>

export interface LogSink {
  /** Ask before building a record. */
  readonly enabled: (level: Level) => boolean
  /** `detail`: for JSON outputs only, never for people's consoles. */
  readonly write: (level: Level, message: string, fields?: Fields, detail?: boolean) => void
  /** Everything written so far is out. */
  readonly flush: () => void
}

const pad = (n: number, width = 2): string => String(n).padStart(width, "0")

const localStamp = (at: Date): string =>
  `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`

const zonedStamp = (at: Date): string => {
  const offset = -at.getTimezoneOffset()
  const zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${pad(Math.floor(Math.abs(offset) / 60))}:${pad(Math.abs(offset) % 60)}`
  return `${localStamp(at).replace(" ", "T")}.${pad(at.getMilliseconds(), 3)}${zone}`
}

const jsonValue = (value: unknown): unknown => {
  if (value instanceof LogDuration) return Math.round(value.millis * 1e6)
  if (value instanceof Error) return value.message
  return value
}

export const jsonLine = (level: Level, message: string, fields: Fields, at: Date): string => {
  const record: Record<string, unknown> = { timestamp: localStamp(at), level: level.toUpperCase(), msg: message }
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) record[key] = jsonValue(value)
  return JSON.stringify(record)
}

const plainText = (value: unknown): string => {
  if (value instanceof LogDuration) return formatDuration(Math.round(value.millis * 1000) / 1000)
  if (value instanceof Error) return value.message
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)
}

/** Quoted where a reader could not tell where it ends; control characters never reach a terminal. */
const quoted = (text: string): string => (/^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text))

export const textLine = (level: Level, message: string, fields: Fields, at: Date): string => {
  let line = `time=${zonedStamp(at)} level=${level.toUpperCase()} msg=${quoted(message)}`
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) line += ` ${key}=${quoted(plainText(value))}`
  return line
}

const colours: Readonly<Record<Level, string>> = { debug: "\u001b[90m", info: "\u001b[36m", warn: "\u001b[33m", error: "\u001b[31m" }
const dim = "\u001b[90m"
const reset = "\u001b[0m"

export const prettyLine = (level: Level, message: string, fields: Fields, at: Date): string => {
  let line = `${dim}${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}${reset} ${colours[level]}${level.toUpperCase().padEnd(5)}${reset} ${message.replace(/\p{Cc}/gu, " ")}`
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) line += ` ${dim}${key}=${reset}${quoted(plainText(value))}`
  return line
}

export interface SinkOptions {
  readonly level: Level
  readonly form: LogForm
  /** Where whole lines go; standard output unless a test says otherwise. */
  readonly out?: (text: string) => void
  readonly now?: () => Date
}

const toStdout = (text: string): void => {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at)
    } catch (error) {
      // A pipe that is full for the moment is waited for; one that is gone is no reason to die.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}

export const makeSink = (options: SinkOptions): LogSink => {
  const least = ranks[options.level]
  const out = options.out ?? toStdout
  const now = options.now ?? (() => new Date())
  const render = options.form === "json" ? jsonLine : options.form === "text" ? textLine : prettyLine
  let pending = ""
  let scheduled = false
  const flush = () => {
    scheduled = false
    if (pending === "") return
    const text = pending
    pending = ""
    out(text)
  }
  return {
    enabled: (level) => ranks[level] >= least,
    write: (level, message, fields = {}, detail = false) => {
      if (ranks[level] < least || (detail && options.form !== "json")) return
      pending += `${render(level, message, fields, now())}\n`
      if (scheduled) return
      scheduled = true
      setImmediate(flush)
    },
    flush
  }
}
