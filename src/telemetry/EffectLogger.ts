/**
 * Effect's log records into the sink: the words of the message, the fields of objects in it, then annotations. An
 * annotation `detail` marks a record that is not for people's consoles.
 */
import * as Cause from "effect/Cause"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import type { Level, LogSink } from "./LogSink.ts"

const levels: Readonly<Record<string, Level>> = {
  Fatal: "error",
  Error: "error",
  Warn: "warn",
  Info: "info",
  Debug: "debug",
  Trace: "debug"
}

const isFields = (part: unknown): part is Readonly<Record<string, unknown>> =>
  typeof part === "object" && part !== null && Object.getPrototypeOf(part) === Object.prototype

const bridge = (sink: LogSink): Logger.Logger<unknown, void> =>
  Logger.make(({ message, logLevel, cause, fiber }) => {
    const level = levels[logLevel] ?? "info"
    const { detail, ...annotations } = fiber.getRef(References.CurrentLogAnnotations)
    const isDetail = detail === true
    if (!sink.enabled(level, isDetail)) return
    const fields: Record<string, unknown> = {}
    const words: Array<string> = []
    for (const part of Array.isArray(message) ? message : [message]) {
      if (isFields(part)) Object.assign(fields, part)
      else if (Cause.isCause(part)) fields["error"] = Cause.pretty(part)
      else if (part instanceof Error) fields["error"] = part
      else words.push(typeof part === "string" ? part : String(part))
    }
    Object.assign(fields, annotations)
    if (cause.reasons.length > 0) fields["error"] ??= Cause.pretty(cause)
    sink.write(level, words.join(" "), fields, isDetail)
  })

/** The level is the sink's affair, which a reload may change: everything is handed to it. */
export const layer = (sink: LogSink): Layer.Layer<never> =>
  Layer.merge(Logger.layer([bridge(sink)]), Layer.succeed(References.MinimumLogLevel, "Debug"))
