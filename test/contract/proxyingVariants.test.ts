/** What only another configuration shows: a TLS backend with its own authority and a kept base path, gathered answers, a cap on answers. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { ask } from "../proxy/rig.ts"
import { type Daemon, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"

const file = (name: string) => join(import.meta.dirname, "..", "endpoint", "tls", name)
const pem = (name: string) => readFileSync(file(name), "utf8")

describe.each([
  ["olla", {}],
  ["olla", { OLLA_ENGINE_CLIENT: "undici" }],
  ["sherpa", {}]
] as const)("%s %o", (engine, env) => {
  let secure: ModelServer
  let daemon: Daemon

  beforeAll(async () => {
    secure = await new ModelServer(["m"], { cert: pem("server.pem"), key: pem("server.key") }).start()
    daemon = await startDaemon(
      `proxy: {engine: ${engine}, profile: standard}
discovery:
  static:
    endpoints:
      - url: "${secure.url}/base/v9"
        name: secure
        type: openai-compatible
        preserve_path: true
        health_check_url: /v1/models
        model_url: /v1/models
        check_interval: 1s
        headers: {Content-Type: application/x-mine, Host: ignored.example}
        auth: {type: api_key, header: X-My-Key, key: inner}
        tls: {ca_file: "${file("ca.pem")}", server_name: backend.test}
`,
      { env, server: "  write_timeout: 1s\n" }
    )
  })
  afterAll(async () => {
    await daemon?.stop()
    await secure?.stop()
  })
  beforeEach(() => secure.reset())

  it("reaches a backend by its own authority, below its base path, with what the endpoint sets", async () => {
    for (const [path, wanted] of [
      ["/olla/proxy/v1/chat/completions?a=1", "/base/v9/v1/chat/completions?a=1"],
      ["/olla/proxy/", "/base/v9"],
      ["/olla/proxy/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/base/v9/etc/passwd"],
      ["/olla/proxy/models/org%2Fmodel/", "/base/v9/models/org%2Fmodel"]
    ] as const) {
      secure.reset()
      const answer = await ask(daemon.port, {
        path,
        method: "POST",
        body: "{}",
        headers: ["X-My-Key: outer", "Content-Type: application/json"]
      })
      const [asked] = secure.asked
      expect([path, answer?.status, asked?.url]).toEqual([path, 200, wanted])
      expect([asked?.header("host"), asked?.header("x-my-key"), asked?.header("content-type")]).toEqual([
        secure.url.slice(8),
        "inner",
        "application/x-mine"
      ])
      // Every name of the headers map is taken from the answer.
      expect([answer?.header("content-type"), answer?.header("x-my-key")]).toEqual([undefined, undefined])
    }
  })

  it("gathers small pieces under the standard profile, with the length that they turn out to have", async () => {
    secure.answer = (res) => {
      res.writeHead(200, { "content-type": "text/event-stream" })
      for (let i = 0; i < 4; i++) setTimeout(() => (i < 3 ? res.write(`data: ${i}\n\n`) : res.end()), i * 20)
    }
    let pieces = 0
    const answer = await ask(daemon.port, { path: "/olla/proxy/x", method: "POST", body: '{"stream":true}', onBytes: () => pieces++ })
    expect([pieces, answer?.header("content-length"), answer?.body.toString()]).toEqual([1, "27", "data: 0\n\ndata: 1\n\ndata: 2\n\n"])
  })

  it("cuts an answer that flows beyond the cap on answers", async () => {
    secure.answer = (res) => {
      res.writeHead(200, { "content-type": "text/plain" })
      const timer = setInterval(() => res.write("x".repeat(5_000)), 50)
      res.on("close", () => clearInterval(timer))
    }
    const started = performance.now()
    const answer = await ask(daemon.port, { path: "/olla/proxy/x", method: "POST", body: "{}" })
    expect(answer?.complete).toBe(false)
    expect(answer?.body.length).toBeGreaterThan(5_000)
    expect(performance.now() - started).toBeGreaterThan(950)
  })

  it("cuts it by a reset where a good end would look the same", async () => {
    secure.answer = (res) => {
      res.writeHead(200, { "content-type": "text/event-stream" })
      res.write("x".repeat(5_000))
    }
    const answer = await ask(daemon.port, { path: "/olla/proxy/x", method: "POST", body: "{}", version: "1.0" })
    expect([answer?.body.length, answer?.reset]).toEqual([5_000, true])
  })
})
