/** A daemon that was held up looks at its timers late: what its clients sent in time is served. */
import { once } from "node:events"
import { stat } from "node:fs"
import { connect, type Socket } from "node:net"
import { afterAll, beforeAll, expect, it } from "vitest"
import { ListedFleet } from "../../catalogue/fakes.ts"
import { type Listening, listen, openRooms, type Rooms } from "../serving.ts"

let rooms: Rooms
let listening: Listening

beforeAll(async () => {
  rooms = await openRooms(new ListedFleet(), "olla", "server: {read_header_timeout: 1s, idle_timeout: 100ms}\n")
  listening = await listen(rooms)
})
afterAll(async () => {
  await listening.stop(0)
  await rooms.close()
})

const head = "GET /internal/health HTTP/1.1\r\nHost: a\r\n\r\n"
const open = async (): Promise<Socket> => {
  const socket = connect(listening.port, "127.0.0.1")
  await once(socket, "connect")
  return socket
}
/** What comes next: an answer's status, or how the connection ended. */
const heard = (socket: Socket): Promise<string> =>
  new Promise((resolve) => {
    socket.once("data", (bytes: Buffer) => resolve(bytes.toString("latin1", 9, 12)))
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once("end", () => resolve("ended"))
  })

it("serves a request on a kept connection, the rest of a head and a first request that came while it was held up", async () => {
  // Longer than each of the limits, node's grace of a second for kept connections included.
  const heldUp = 1_250
  const [kept, half, silent] = await Promise.all([open(), open(), open()])
  half.write(head.slice(0, 20))
  kept.write(head)
  expect(await heard(kept)).toBe("200")
  const answers = [kept, half, silent].map(heard)
  // In a callback of the loop's reads: timers come next.
  stat("/", () => {
    kept.write(head)
    half.write(head.slice(20))
    silent.write(head)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heldUp)
  })
  expect(await Promise.all(answers)).toEqual(["200", "200", "200"])
  for (const socket of [kept, half, silent]) socket.destroy()
})

it("lets a kept connection go whose client has nothing more to say", async () => {
  const kept = await open()
  kept.write(head)
  kept.resume()
  await once(kept, "close")
})
