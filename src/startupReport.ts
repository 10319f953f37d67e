/** What a start says about its configuration: remarks as log records, and why it cannot go on. */
import { type Diagnostic, placeOf, render, textOf } from "./config/Diagnostic.ts"
import type { LogSink } from "./telemetry/LogSink.ts"

/** Everything that does not end the start. */
export const reportRemarks = (sink: LogSink, diagnostics: ReadonlyArray<Diagnostic>): void => {
  for (const { severity, message, path, line, suggestion, fields } of diagnostics)
    if (severity !== "error") sink.write(severity === "warning" ? "warn" : "info", message, { key: path, line, suggestion, ...fields })
}

/** The step of the start that the problems end, as its record names it, and what stands before them there. */
const stepOf = (problems: ReadonlyArray<Diagnostic>): { readonly message: string; readonly prefix: string } => {
  const areAllOf = (section: string) => problems.every(({ path, parsing }) => path?.startsWith(section) === true && parsing === undefined)
  if (areAllOf("model_aliases")) return { message: "Invalid model alias configuration", prefix: "" }
  if (areAllOf("discovery.static.endpoints"))
    return {
      message: "Failed to create and start service manager",
      prefix: "failed to start services: failed to start service discovery: failed to load endpoints from config: "
    }
  return { message: "Failed to load configuration", prefix: "" }
}

/**
 * All of them in one record, each on a line of its own; a person at a terminal gets them as a list instead of one long line.
 * `list` writes to that person, `undefined` where nobody watches.
 */
export const reportFatal = (sink: LogSink, problems: ReadonlyArray<Diagnostic>, list: ((text: string) => void) | undefined): void => {
  const { message, prefix } = stepOf(problems)
  if (list === undefined) sink.write("error", message, { error: prefix + problems.map(render).join("\n") })
  else sink.write("error", message, { problems: problems.length })
  sink.flush()
  list?.(`\n${problems.map((problem) => `${placeOf(problem)}${textOf(problem)}\n`).join("")}`)
}
