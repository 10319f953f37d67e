/** Why there was no connection, by what the system said. */
import { isForWantOfDescriptors } from "../../endpoint/Descriptors.ts"
import type { FailureKind } from "../../exchange/Failure.ts"

export const connectKind = (error: Error | undefined): FailureKind => {
  // Several addresses were tried, and the error of the last one is the one that was waited for longest.
  const last = error instanceof AggregateError ? error.errors.at(-1) : error
  const { code = "" } = (last ?? {}) as NodeJS.ErrnoException
  if (isForWantOfDescriptors(code)) return "descriptors"
  switch (code) {
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EAI_FAIL":
    case "EAI_NODATA":
      return "dns"
    case "ETIMEDOUT":
      return "connect_timeout"
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
    case "ENETDOWN":
    case "EHOSTDOWN":
      return "unreachable"
    default:
      return "refused"
  }
}
