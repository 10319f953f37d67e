/** The port beside HTTPS that speaks plain HTTP: readers are sent on, and nobody is taught to send his key in clear. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { headerOf } from "../../exchange/RawHeaders.ts"
import { hostName } from "../../guard/CrossSite.ts"
import { errorTable, fill, renderError } from "../ErrorTable.ts"
import { requestId } from "./RequestId.ts"

const credentials = ["authorization", "x-api-key", "api-key", "cookie"]

/** `securePort`: of the listener. `told`: a request came with credentials in clear. */
export const redirecting = (securePort: () => number, told: (req: IncomingMessage) => void): Server => {
  const answer = (req: IncomingMessage, res: ServerResponse): void => {
    const host = hostName(req.headers.host ?? "")
    const isPlainHost = /^[a-z0-9.:_-]+$/.test(host)
    const port = securePort()
    const base = `https://${host.includes(":") ? `[${host}]` : host}${port === 443 ? "" : `:${port}`}`
    const hasCredentials = credentials.some((name) => headerOf(req.rawHeaders, name) !== undefined)
    if (hasCredentials) told(req)
    const reads = req.method === "GET" || req.method === "HEAD"
    const target = req.url?.startsWith("/") === true ? req.url : "/"
    const id = ["X-Olla-Request-ID", requestId("")]
    if (reads && !hasCredentials && isPlainHost) {
      res.writeHead(308, [...id, "Location", base + target, "Content-Length", "0"])
      res.end()
      return
    }
    const text = fill("httpsRequired", { base: isPlainHost ? base : "https" })
    const { contentType, body } = renderError(errorTable.httpsRequired.status, text, "https_required", req.headers.accept ?? "")
    res.writeHead(403, [
      ...id,
      "Content-Type",
      contentType,
      "Content-Length",
      String(Buffer.byteLength(body)),
      "Connection",
      "close",
      "X-Content-Type-Options",
      "nosniff"
    ])
    res.end(req.method === "HEAD" ? undefined : body)
  }
  return createServer({ requestTimeout: 10_000, headersTimeout: 10_000, maxHeaderSize: 64 * 1024 }, answer)
}
