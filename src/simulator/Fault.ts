/** What can be wrong with a simulated server, and which requests it hits. */
import { type BackendKind, isInference, isListing, pathsOf } from "./Kind.ts"

/** A server that refuses connections is one that was killed: `kill()` and `restart()`. */
export type Fault =
  /** Accepts and never answers. */
  | { readonly _tag: "hang" }
  /** Drops the connection instead of answering. */
  | { readonly _tag: "reset" }
  /** A refusal: 503, 429 with `Retry-After`, ...; milliseconds until it comes. */
  | { readonly _tag: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly delay?: number }
  /** 200 and its headers, then a reset before the first byte of the body: the front lives, what computes behind it is dead. */
  | { readonly _tag: "headOnly" }
  /** The body in ever so small pieces, with this many milliseconds before each. */
  | { readonly _tag: "trickle"; readonly every: number }
  /** A prompt with this text in it ends the server, as `kill()` does; it is back after this many milliseconds, or never. */
  | { readonly _tag: "poison"; readonly text: string; readonly back?: number }
  /** Milliseconds before the response headers. */
  | { readonly _tag: "slowHeaders"; readonly delay: number }
  /** Milliseconds between headers and the first token. */
  | { readonly _tag: "slowFirstToken"; readonly delay: number }
  /** Drops the connection after this many chunks of a stream, or in the middle of a whole answer. */
  | { readonly _tag: "cut"; readonly after: number }
  /** Falls silent after this many chunks, or in the middle of a whole answer. */
  | { readonly _tag: "stall"; readonly after: number }
  /** A stream, or a whole answer, that goes on for ever. */
  | { readonly _tag: "endless" }
  | { readonly _tag: "contentType"; readonly value: string }
  /** This body with 200 instead of the right one: malformed, truncated or foreign. */
  | { readonly _tag: "body"; readonly body: string; readonly contentType?: string }
  /** These bytes instead of HTTP. */
  | { readonly _tag: "garbage"; readonly bytes: string }

/** `true` stands for everything, `false` for inference. */
export type FaultScope = boolean | "inference" | "listing" | "health" | "everything"

/** Does a fault of this scope meet a request for this path? */
export const meets = (scope: FaultScope, kind: BackendKind, path: string): boolean => {
  switch (scope) {
    case true:
    case "everything":
      return true
    case "listing":
      return isListing(kind, path)
    case "health":
      return path === pathsOf[kind].health
    default:
      return isInference(path)
  }
}
