import { once } from "node:events"
import { createServer } from "node:http"
import { connect } from "node:net"
import { expect, it } from "vitest"
import { stopListening } from "../../../src/http/listener/Listening.ts"

it("takes whoever waits in the queue before it stops listening", async () => {
  const server = createServer((_req, res) => res.writeHead(200, { connection: "close" }).end())
  let arrivals = 0
  server.on("connection", () => arrivals++)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { port: number }
  const clients = Array.from({ length: 40 }, () => connect(port, "127.0.0.1"))
  const answers = clients.map(async (client) => {
    let said = ""
    client.on("data", (chunk) => {
      said += chunk.toString()
    })
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await once(client, "close")
    return said.split("\r\n")[0]
  })
  // They are connected as far as the system is concerned, and nobody here has looked yet.
  await new Promise<void>((resolve) => process.nextTick(resolve))
  expect(arrivals).toBe(0)
  const closed = await stopListening([server], () => arrivals)
  expect(arrivals).toBe(40)
  expect(await Promise.all(answers)).toEqual(Array(40).fill("HTTP/1.1 200 OK"))
  await Promise.all(closed)
})
