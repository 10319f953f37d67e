/** Headers that belong to one connection or to one message on it: whoever sends a message makes its own. In lower case. */

/** About the connection, not about what is said on it: never passed on. */
export const connectionHeaders: ReadonlyArray<string> = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
]

/** Of a request: what nobody but its sender may set. */
export const sendersOwn: ReadonlySet<string> = new Set([...connectionHeaders, "content-length", "expect", "host"])
