/** One request, exactly as written: the path is sent as it stands, nothing is followed, decoded or added. */
import { request } from "node:http"

export interface Answer {
  readonly status: number
  /** First value by lower-cased name. */
  readonly header: (name: string) => string | undefined
  /** All values by lower-cased name. */
  readonly values: (name: string) => ReadonlyArray<string>
  readonly bytes: Buffer
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what came, whatever it is
  readonly json: () => any
}

export interface Asked {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | ReadonlyArray<string>
  readonly body?: string | Buffer
}

export const ask = (port: number, { method = "GET", path, headers = {}, body }: Asked): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const req = request({ host: "127.0.0.1", port, method, path, headers: headers as Record<string, string>, agent: false }, (res) => {
      const chunks: Array<Buffer> = []
      res.on("data", (chunk: Buffer) => chunks.push(chunk))
      res.on("error", reject)
      res.on("end", () => {
        const bytes = Buffer.concat(chunks)
        const values = (name: string) => res.rawHeaders.filter((_, i) => i % 2 === 1 && res.rawHeaders[i - 1]?.toLowerCase() === name)
        resolve({
          status: res.statusCode ?? 0,
          header: (name) => values(name)[0],
          values,
          bytes,
          text: bytes.toString("utf8"),
          json: () => JSON.parse(bytes.toString("utf8"))
        })
      })
    })
    req.on("error", reject)
    req.end(body)
  })

export const chat = (model: string, stream = false): string =>
  JSON.stringify({ model, stream, messages: [{ role: "user", content: "Hi" }] })
