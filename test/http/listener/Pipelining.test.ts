import { once } from "node:events"
import net from "node:net"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { mostWaiting } from "../../../src/http/listener/Pipelining.ts"
import { ListedFleet } from "../../catalogue/fakes.ts"
import { plain, type RawBackend, rawBackend } from "../../proxy/rig.ts"
import { type Listening, listen, openRooms, type Rooms } from "../serving.ts"

const soon = () => new Promise((resolve) => setImmediate(resolve))

describe("a client that pipelines", () => {
  let backend: RawBackend
  let rooms: Rooms
  let listening: Listening
  let say: (socket: net.Socket) => void
  let asked = 0

  beforeAll(async () => {
    backend = await rawBackend((socket) => {
      asked++
      say(socket)
    })
    const fleet = new ListedFleet()
    fleet.with("one", "vllm", ["m"], { url: `http://127.0.0.1:${backend.port}` })
    rooms = await openRooms(fleet, "olla", "server: { rate_limits: { per_ip_requests_per_minute: 0, global_requests_per_minute: 0 } }")
    listening = await listen(rooms)
  })
  afterEach(() => {
    for (const socket of backend.sockets.splice(0)) socket.destroy()
    rooms.reset()
    asked = 0
  })
  afterAll(async () => {
    await listening.stop(0)
    await backend.stop()
    await rooms.close()
  })

  const request = (n: number, more = "") => {
    const body = `{"model":"m","n":${n}}`
    return `POST /olla/proxy/v1/chat/completions HTTP/1.1\r\nHost: front\r\nX-Request-ID: n${n}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`
  }
  const connect = () => {
    const socket = net.connect(listening.port, "127.0.0.1").on("error", () => {})
    let text = ""
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1")
    })
    return { socket, said: () => text }
  }

  it.each([5, 2 * mostWaiting, 1_000])("has one of %i requests under way at a time, and every answer in its order", async (count) => {
    let under = 0
    let most = 0
    say = (socket) => {
      under++
      most = Math.max(most, under)
      setImmediate(() => {
        under--
        socket.write(plain("{}"))
      })
    }
    const { socket, said } = connect()
    for (let n = 0; n < count; n++) socket.write(request(n, n === count - 1 ? "Connection: close\r\n" : ""))
    await once(socket, "close")
    expect([most, asked]).toEqual([1, count])
    const ids = [...said().matchAll(/X-Olla-Request-ID: (\S+)/g)].map(([, id]) => id)
    expect(ids).toEqual(Array.from({ length: count }, (_, n) => `n${n}`))
  })

  it("is noticed when it leaves, and nothing that waits is begun", async () => {
    say = () => {}
    const { socket } = connect()
    for (let n = 0; n < 10; n++) socket.write(request(n))
    while (asked === 0) await soon()
    socket.destroy()
    while (rooms.ended.length === 0) await soon()
    for (let i = 0; i < 20; i++) await soon()
    expect([asked, rooms.ended.length]).toEqual([1, 1])
    expect(rooms.ended[0]?.outcome).toMatchObject({ _tag: "cancelled", status: 499 })
  })

  it("gets nothing behind an answer that ends its connection", async () => {
    say = (socket) => socket.write(plain("{}"))
    const { socket, said } = connect()
    socket.write(request(0, "Connection: close\r\n") + request(1))
    await once(socket, "close")
    expect(said().match(/HTTP\/1.1 200/g)?.length).toBe(1)
    expect(asked).toBe(1)
  })

  it("keeps its answer while the beginning of its next request is slow", async () => {
    let late: net.Socket | undefined
    say = (socket) => {
      late = socket
    }
    const { socket, said } = connect()
    socket.write(`${request(0)}POST /olla/proxy/v1/chat`)
    while (late === undefined) await soon()
    const server = [...(process as unknown as { _getActiveHandles: () => Array<unknown> })._getActiveHandles()].find(
      (handle): handle is net.Server => handle instanceof net.Server && (handle.address() as net.AddressInfo).port === listening.port
    )
    const accepted = socket.localPort
    expect(accepted).toBeGreaterThan(0)
    // What node says of a head that is not whole in time.
    const theirs = [...(process as unknown as { _getActiveHandles: () => Array<unknown> })._getActiveHandles()].find(
      (handle): handle is net.Socket => handle instanceof net.Socket && handle.remotePort === accepted
    )
    server?.emit("clientError", Object.assign(new Error("slow"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), theirs)
    late.write(plain("{}"))
    while (!said().includes("{}")) await soon()
    expect(said()).toMatch(/^HTTP\/1.1 200 /)
    socket.destroy()
  })
})
