/** A custom kind with odd names, a listing path of its own and `enforce_paths`, beside a filtered set of profiles. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Daemon, rareChecks, startDaemon } from "./daemon.ts"

const profile = `name: Cedar_Serve
routing: {prefixes: [Cedar_X, cedar, "a/b", models]}
api:
  openai_compatible: false
  model_discovery_path: /list/models
  health_check_path: /healthz
  enforce_paths: true
  paths: [/healthz, /list/models, /v1/chat/completions, /v1/score]
`

const asked: Array<string> = []
let server: Server
let daemon: Daemon
beforeAll(async () => {
  server = createServer((req, res) => {
    asked.push(`${req.method} ${req.url}`)
    req.resume().on("end", () => {
      res.setHeader("content-type", "application/json")
      res.end(JSON.stringify(req.url === "/list/models" ? { data: [{ id: "oak", created: 1_700_000_000 }] } : { ok: true }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  daemon = await startDaemon(
    `proxy: {profile_filter: {exclude: [lemonade, "sg*"]}}
discovery:
  static:
    endpoints:
      - {name: c, url: "http://127.0.0.1:${(server.address() as AddressInfo).port}", type: cedar, ${rareChecks}}
`,
    { files: { "config/profiles/cedar.yaml": profile } }
  )
})
afterAll(async () => {
  await daemon?.stop()
  server?.closeAllConnections()
  server?.close()
})

const ask = (path: string, method = "GET") =>
  fetch(
    `${daemon.url}${path}`,
    method === "GET" ? {} : { method, body: '{"model":"oak"}', headers: { "content-type": "application/json" } }
  )

it.each(["Cedar_X", "cedar", "Cedar_Serve"])("/olla/%s/ has its own listing and its paths, and nothing else", async (prefix) => {
  expect(await (await ask(`/olla/${prefix}/list/models`)).json()).toEqual({
    object: "list",
    data: [{ id: "oak", object: "model", owned_by: "olla", created: 1_700_000_000 }]
  })
  for (const path of ["/v1/chat/completions", "/v1/score"]) {
    const answer = await ask(`/olla/${prefix}${path}`, "POST")
    expect([answer.status, answer.headers.get("x-olla-backend-type")]).toEqual([200, "cedar"])
    expect(asked.at(-1)).toBe(`POST ${path}`)
  }
  expect((await ask(`/olla/${prefix}/healthz?deep=1`)).status).toBe(200)
  expect(asked.at(-1)).toBe("GET /healthz?deep=1")
  expect((await ask(`/olla/${prefix}/v1/score/`, "POST")).status).toBe(200)
  expect(asked.at(-1)).toBe("POST /v1/score")
  const before = asked.length
  for (const path of [
    "",
    "/",
    "/v1/models",
    "/v1/embeddings",
    "/v1/scores",
    "/V1/score",
    "/v1/%73core",
    "/v1%2Fscore",
    "/v1/x/%2e%2e/sco%72e",
    "/v1/score%3Fx"
  ])
    expect([path, (await ask(`/olla/${prefix}${path}`, "POST")).status]).toEqual([path, 404])
  expect(asked.slice(before)).toEqual([])
})
it.each(["cedar_x", "a/b", "a", "lemonade", "sglang"])("/olla/%s/ is nobody's", async (prefix) => {
  const answer = await ask(`/olla/${prefix}/v1/chat/completions`, "POST")
  expect([answer.status, await answer.text()]).toEqual([404, expect.stringContaining("404 page not found")])
})
it("the words that are Olla's stay so", async () => {
  expect(await (await ask("/olla/models")).json()).toMatchObject({ data: [{ id: "oak" }] })
  expect(daemon.output()).toContain('routing prefix \\"a/b\\" is malformed and is ignored')
  expect(daemon.output()).toContain('routing prefix \\"models\\" belongs to Olla and is ignored')
})
