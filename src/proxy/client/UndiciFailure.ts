/** What undici's errors are among the kinds of failure. */
import { type Failure, type FailureKind, failure } from "../../exchange/Failure.ts"
import { DialError } from "./Dialing.ts"
import { headTooLarge } from "./ResponseHead.ts"

const malformed = new Set(["UND_ERR_RES_CONTENT_LENGTH_MISMATCH"])
/** undici has no codes for these: an upgrade, and bytes that nobody asked for. */
const badAnswer = new Set(["bad upgrade", "bad response"])
const resets = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"])

/** `answered`: the answer's head had come, and was good. */
export const undiciFailure = (error: NodeJS.ErrnoException, answered: boolean): Failure => {
  if (error instanceof DialError) return error.failure
  const { code = "" } = error
  const said = `${code === "" ? error.name : code}: ${error.message}`
  if (answered) return failure("truncated", `the backend broke off in the middle of its answer (${said})`)
  if (code === "UND_ERR_HEADERS_OVERFLOW") return failure("malformed", headTooLarge)
  if (malformed.has(code) || code.startsWith("HPE_") || error.name === "HTTPParserError" || badAnswer.has(error.message))
    return failure("malformed", `the response is not HTTP (${said})`)
  if (code === "UND_ERR_SOCKET") return failure("closed", `connection closed (${said})`)
  if (resets.has(code)) return failure("reset", `connection reset (${said})`)
  const kind: FailureKind = code.startsWith("UND_ERR_") || code.startsWith("ERR_") ? "internal" : "closed"
  return failure(kind, said)
}
