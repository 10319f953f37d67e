import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { afterEach, describe, expect, it, vi } from "vitest"
import { Newcomers } from "../../../src/http/listener/Newcomers.ts"

const opened: Array<() => void> = []
afterEach(() => {
  for (const close of opened.splice(0)) close()
})

/** Both ends of a connection. */
const connection = async (): Promise<{ readonly client: Socket; readonly accepted: Socket }> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const client = connect((server.address() as { port: number }).port)
  const [accepted] = (await once(server, "connection")) as [Socket]
  opened.push(() => {
    client.destroy()
    accepted.destroy()
    server.close()
  })
  return { client, accepted }
}

describe("a stop waits for newcomers", () => {
  it("until each has sent its first request or left", async () => {
    const newcomers = new Newcomers()
    const [one, other] = [await connection(), await connection()]
    newcomers.accepted(one.accepted)
    newcomers.accepted(other.accepted)
    let isOver = false
    const over = newcomers.haveSpoken(60_000).then(() => {
      isOver = true
    })
    newcomers.spoke(one.accepted)
    await new Promise((resolve) => setImmediate(resolve))
    expect(isOver).toBe(false)
    other.accepted.destroy()
    await over
  })

  it("no longer than it is allowed to, and not for those that have been silent for long", async () => {
    const newcomers = new Newcomers()
    newcomers.accepted((await connection()).accepted)
    await newcomers.haveSpoken(0)
    vi.spyOn(performance, "now").mockReturnValue(performance.now() + 5_000)
    await newcomers.haveSpoken(60_000)
    vi.restoreAllMocks()
  })
})
