/** A backend whose listing is good and whose every other answer a test writes, down to the socket. */
import { once } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { createServer as createSecure, type ServerOptions } from "node:https"
import { freePort } from "./freePort.ts"

export interface Asked {
  readonly method: string
  readonly url: string
  /** As received, in order. */
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly header: (name: string) => string | undefined
  readonly body: Buffer
  /** `performance.now()` of the moment its connection was gone; 0 while it is there. */
  goneAt: number
}

export type Answer = (res: ServerResponse, asked: Asked, req: IncomingMessage) => void

const good: Answer = (res) => {
  res.writeHead(200, { "content-type": "application/json" })
  res.end('{"ok":true}')
}

export class ModelServer {
  readonly asked: Array<Asked> = []
  readonly models: ReadonlyArray<string>
  readonly #server: Server
  readonly #scheme: string
  #port = 0
  answer: Answer = good
  /** The listing and health answers stay good unless told otherwise. */
  listing = true

  /** `contexts`: tokens that models of the list take, where that is told. */
  constructor(models: ReadonlyArray<string>, secure?: ServerOptions, contexts: Readonly<Record<string, number>> = {}) {
    this.models = models
    this.#scheme = secure === undefined ? "http" : "https"
    const handle = (req: IncomingMessage, res: ServerResponse) => {
      const parts: Array<Buffer> = []
      req.on("error", () => {})
      res.on("error", () => {})
      req.on("data", (part: Buffer) => parts.push(part))
      req.on("end", () => {
        // The daemon's own questions are no exchange: they name no request.
        if (req.headers["x-request-id"] === undefined && this.listing) {
          res.writeHead(200, { "content-type": "application/json" })
          res.end(
            JSON.stringify({
              object: "list",
              data: this.models.map((id) => ({ id, object: "model", owned_by: "x", max_model_len: contexts[id] }))
            })
          )
          return
        }
        const raw = req.rawHeaders
        const headers = raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1] as string] as const] : []))
        const asked: Asked = {
          method: req.method ?? "",
          url: req.url ?? "",
          headers,
          header: (name) => headers.find(([key]) => key.toLowerCase() === name)?.[1],
          body: Buffer.concat(parts),
          goneAt: 0
        }
        res.on("close", () => {
          asked.goneAt = performance.now()
        })
        this.asked.push(asked)
        this.answer(res, asked, req)
      })
    }
    this.#server = secure === undefined ? createServer({ noDelay: true }, handle) : createSecure(secure, handle)
    this.#server.keepAliveTimeout = 60_000
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}`
  }

  get server(): Server {
    return this.#server
  }

  reset(): void {
    this.answer = good
    this.asked.length = 0
  }

  /** Again on the port it had. */
  async start(): Promise<this> {
    if (this.#server.listening) return this
    if (this.#port === 0) this.#port = await freePort()
    this.#server.listen(this.#port, "127.0.0.1")
    await once(this.#server, "listening")
    return this
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, "close")
  }
}

export const sse = (res: ServerResponse): void => {
  res.writeHead(200, { "content-type": "text/event-stream" })
  res.flushHeaders()
}
