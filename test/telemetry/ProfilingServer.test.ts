import { request } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type ProfilingServer, startProfilingServer } from "../../src/telemetry/ProfilingServer.ts"

let server: ProfilingServer
beforeAll(async () => {
  server = await startProfilingServer(0)
})
afterAll(() => server.close())

const get = (path: string, host?: string): Promise<{ status: number; type: string; body: string }> =>
  new Promise((resolve, reject) => {
    const url = new URL(server.url)
    const sent = request(
      { host: "127.0.0.1", port: url.port, path, agent: false, headers: host === undefined ? {} : { host } },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            type: String(response.headers["content-type"]),
            body: Buffer.concat(chunks).toString()
          })
        )
      }
    )
    sent.on("error", reject)
    sent.end()
  })

describe("the profiling server", () => {
  it("has an index of its pages", async () => {
    const { status, body } = await get("/debug/pprof/")
    expect(status).toBe(200)
    for (const name of ["profile", "heap", "allocs", "goroutine", "cmdline", "symbol", "trace"]) expect(body).toContain(`href="${name}"`)
  })

  it("gives a CPU profile of the asked length", async () => {
    const { status, body } = await get("/debug/pprof/profile?seconds=0.05")
    expect(status).toBe(200)
    expect(JSON.parse(body).nodes.length).toBeGreaterThan(0)
  })

  it("gives sampled allocations", async () => {
    expect(JSON.parse((await get("/debug/pprof/allocs?seconds=0.05")).body).head).toBeDefined()
  })

  it("counts live resources and shows the command line", async () => {
    expect((await get("/debug/pprof/goroutine")).body).toMatch(/^\d+\t\w+/)
    expect((await get("/debug/pprof/cmdline")).body).toContain("node")
  })

  it("refuses nonsense, unknown pages and foreign hosts", async () => {
    expect((await get("/debug/pprof/profile?seconds=-1")).status).toBe(400)
    expect((await get("/debug/pprof/toString")).status).toBe(404)
    expect((await get("/")).status).toBe(404)
    expect((await get("/debug/pprof/", "rebound.evil:19841")).status).toBe(403)
  })
})
