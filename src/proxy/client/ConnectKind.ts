/** Why there was no connection, by what the system said. */
import type { FailureKind } from "../../exchange/Failure.ts"

export const connectKind = (error: Error | undefined): FailureKind => {
  // Several addresses were tried, and the error of the last one is the one that was waited for longest.
  const last = error instanceof AggregateError ? error.errors.at(-1) : error
  switch ((last as NodeJS.ErrnoException | undefined)?.code) {
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
    // Out of descriptors: ours or the machine's shortage, and nothing about the backend.
    case "EMFILE":
    case "ENFILE":
      return "internal"
    default:
      return "refused"
  }
}
