/**
 * The load generator, in its own process. One job on standard input as a line of JSON, one result on standard output.
 * Raw sockets with keep-alive: it must cost less than what it measures.
 */
import { connect, type Socket } from "node:net"
import { createInterface } from "node:readline"

export interface Job {
  readonly port: number
  readonly path: string
  readonly kind: "requests" | "streams"
  /** What the client speaks: decides its body and how it knows a token. */
  readonly speaks?: "chat" | "messages"
  /** The model to ask for. */
  readonly model?: string
  /** Parallel connections. */
  readonly parallel: number
  /** Requests in all; for streams one each. */
  readonly count: number
  /** Bytes of the prompt. */
  readonly size: number
  readonly tokens: number
  /** Milliseconds between tokens. */
  readonly every: number
}

export interface Result {
  readonly done: number
  readonly failed: number
  readonly tokens: number
  readonly millis: number
  /** Latency of requests, or gaps between the tokens of a stream, in milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly max: number
}

const bodyOf = (job: Job): Buffer => {
  const head = `{"model":"${job.model ?? "test-model"}",${job.speaks === "messages" ? '"max_tokens":1024,' : ""}"messages":[{"role":"user","content":"`
  const tail = `"}],"stream":${job.kind === "streams"}}`
  return Buffer.from(
    head + "lorem ipsum dolor sit amet ".repeat(Math.ceil(job.size / 27)).slice(0, Math.max(0, job.size - head.length - tail.length)) + tail
  )
}

const requestOf = (job: Job): Buffer => {
  const body = bodyOf(job)
  const timing = job.kind === "streams" ? `x-tokens: ${job.tokens}\r\nx-every: ${job.every}\r\n` : ""
  return Buffer.concat([
    Buffer.from(
      `POST ${job.path} HTTP/1.1\r\nHost: 127.0.0.1:${job.port}\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Type: application/json\r\nAuthorization: Bearer sk-test\r\n${timing}Content-Length: ${body.length}\r\n\r\n`
    ),
    body
  ])
}

const run = async (job: Job): Promise<Result> => {
  const request = requestOf(job)
  const token = job.speaks === "messages" ? '"text":" token"' : '"content":" token"'
  const samples: Array<number> = []
  let failed = 0
  let done = 0
  let tokens = 0
  let left = job.count
  const started = performance.now()
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket: Socket = connect({ port: job.port, host: "127.0.0.1", noDelay: true })
      let text = ""
      let sentAt = 0
      let lastAt = 0
      let need = -1
      const next = () => {
        if (left <= 0) {
          socket.destroy()
          resolve()
          return
        }
        left--
        text = ""
        need = -1
        sentAt = performance.now()
        lastAt = 0
        socket.write(request)
      }
      const finished = (good: boolean) => {
        done++
        if (!good) failed++
        if (job.kind === "requests") samples.push(performance.now() - sentAt)
        next()
      }
      socket.on("connect", next)
      socket.on("data", (chunk: Buffer) => {
        if (job.kind === "streams") {
          const now = performance.now()
          const part = chunk.toString("latin1")
          const here = part.split(token).length - 1
          if (here > 0) {
            tokens += here
            if (lastAt > 0) samples.push(now - lastAt)
            lastAt = now
          }
          text = (text + part).slice(-64)
          if (text.endsWith("\r\n0\r\n\r\n")) finished(true)
          return
        }
        text += chunk.toString("latin1")
        if (need < 0) {
          const end = text.indexOf("\r\n\r\n")
          if (end < 0) return
          const length = /content-length: (\d+)/i.exec(text.slice(0, end))
          need = end + 4 + Number(length?.[1] ?? 0)
        }
        if (text.length >= need) finished(text.startsWith("HTTP/1.1 200"))
      })
      socket.on("error", () => {
        failed++
        resolve()
      })
      socket.on("close", () => resolve())
    })
  await Promise.all(Array.from({ length: job.parallel }, one))
  samples.sort((a, b) => a - b)
  const at = (p: number) => samples[Math.min(samples.length - 1, Math.floor(samples.length * p))] ?? 0
  return { done, failed, tokens, millis: performance.now() - started, p50: at(0.5), p99: at(0.99), max: samples.at(-1) ?? 0 }
}

if (import.meta.main) {
  const lines = createInterface({ input: process.stdin })
  lines.on("line", async (line) => process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as Job))}\n`))
  lines.on("close", () => process.exit(0))
}
