/** An origin that is given up, as a reload does: whoever has chosen a connection to it by then keeps it to the end of the answer. */
import { once } from "node:events"
import type { Socket } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import type { Origin } from "../../../src/endpoint/Origin.ts"
import { ownTransport } from "../../../src/proxy/client/OwnTransport.ts"
import type { Relay, Transport } from "../../../src/proxy/client/Transport.ts"
import { undiciTransport } from "../../../src/proxy/client/UndiciTransport.ts"
import { type RawBackend, rawBackend } from "../rig.ts"

let backend: RawBackend
let transport: Transport

afterEach(async () => {
  transport.close()
  await backend.stop()
})

const head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
const originOf = ({ port }: RawBackend): Origin => ({
  secure: false,
  hostname: "127.0.0.1",
  port,
  authority: `127.0.0.1:${port}`,
  basePath: "",
  tls: undefined
})

/** The body, or the failure's kind. */
const send = (origin: Origin, method: string): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    const relay: Relay = {
      onReuse: () => {},
      onConnect: () => {},
      onSent: () => {},
      onHead: () => false,
      onWait: () => {},
      onHeld: () => {},
      onBytes: (bytes) => {
        text += bytes.toString()
        return true
      },
      wantsPayload: false,
      onEnd: () => resolve(text),
      onFail: ({ kind }) => resolve(kind)
    }
    const deadlines = { connect: 2_000, tls: 2_000, headers: 5_000, response: 0, firstByte: 0, hold: 0, idle: 5_000, keepAlive: 30_000 }
    const body = method === "GET" ? [] : [Buffer.from("{}")]
    const headers = `Host: ${origin.authority}\r\n${body.length > 0 ? "Content-Length: 2\r\n" : ""}`
    const at = performance.now()
    transport.send({ origin, method, path: "/", headers, body, bodySize: body.length * 2, deadlines, readSize: 0, at }, false, relay)
  })
const closed = (connections = 1): Promise<void> =>
  new Promise((resolve) => {
    let left = connections
    backend.events.on("closed", () => {
      if (--left === 0) resolve()
    })
  })

describe.each([
  ["the own client", ownTransport],
  ["undici", () => undiciTransport()]
])("an origin that is given up, by %s", (_, make) => {
  it("closes what idles, and carries who comes after all", async () => {
    backend = await rawBackend((socket) => socket.write(`${head}done`))
    transport = make()
    const origin = originOf(backend)
    expect(await send(origin, "POST")).toBe("done")
    const first = closed()
    transport.retire(origin)
    await first
    const second = closed()
    expect(await send(origin, "POST")).toBe("done")
    await second
  })

  it.each(["GET", "POST"])(
    "in the moment in which a %s has chosen a kept connection, carries it there, once, and closes then",
    async (method) => {
      backend = await rawBackend((socket) => socket.write(`${head}done`))
      transport = make()
      const origin = originOf(backend)
      expect(await send(origin, "POST")).toBe("done")
      const end = closed()
      const chosen = send(origin, method)
      transport.retire(origin)
      expect(await chosen).toBe("done")
      await end
      expect(backend.heard.map(({ connection }) => connection)).toEqual([1, 1])
    }
  )

  it("in the middle of a connect, of a request and of an answer, carries each to its end, and closes then", async () => {
    const halves: Array<Socket> = []
    backend = await rawBackend((socket) => {
      halves.push(socket)
      socket.write(`${head}do`, () => backend.events.emit("half"))
    })
    transport = make()
    const origin = originOf(backend)
    const half = once(backend.events, "half")
    const answering = send(origin, "POST")
    await half
    const asking = once(backend.events, "half")
    const connecting = send(origin, "POST")
    transport.retire(origin)
    await asking
    const ends = closed(2)
    for (const socket of halves) socket.write("ne")
    expect(await Promise.all([answering, connecting])).toEqual(["done", "done"])
    await ends
  })
})
