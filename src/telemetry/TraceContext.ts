/** W3C trace context, as far as the log needs it. */

const version00 = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/
const zero = "0".repeat(32)

/** Trace id of a valid `traceparent`; empty otherwise. */
export const traceIdOf = (traceparent: string): string => {
  if (traceparent === "") return ""
  const match = version00.exec(traceparent)
  if (match === null || traceparent.startsWith("ff-")) return ""
  const [, trace = "", parent = ""] = match
  return trace === zero || parent === "0".repeat(16) ? "" : trace
}
