/** A fault in a handler ends its own request, and tells the client nothing of the inside. */
import type { AddressInfo } from "node:net"
import * as Effect from "effect/Effect"
import { afterEach, describe, expect, it } from "vitest"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import { type HttpServer, makeHttpServer } from "../../src/http/HttpServer.ts"
import type { RequestContext } from "../../src/http/RequestContext.ts"
import type { Services } from "../../src/http/Services.ts"
import { ask } from "../contract/ask.ts"

let server: HttpServer | undefined

afterEach(async () => {
  await server?.stop(0)
  server = undefined
})

/** A server with one route, `/x`; everything that it needs besides is the least that there is. */
const serving = async (handle: (context: RequestContext) => void): Promise<{ readonly port: number; readonly logged: Array<unknown> }> => {
  const logged: Array<unknown> = []
  const config = decodeConfig("server: {host: 127.0.0.1, port: 0}", "", {}).config
  if (config === undefined) throw new Error("no configuration")
  server = await Effect.runPromise(makeHttpServer({ ...config.server, port: 0 }))
  const services = {
    guard: {
      clientOf: () => ({ peer: "127.0.0.1", ip: "127.0.0.1", trustedPeer: false }),
      corsEnabled: () => false,
      crossSite: () => undefined,
      gate: () => undefined,
      oversized: () => undefined
    },
    statistics: { rejected: () => {} },
    observer: { ended: () => {} },
    logsRequests: () => false,
    fork: (effect: Effect.Effect<unknown>) => logged.push(effect)
  }
  server.open(services as unknown as Services, [
    {
      handle: (_services, context, path) => {
        if (path !== "/x") return false
        handle(context)
        return true
      }
    }
  ])
  return { port: (server.addresses[0] as AddressInfo).port, logged }
}

const boom = (): never => {
  throw new TypeError("boom at http://10.0.0.5:8000 with sk-secret")
}

describe("a fault before the answer", () => {
  it.each(["*/*", "application/json"])("is 500 with the request's id, as %s", async (accept) => {
    const { port, logged } = await serving(boom)
    const answer = await ask(port, { path: "/x", headers: { accept, "x-request-id": "mine" } })
    expect(answer.status).toBe(500)
    expect(answer.header("x-olla-request-id")).toBe("mine")
    expect(answer.text).toContain("mine")
    expect(answer.text).not.toMatch(/boom|10\.0\.0\.5|secret|TypeError|\bat /)
    if (accept === "application/json") expect(answer.json().error).toMatchObject({ type: "api_error", code: null })
    expect(logged).toHaveLength(1)
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
