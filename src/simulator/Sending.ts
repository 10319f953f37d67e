/** Sends a reply with the pace of a model, and with the fault that it is to have. */
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Fault } from "./Fault.ts"
import type { BackendKind } from "./Kind.ts"
import type { Reply } from "./Replies.ts"

export interface Pace {
  /** Milliseconds from headers to first token. */
  readonly firstToken: number
  /** 0: all at once. */
  readonly tokensPerSecond: number
  readonly tokens: number
}

/** Faults that are a whole answer by themselves. True: that was it. */
export const misbehave = (fault: Fault, req: IncomingMessage, res: ServerResponse): boolean => {
  switch (fault._tag) {
    case "hang":
      return true
    case "reset":
      req.socket.resetAndDestroy()
      return true
    case "garbage":
      req.socket.end(fault.bytes)
      return true
    case "status": {
      const refuse = () => {
        res.writeHead(fault.status, { "content-type": "application/json", ...fault.headers })
        res.end(JSON.stringify({ error: { message: `simulated ${fault.status}`, type: "simulated", code: fault.status } }))
      }
      if (fault.delay === undefined) refuse()
      else setTimeout(refuse, fault.delay)
      return true
    }
    case "headOnly":
      res.writeHead(200, { "content-type": "text/event-stream" })
      res.flushHeaders()
      setTimeout(() => req.socket.resetAndDestroy(), 2)
      return true
    case "body":
      res.writeHead(200, { "content-type": fault.contentType ?? "application/json", "content-length": Buffer.byteLength(fault.body) })
      res.end(fault.body)
      return true
    default:
      return false
  }
}

/** Headers that a kind puts on every answer. */
const own: Readonly<Partial<Record<BackendKind, Readonly<Record<string, string>>>>> = {
  llamacpp: { server: "llama.cpp" },
  litellm: { "x-litellm-version": "1.106.2" },
  vllm: { server: "uvicorn" }
}

export const send = (kind: BackendKind, res: ServerResponse, reply: Reply, pace: Pace, fault: Fault | undefined): void => {
  if (reply._tag === "whole") sendWhole(kind, res, reply, pace, fault)
  else sendStream(kind, res, reply, pace, fault)
}

const sendWhole = (
  kind: BackendKind,
  res: ServerResponse,
  reply: Extract<Reply, { readonly _tag: "whole" }>,
  pace: Pace,
  fault: Fault | undefined
): void => {
  const isText = typeof reply.document === "string" && kind !== "litellm"
  const body = isText ? String(reply.document) : JSON.stringify(reply.document)
  const type = fault?._tag === "contentType" ? fault.value : isText ? "text/plain; charset=utf-8" : "application/json"
  const go = () => {
    if (res.destroyed) return
    if (fault?._tag === "trickle") {
      res.writeHead(reply.status, { "content-type": type, "content-length": Buffer.byteLength(body), ...own[kind] })
      const size = Math.ceil(body.length / trickles)
      trickle(
        res,
        Array.from({ length: trickles }, (_, i) => body.slice(i * size, (i + 1) * size)),
        fault.every
      )
      return
    }
    if (fault?._tag === "endless") {
      res.writeHead(reply.status, { "content-type": type, ...own[kind] })
      res.write(body.slice(0, body.length >> 1))
      flood(res)
      return
    }
    res.writeHead(reply.status, { "content-type": type, "content-length": Buffer.byteLength(body), ...own[kind] })
    if (fault?._tag === "cut") {
      res.write(body.slice(0, body.length >> 1))
      setImmediate(() => res.socket?.destroy())
    } else if (fault?._tag === "stall") res.write(body.slice(0, body.length >> 1))
    else res.end(body)
  }
  const working = reply.work ? pace.firstToken + (pace.tokensPerSecond > 0 ? (pace.tokens * 1000) / pace.tokensPerSecond : 0) : 0
  const delay = working + (fault?._tag === "slowFirstToken" ? fault.delay : 0)
  if (delay > 0) setTimeout(go, delay)
  else go()
}

/** Pieces of a whole answer that trickles. */
const trickles = 40

const trickle = (res: ServerResponse, pieces: ReadonlyArray<string>, every: number): void => {
  let at = 0
  const timer = setInterval(() => {
    const piece = pieces[at++]
    if (piece === undefined || res.destroyed) clearInterval(timer)
    else if (at === pieces.length) res.end(piece)
    else res.write(piece)
  }, every)
  res.once("close", () => clearInterval(timer))
}

const filler = Buffer.alloc(64 * 1024, " ")

/** As much as the other side takes, until it goes away. */
const flood = (res: ServerResponse): void => {
  const more = () => {
    while (!res.destroyed && res.write(filler));
  }
  res.on("drain", more)
  more()
}

/** Kinds whose head is out before their model has written anything; the others send it with the first token. */
export const headComesFirst: ReadonlySet<BackendKind> = new Set(["vllm", "vllm-mlx", "sglang", "lmdeploy", "litellm"])

/** Of a stream; once. */
export const sendHead = (kind: BackendKind, res: ServerResponse, type: string): void => {
  if (res.headersSent) return
  res.writeHead(200, { "content-type": type, "cache-control": "no-cache", ...own[kind] })
  res.flushHeaders()
}

const sendStream = (
  kind: BackendKind,
  res: ServerResponse,
  { events, contentType }: Extract<Reply, { readonly _tag: "stream" }>,
  pace: Pace,
  fault: Fault | undefined
): void => {
  const type = fault?._tag === "contentType" ? fault.value : contentType
  sendHead(kind, res, type)
  if (fault?._tag === "trickle") {
    trickle(res, events, fault.every)
    return
  }
  const rate = pace.tokensPerSecond
  const breaks = fault?._tag === "cut" || fault?._tag === "stall" ? fault : undefined
  let at = 0
  /** False: it is over. */
  const step = (): boolean => {
    if (res.destroyed) return false
    if (breaks !== undefined && at >= breaks.after) {
      if (breaks._tag === "cut") res.socket?.destroy()
      return false
    }
    const event = fault?._tag === "endless" ? events[at % Math.max(1, events.length - 2)] : events[at]
    at++
    if (event === undefined) {
      res.end()
      return false
    }
    // Servers end with their last event: clients hang up at it, and would count as gone before the end.
    if (at === events.length && breaks === undefined && fault?._tag !== "endless") {
      res.end(event)
      return false
    }
    res.write(event)
    return true
  }
  const run = () => {
    if (rate === 0 && breaks === undefined && fault?._tag !== "endless") {
      res.end(events.join(""))
      return
    }
    const timer = setInterval(
      () => {
        if (!step()) clearInterval(timer)
      },
      rate > 0 ? 1000 / rate : 2
    )
    res.once("close", () => clearInterval(timer))
    if (!step()) clearInterval(timer)
  }
  const delay = pace.firstToken + (fault?._tag === "slowFirstToken" ? fault.delay : 0)
  if (delay > 0) setTimeout(run, delay)
  else run()
}
