/** A fault in a handler ends its own request, and tells the client nothing of the inside. */
import { afterEach, describe, expect, it } from "vitest"
import type { RequestContext } from "../../src/http/RequestContext.ts"
import { ListedFleet } from "../catalogue/fakes.ts"
import { ask } from "../contract/ask.ts"
import { type Listening, listen, openRooms, type Rooms } from "./serving.ts"

let rooms: Rooms | undefined
let listening: Listening | undefined

afterEach(async () => {
  await listening?.stop(0)
  await rooms?.close()
})

/** A server with one more route, `/x`. */
const serving = async (handle: (context: RequestContext) => void): Promise<{ readonly port: number; readonly faults: () => number }> => {
  const opened = await openRooms(new ListedFleet(), "olla", "")
  rooms = opened
  listening = await listen(opened, [
    {
      handle: (_services, context, path) => {
        if (path !== "/x") return false
        handle(context)
        return true
      }
    }
  ])
  return { port: listening.port, faults: () => opened.records().filter(({ msg }) => msg === "A request ended in a fault").length }
}

const boom = (): never => {
  throw new TypeError("boom at http://10.0.0.5:8000 with sk-secret")
}

describe("a fault before the answer", () => {
  it.each(["*/*", "application/json"])("is 500 with the request's id, as %s", async (accept) => {
    const { port, faults } = await serving(boom)
    const answer = await ask(port, { path: "/x", headers: { accept, "x-request-id": "mine" } })
    expect(answer.status).toBe(500)
    expect(answer.header("x-olla-request-id")).toBe("mine")
    expect(answer.text).toContain("mine")
    expect(answer.text).not.toMatch(/boom|10\.0\.0\.5|secret|TypeError|\bat /)
    if (accept === "application/json") expect(answer.json().error).toMatchObject({ type: "api_error", code: null })
    expect(faults()).toBe(1)
  })

  it("leaves the next request alone", async () => {
    let faulty = true
    const { port } = await serving((context) => (faulty ? boom() : context.json({ fine: true })))
    expect((await ask(port, { path: "/x" })).status).toBe(500)
    faulty = false
    expect((await ask(port, { path: "/x" })).json()).toEqual({ fine: true })
  })
})

describe("a fault in the middle of an answer", () => {
  it("cuts the connection instead of ending the answer cleanly", async () => {
    const { port } = await serving((context) => {
      context.res.writeHead(200)
      context.res.write("half")
      boom()
    })
    await expect(ask(port, { path: "/x" })).rejects.toThrow()
  })
})
