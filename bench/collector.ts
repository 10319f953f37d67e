/** A collector that takes whatever comes, on a port that it prints. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const server = createServer((req, res) => {
  req.resume().on("end", () => res.writeHead(200, { "content-type": "application/json" }).end("{}"))
})
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port))
