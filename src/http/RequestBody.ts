/** Reads a request's body into memory, bounded, and shows each chunk to the inspector as it comes (proxying.md 1, 13). */
import type { BodyInspector } from "../routing/Inspecting.ts"
import type { RequestContext } from "./RequestContext.ts"

export interface Body {
  readonly chunks: ReadonlyArray<Buffer>
  readonly size: number
}

const none: Body = { chunks: [], size: 0 }

export type BodyProblem = "tooLarge" | "unreadable"

/** Declared by the client; -1 when it is not. */
export const declaredLength = (context: RequestContext): number => {
  const text = context.header("content-length")
  return text === "" ? -1 : Number(text)
}

export const hasBody = (context: RequestContext): boolean => {
  const length = declaredLength(context)
  return length > 0 || (length < 0 && context.header("transfer-encoding") !== "")
}

/** `done` or `failed` is called exactly once, unless the client is gone: then neither. */
export const readBody = (
  context: RequestContext,
  limit: number,
  inspector: BodyInspector | undefined,
  done: (body: Body) => void,
  failed: (problem: BodyProblem) => void
): void => {
  const { req, res } = context
  if (!hasBody(context)) {
    done(none)
    return
  }
  if (declaredLength(context) > limit) {
    failed("tooLarge")
    return
  }
  if (context.header("expect").toLowerCase() === "100-continue") res.writeContinue()
  const chunks: Array<Buffer> = []
  let size = 0
  let over = false
  req.on("data", (chunk: Buffer) => {
    if (over) return
    size += chunk.length
    if (size > limit) {
      over = true
      chunks.length = 0
      failed("tooLarge")
      return
    }
    chunks.push(chunk)
    inspector?.push(chunk)
  })
  req.on("end", () => {
    if (over) return
    over = true
    done({ chunks, size })
  })
  req.on("error", () => {
    if (over) return
    over = true
    failed("unreadable")
  })
}
