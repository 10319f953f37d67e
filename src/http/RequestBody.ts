/** Reads a request's body into memory, bounded, and shows each chunk to the inspector as it comes (proxying.md 1, 13). */
import type { Guard } from "../guard/Guard.ts"
import type { BodyInspector } from "../routing/Inspecting.ts"
import { type RequestContext, tolerated } from "./RequestContext.ts"

export interface Body {
  readonly chunks: ReadonlyArray<Buffer>
  readonly size: number
}

const none: Body = { chunks: [], size: 0 }

export type BodyProblem = "tooLarge" | "unreadable" | "tooSlow"

/** Under this key a request whose body is awaited takes the listener's word that nothing good will come any more. */
export const broken = Symbol("olla/http/broken")

export interface AwaitedRequest {
  [broken]?: (problem: "unreadable" | "tooSlow") => void
}

/** Chunks from this size on are memory of their own outside the heap, in bytes. */
const ownMemory = 16 * 1024

/**
 * Gives a body's memory back at once. Left to the collector, it is prompts that fill the limit of memory outside the heap, and
 * V8 answers each time with a full collection: of a 400 KB prompt that is most of the cost. Only when nobody reads it any more.
 */
export const releaseBody = (body: Body): void => {
  for (const { buffer, length } of body.chunks)
    if (length >= ownMemory && length === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** Declared by the client; -1 when it is not. */
export const declaredLength = (context: RequestContext): number => {
  const text = context.header("content-length")
  return text === "" ? -1 : Number(text)
}

export const hasBody = (context: RequestContext): boolean => {
  const length = declaredLength(context)
  return length > 0 || (length < 0 && context.header("transfer-encoding") !== "")
}

/** Tells a client that waits for leave to send its body. */
const invite = (context: RequestContext): void => {
  if (context.header("expect").toLowerCase() !== "100-continue") return
  context.res.writeContinue()
  context.invited = true
}

/**
 * For routes that are answered here and want no body: it must keep the limits, and a short one is read away before the
 * answer, so that nothing of it is taken for the next request. A longer one is not waited for: the connection ends with
 * the answer.
 */
export const discardBody = (guard: Guard["Service"], context: RequestContext, answer: () => void): void => {
  const { req, exchange } = context
  const over = guard.oversized(exchange, req.rawHeaders)
  if (over !== undefined) {
    context.refuseUpload(over === "body" ? "tooLarge" : "headersTooLarge")
    return
  }
  if (!hasBody(context) || declaredLength(context) > tolerated) {
    answer()
    return
  }
  const limit = guard.maxBodySize()
  const most = Math.min(limit, tolerated)
  let size = 0
  let answered = false
  invite(context)
  req.on("data", (chunk: Buffer) => {
    size += chunk.length
    if (answered || size <= most) return
    answered = true
    if (size <= limit) context.guarded(answer)
    else {
      guard.bodyOverflow(exchange, size)
      context.refuseUpload("tooLarge")
    }
  })
  req.on("end", () => {
    if (answered) return
    answered = true
    context.guarded(answer)
  })
  const fail = (problem: "unreadable" | "tooSlow") => {
    if (answered) return
    answered = true
    context.refuseUpload(problem)
  }
  ;(req as AwaitedRequest)[broken] = fail
  req.on("error", () => fail("unreadable"))
}

/** `done` or `failed` is called exactly once, unless the client is gone: then neither. */
export const readBody = (
  context: RequestContext,
  limit: number,
  inspector: BodyInspector | undefined,
  done: (body: Body) => void,
  failed: (problem: BodyProblem) => void
): void => {
  const { req } = context
  if (!hasBody(context)) {
    done(none)
    return
  }
  if (declaredLength(context) > limit) {
    failed("tooLarge")
    return
  }
  invite(context)
  const chunks: Array<Buffer> = []
  let size = 0
  let over = false
  req.on("data", (chunk: Buffer) => {
    if (over) return
    size += chunk.length
    if (size > limit) {
      over = true
      chunks.length = 0
      context.guarded(() => failed("tooLarge"))
      return
    }
    chunks.push(chunk)
    inspector?.push(chunk)
  })
  req.on("end", () => {
    if (over) return
    over = true
    context.guarded(() => done({ chunks, size }))
  })
  const fail = (problem: "unreadable" | "tooSlow") => {
    if (over) return
    over = true
    chunks.length = 0
    context.guarded(() => failed(problem))
  }
  ;(req as AwaitedRequest)[broken] = fail
  req.on("error", () => fail("unreadable"))
}
