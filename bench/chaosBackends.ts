/**
 * Four backends that refuse, hang, reset, close, cut, slow down and come back at random, two of them within TLS. Each answer says whose
 * it is, so that a client can tell an answer put together from two; what was answered and what was harmed is told at the end. A third of
 * the answers is delimited by the connection's end alone.
 */
import { readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { createServer as createSecure } from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"

export type Mode = "fine" | "slow" | "cut" | "refuse" | "hang" | "reset" | "close"

export type ToParent =
  | { readonly _tag: "ready"; readonly urls: ReadonlyArray<string> }
  | { readonly _tag: "mode"; readonly backend: number; readonly mode: Mode; readonly at: number }
  | { readonly _tag: "report"; readonly answered: ReadonlyArray<string>; readonly harmed: ReadonlyArray<string> }

export type FromParent = "begin" | "calm" | "report"

const weights: ReadonlyArray<readonly [Mode, number]> = [
  ["slow", 20],
  ["cut", 20],
  ["refuse", 20],
  ["hang", 12],
  ["reset", 14],
  ["close", 14]
]

const draw = (): Mode => {
  let at = Math.random() * weights.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [mode, weight] of weights) {
    at -= weight
    if (at < 0) return mode
  }
  return "fine"
}

/** The whole text of an answer. */
export const textOf = (id: string, backend: string, tokens: number): string => {
  let text = ""
  for (let i = 0; i <= tokens; i++) text += tokenOf(id, backend, i, tokens)
  return text
}

export const tokenOf = (id: string, backend: string, i: number, tokens: number): string =>
  i < tokens ? `data: ${id} ${backend} ${i}\n\n` : `data: ${id} ${backend} end\n\n`

const wholeOf = (id: string, backend: string): string => JSON.stringify({ id, backend, text: `${id} by ${backend} `.repeat(60) })

export const isWhole = (text: string, id: string, backend: string): boolean => text === wholeOf(id, backend)

const listing = JSON.stringify({ object: "list", data: [{ id: "test-model", object: "model" }] })

/** The tests' authority, and what it has signed for `backend.test`. */
export const certificates = join(import.meta.dirname, "..", "test", "endpoint", "tls")

class ChaosBackend {
  readonly name: string
  readonly #secure: boolean
  readonly answered: Array<string> = []
  readonly harmed: Array<string> = []
  readonly #index: number
  readonly #sockets = new Set<Socket>()
  readonly #open = new Map<ServerResponse, string>()
  #server: Server | undefined
  #mode: Mode = "fine"
  #timer: NodeJS.Timeout | undefined
  port = 0

  constructor(index: number) {
    this.#index = index
    this.#secure = index >= 2
    this.name = `b${index}`
  }

  get url(): string {
    return `${this.#secure ? "https" : "http"}://127.0.0.1:${this.port}`
  }

  listen(): Promise<void> {
    const options = { noDelay: true, keepAliveTimeout: 5_000 }
    const serve = (req: IncomingMessage, res: ServerResponse) => this.#serve(req, res)
    const pem = (file: string) => readFileSync(join(certificates, file))
    const server = this.#secure
      ? createSecure({ ...options, cert: pem("server.pem"), key: pem("server.key") }, serve)
      : createServer(options, serve)
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => this.#sockets.delete(socket))
    })
    this.#server = server
    return new Promise((resolve) =>
      server.listen(this.port, "127.0.0.1", 1024, () => {
        this.port = (server.address() as AddressInfo).port
        resolve()
      })
    )
  }

  async become(mode: Mode): Promise<void> {
    if (mode === "refuse" && this.#mode !== "refuse") {
      // Told before it happens, as coming back is told after it has.
      tell({ _tag: "mode", backend: this.#index, mode, at: Date.now() })
      for (const id of this.#open.values()) this.harmed.push(`${id} ${this.name}`)
      this.#open.clear()
      this.#server?.close()
      // A plain close could pass for the good end of an answer that the connection delimits.
      for (const socket of this.#sockets) socket.resetAndDestroy()
    }
    if (mode !== "refuse" && this.#mode === "refuse") await this.listen()
    this.#mode = mode
    tell({ _tag: "mode", backend: this.#index, mode, at: Date.now() })
  }

  begin(): void {
    const fault = () => {
      void this.become(draw())
      this.#timer = setTimeout(back, 300 + Math.random() * 2_500)
    }
    const back = () => {
      void this.become("fine")
      this.#timer = setTimeout(fault, 1_500 + Math.random() * 8_000)
    }
    this.#timer = setTimeout(fault, Math.random() * 4_000)
  }

  async calm(): Promise<void> {
    clearTimeout(this.#timer)
    await this.become("fine")
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const id = String(req.headers["x-chaos-id"] ?? "")
    const tokens = Number(req.headers["x-tokens"] ?? 0)
    const mode = this.#mode
    res.on("error", () => {})
    req.on("error", () => {})
    req.resume()
    req.on("end", () => {
      if (mode === "hang" || mode === "refuse") return
      if (mode === "reset") {
        this.#rawOf(req.socket)?.resetAndDestroy()
        return
      }
      if (mode === "close") {
        req.socket.end()
        return
      }
      if (req.method === "GET") {
        res.writeHead(200, { "content-type": "application/json" }).end(listing)
        return
      }
      // Then node announces neither a length nor chunks.
      if (Math.random() < 1 / 3) res.useChunkedEncodingByDefault = false
      this.#open.set(res, id)
      res.on("close", () => this.#open.delete(res))
      if (tokens === 0) this.#whole(res, id, mode)
      else this.#stream(res, id, tokens, mode)
    })
  }

  #whole(res: ServerResponse, id: string, mode: Mode): void {
    const body = wholeOf(id, this.name)
    const timer = setTimeout(
      () => {
        if (!this.#open.has(res)) return
        const length = res.useChunkedEncodingByDefault ? { "content-length": body.length } : {}
        res.writeHead(200, { "content-type": "application/json", ...length })
        if (mode === "cut") {
          this.#harm(res, id, () => res.write(body.slice(0, 300)))
          return
        }
        this.answered.push(id)
        this.#open.delete(res)
        res.end(body)
      },
      5 + Math.random() * (mode === "slow" ? 600 : 60)
    )
    res.on("close", () => clearTimeout(timer))
  }

  #stream(res: ServerResponse, id: string, tokens: number, mode: Mode): void {
    res.writeHead(200, { "content-type": "text/event-stream" })
    res.flushHeaders()
    const cutAt = mode === "cut" ? Math.floor(Math.random() * tokens) : -1
    let i = 0
    const timer = setInterval(
      () => {
        if (!this.#open.has(res)) {
          clearInterval(timer)
          return
        }
        if (i === cutAt) {
          clearInterval(timer)
          this.#harm(res, id, () => {})
        } else if (i === tokens) {
          clearInterval(timer)
          this.answered.push(id)
          this.#open.delete(res)
          res.end(tokenOf(id, this.name, i, tokens))
        } else res.write(tokenOf(id, this.name, i++, tokens))
      },
      mode === "slow" ? 250 : 20
    )
    res.on("close", () => clearInterval(timer))
  }

  #harm(res: ServerResponse, id: string, before: () => void): void {
    before()
    this.harmed.push(`${id} ${this.name}`)
    this.#open.delete(res)
    setTimeout(() => {
      const raw = this.#rawOf(res.socket)
      // Within TLS an end without `close_notify` is no good end; without TLS only a reset is none.
      const mustReset = !(this.#secure || res.useChunkedEncodingByDefault)
      if (mustReset || Math.random() < 0.5) raw?.resetAndDestroy()
      else raw?.destroy()
    }, 5)
  }

  /** The connection beneath TLS, or the connection itself. */
  #rawOf(socket: Socket | null): Socket | undefined {
    for (const raw of this.#sockets) if (raw.remotePort === socket?.remotePort) return raw
    return undefined
  }
}

const tell = (message: ToParent): void => {
  process.send?.(message)
}

if (process.send !== undefined && process.argv[1]?.endsWith("chaosBackends.ts") === true) {
  const backends = [0, 1, 2, 3].map((index) => new ChaosBackend(index))
  await Promise.all(backends.map((backend) => backend.listen()))
  process.on("message", (message: FromParent) => {
    if (message === "begin") for (const backend of backends) backend.begin()
    else if (message === "calm") for (const backend of backends) void backend.calm()
    else {
      const of = (pick: (backend: ChaosBackend) => Array<string>) => backends.flatMap((backend) => pick(backend).splice(0))
      tell({ _tag: "report", answered: of((backend) => backend.answered), harmed: of((backend) => backend.harmed) })
    }
  })
  process.on("disconnect", () => process.exit(0))
  tell({ _tag: "ready", urls: backends.map(({ url }) => url) })
}
