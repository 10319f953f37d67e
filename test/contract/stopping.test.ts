import { connect } from "node:net"
import { describe, expect, it } from "vitest"
import { freePort } from "./freePort.ts"
import { asParent, closing, endpoints, openEnded, server, silent, start, streaming } from "./lifecycle.ts"

describe("a stop", () => {
  it("lets a stream end and then ends with 0", async () => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port) + endpoints(backend.url))
    await run.saw("Olla started")
    const stream = await streaming(port)
    run.child.kill("SIGHUP")
    run.child.kill("SIGTERM")
    await run.saw("Shutdown signal received")
    backend.finish()
    expect(await stream.whole).toContain("data: [DONE]")
    expect(await run.ended).toBe(0)
    expect(run.out()).toContain("reload")
  })

  it("is told to a request that is on its way: not ready any more, and its connection goes with it", async () => {
    const port = await freePort()
    const run = start(server(port, ", shutdown_timeout: 1h") + endpoints((await openEnded()).url))
    await run.saw("Olla started")
    const socket = connect(port, "127.0.0.1")
    closing.push(() => socket.destroy())
    let said = ""
    socket.on("data", (chunk) => {
      said += chunk.toString()
    })
    const over = new Promise((resolve) => socket.once("close", resolve))
    // The head of the second has begun when the first is answered.
    socket.write("GET /internal/ready HTTP/1.1\r\nHost: a\r\n\r\nGET /internal/ready HTTP/1.1\r\n")
    await new Promise((resolve) => socket.once("data", resolve))
    run.child.kill("SIGTERM")
    await run.saw("Shutdown signal received")
    socket.write("Host: a\r\n\r\n")
    await over
    expect(said.match(/\{.*\}/g)).toEqual(['{"status":"ready"}', '{"status":"not_ready","reason":"stopping"}'])
    expect(said).toMatch(/HTTP\/1\.1 503 [\s\S]*\r\nConnection: close\r\n/)
    expect(await run.ended).toBe(0)
  })

  it("cuts what is open at shutdown_timeout, says how many, and still ends with 0", async () => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port, ", shutdown_timeout: 0s") + endpoints(backend.url))
    await run.saw("Olla started")
    const stream = await streaming(port)
    run.child.kill("SIGTERM")
    expect(await stream.wasCut).toBe(true)
    expect(await run.ended).toBe(0)
    expect(run.records()).toContainEqual(expect.objectContaining({ level: "WARN", requests: 1 }))
  })

  it("says as an error what was cut after a time to end", async () => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port, ", shutdown_timeout: 50ms") + endpoints(backend.url))
    await run.saw("Olla started")
    await streaming(port)
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
    expect(run.records()).toContainEqual(expect.objectContaining({ level: "ERROR", msg: "HTTP server shutdown error", requests: 1 }))
  })

  it("is an end with 1 when the listener breaks down; what is open may end", async () => {
    const [port, backend] = [await freePort(), await openEnded()]
    // What the system would do: the listening socket reports an error of its own.
    const preload = `data:text/javascript,${encodeURIComponent(`
      import { Server } from "node:net"
      const { listen } = Server.prototype
      Server.prototype.listen = function (...args) {
        process.on("SIGUSR2", () => this.emit("error", new Error("accept ENOBUFS")))
        return listen.apply(this, args)
      }`)}`
    const run = start(server(port) + endpoints(backend.url), { NODE_OPTIONS: `--import=${preload}` })
    await run.saw("Olla started")
    const stream = await streaming(port)
    run.child.kill("SIGUSR2")
    await run.saw("accept ENOBUFS")
    backend.finish()
    expect(await stream.whole).toContain("data: [DONE]")
    expect(await run.ended).toBe(1)
    expect(run.records().filter(({ level }) => level === "ERROR")).toEqual([
      expect.objectContaining({ msg: expect.stringContaining("listener failed"), error: "accept ENOBUFS", address: `127.0.0.1:${port}` })
    ])
  })

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143]
  ] as const)("ends at once at a second signal, %s, with %d", async (second, code) => {
    const [port, backend] = [await freePort(), await openEnded()]
    const run = start(server(port, ", shutdown_timeout: 60s") + endpoints(backend.url))
    await run.saw("Olla started")
    await streaming(port)
    run.child.kill(second === "SIGINT" ? "SIGTERM" : "SIGINT")
    await run.saw("Shutdown signal received")
    run.child.kill(second)
    expect(await run.ended).toBe(code)
  })

  it("during the first probes is a quiet end with 0", async () => {
    const run = start(server(await freePort()) + endpoints(await silent()))
    await run.saw("Loaded configuration")
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
    expect(run.out()).not.toContain("ERROR")
  })

  it("is quiet from the first moment on", async () => {
    const run = start(server(await freePort()) + endpoints(await silent()))
    await run.saw("+----")
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
  })
})

describe("SIGUSR1", () => {
  it.each([
    ["a daemon", {}],
    ["the parent of one", asParent]
  ])("opens no debugger in %s", async (_who, env) => {
    const run = start(server(await freePort()) + endpoints(), env)
    await run.saw("Olla started")
    run.child.kill("SIGUSR1")
    run.child.kill("SIGHUP")
    await run.saw("SIGHUP")
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
    expect(run.err()).not.toMatch(/debugger/i)
  })
})
