/** What node's own client makes of the bytes of an answer: the measure for ours. */
import { request } from "node:http"
import net, { type AddressInfo } from "node:net"

export interface ByNode {
  /** `undefined`: no head that node accepts. */
  readonly status: number | undefined
  readonly rawHeaders: ReadonlyArray<string>
  readonly body: Buffer
  /** The answer ended well. */
  readonly whole: boolean
}

/** `bytes` are all that the backend says before it closes. */
export const readByNode = (bytes: Buffer, method = "GET"): Promise<ByNode> =>
  new Promise((resolve) => {
    const server = net.createServer((socket) => {
      socket.on("error", () => {})
      socket.once("data", () => socket.end(bytes))
    })
    let given: ByNode = { status: undefined, rawHeaders: [], body: Buffer.alloc(0), whole: false }
    const done = (answer: ByNode) => {
      given = answer
      server.close(() => resolve(given))
    }
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const asked = request({ port, host: "127.0.0.1", method, agent: false, insecureHTTPParser: false }, (answer) => {
        const parts: Array<Buffer> = []
        let settled = false
        const settle = (whole: boolean) => {
          if (settled) return
          settled = true
          done({ status: answer.statusCode, rawHeaders: answer.rawHeaders, body: Buffer.concat(parts), whole })
          asked.destroy()
        }
        answer.on("data", (part: Buffer) => parts.push(part))
        answer.on("end", () => settle(answer.complete))
        answer.on("error", () => settle(false))
        answer.on("close", () => settle(false))
      })
      let failed = false
      asked.on("upgrade", (_answer, socket) => {
        socket.destroy()
        if (!failed) done(given)
        failed = true
      })
      asked.on("error", () => {
        if (!failed && given.status === undefined) done(given)
        failed = true
      })
      asked.end()
    })
  })

/** The body alone, chunked. */
export const decodeByNode = (chunked: Buffer): Promise<ByNode> =>
  readByNode(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), chunked]))
