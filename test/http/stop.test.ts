/** The end of a listener, as clients see it that are still reading. */
import { once } from "node:events"
import { request } from "node:http"
import { afterEach, expect, it } from "vitest"
import { ListedFleet } from "../catalogue/fakes.ts"
import { type Listening, listen, openRooms, type Rooms } from "./serving.ts"

let rooms: Rooms | undefined
let listening: Listening | undefined

afterEach(async () => {
  await listening?.stop(0)
  await rooms?.close()
})

it("leaves an answer alone that has ended and is still on its way to a slow client", async () => {
  // More than the buffers of both sockets take.
  const size = 24 * 1024 * 1024
  rooms = await openRooms(new ListedFleet(), "olla", "")
  let ended = () => {}
  const isEnded = new Promise<void>((resolve) => {
    ended = resolve
  })
  listening = await listen(rooms, [
    {
      handle: (_services, context, path) => {
        if (path !== "/x") return false
        context.answer(200, "text/plain", Buffer.alloc(size, "x"))
        ended()
        return true
      }
    }
  ])
  const asking = request({ host: "127.0.0.1", port: listening.port, path: "/x", agent: false })
  asking.end()
  const [answer] = await once(asking, "response")
  await isEnded
  const stopped = listening.stop(30_000)
  // It reads on only when the stop is well under way.
  for (let turn = 0; turn < 1_000; turn++) await new Promise((resolve) => setImmediate(resolve))
  let received = 0
  answer.on("data", (chunk: Buffer) => {
    received += chunk.length
  })
  await once(answer, "end")
  expect(received).toBe(size)
  expect(await stopped).toBe(0)
})
