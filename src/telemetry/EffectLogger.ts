/** Effect's log records into the sink: the message, then the fields of a trailing object, then annotations. */
import * as Cause from "effect/Cause"
import type * as Layer from "effect/Layer"
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

export const layer = (sink: LogSink): Layer.Layer<never> =>
  Logger.layer([
    Logger.make<unknown, void>(({ message, logLevel, cause, fiber }) => {
      const level = levels[logLevel] ?? "info"
      if (!sink.enabled(level)) return
      const parts = Array.isArray(message) ? message : [message]
      const fields: Record<string, unknown> = {}
      const words: Array<string> = []
      for (const part of parts) {
        if (typeof part === "object" && part !== null && !(part instanceof Error)) Object.assign(fields, part)
        else words.push(part instanceof Error ? part.message : String(part))
      }
      Object.assign(fields, fiber.getRef(References.CurrentLogAnnotations))
      if (cause.reasons.length > 0) fields["cause"] = Cause.pretty(cause)
      sink.write(level, words.join(" "), fields)
    })
  ])
