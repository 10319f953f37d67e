/**
 * What node's parser lets through and a server must not (RFC 9112 2.3, 3.2, 6.1; RFC 9110 10.1.1): requests without a
 * version or, in HTTP/1.1, without `Host`, a `Host` twice or with something in it that no host has, codings that would be taken for the body's own bytes.
 */
import type { IncomingMessage } from "node:http"
import type { ErrorName } from "./ErrorTable.ts"

const host = /^[A-Za-z0-9!$%&'()*+,\-.:;=[\]_~]*$/

/** Nearly every client comes with the same one. */
let lastGood = ""

const isHost = (value: string): boolean => {
  if (value === lastGood) return true
  if (!host.test(value)) return false
  lastGood = value
  return true
}

/** `undefined`: nothing is wrong. */
export const headProblem = (req: Pick<IncomingMessage, "httpVersionMajor" | "httpVersionMinor" | "rawHeaders">): ErrorName | undefined => {
  if (req.httpVersionMajor !== 1) return "badVersion"
  const raw = req.rawHeaders
  let hosts = 0
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    // Compared by length first: only these three are looked at.
    if (name.length === 4) {
      if (name.toLowerCase() === "host" && (++hosts > 1 || !isHost(raw[i + 1] as string))) return "badHost"
    } else if (name.length === 6) {
      if (name.toLowerCase() === "expect" && (raw[i + 1] as string).toLowerCase() !== "100-continue") return "badExpectation"
    } else if (name.length === 17) {
      if (name.toLowerCase() === "transfer-encoding" && (raw[i + 1] as string).toLowerCase() !== "chunked") return "unknownCoding"
    }
  }
  return hosts === 0 && req.httpVersionMinor === 1 ? "noHost" : undefined
}
