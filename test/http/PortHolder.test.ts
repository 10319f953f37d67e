import { createServer } from "node:net"
import { describe, expect, it } from "vitest"
import { bindAdvice } from "../../src/http/BindAdvice.ts"
import { listeningInodes, portHolder } from "../../src/http/PortHolder.ts"

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:9CB2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:9CB2 0100007F:D431 01 00000000:00000000 02:000A5E3D 00000000     0        0 4243 2 0000000000000000 20 4 30 10 -1
   2: 00000000000000000000000001000000:9CB2 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1
   3: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4245 1
`

describe("the holder of a port", () => {
  it("is read from the sockets that listen, not from those that talk", () => {
    expect(listeningInodes(table, 40114)).toEqual(["4242", "4244"])
    expect(listeningInodes(table, 22)).toEqual(["4245"])
    expect(listeningInodes(table, 23)).toEqual([])
    expect(listeningInodes("", 40114)).toEqual([])
  })

  it.runIf(process.platform === "linux")("is found with its command", async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { port: number }
    expect(portHolder(port)).toEqual({ pid: process.pid, command: expect.stringContaining("node") })
    server.close()
  })
})

describe("advice on a port that cannot be had", () => {
  it.each([
    ["EADDRINUSE", "OLLA_SERVER_PORT"],
    ["EACCES", "OLLA_SERVER_PORT"],
    ["EADDRNOTAVAIL", "OLLA_SERVER_HOST"],
    ["ENOTFOUND", "OLLA_SERVER_HOST"]
  ])("for %s names %s", (code, variable) => expect(bindAdvice(code, { host: "h", port: 80, reuse_port: false })).toContain(variable))

  it("says what sharing a port needs, where that was asked for", () => {
    const where = { host: "h", port: 80, reuse_port: true }
    expect(bindAdvice("EADDRINUSE", where)).toMatch(/server\.reuse_port too, and by the same user/)
    expect(bindAdvice("ENOTSUP", where)).toContain("take server.reuse_port out")
  })

  it("is silent where it knows nothing", () => expect(bindAdvice("EMFILE", { host: "h", port: 80, reuse_port: false })).toBe(""))
})
