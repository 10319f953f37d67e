/** An endpoint that has no route to probe (`health_check: none`): only its requests say how it is. */
import { afterAll, beforeAll, expect, it } from "vitest"
import { ask, chat } from "./ask.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"
import { ModelServer } from "./modelServer.ts"

const server = new ModelServer(["m"])
let daemon: Daemon

const status = async (): Promise<string> => {
  const { endpoints } = (await ask(daemon.port, { path: "/internal/status/endpoints" })).json()
  return endpoints[0].status
}
const send = () => ask(daemon.port, { method: "POST", path: "/olla/proxy/v1/chat/completions", body: chat("m") })

beforeAll(async () => {
  await server.start()
  // Every question of the daemon's own is on record, and answered by nobody's route.
  server.listing = false
  server.answer = (res, { method }) => {
    res.writeHead(method === "GET" ? 404 : 200, { "content-type": "application/json" })
    res.end("{}")
  }
  daemon = await startDaemon(
    `discovery:\n  model_discovery: {enabled: false}\n  static:\n    endpoints:\n      - {name: quiet, type: openai-compatible, url: "${server.url}", health_check: none, check_interval: 1s, check_timeout: 500ms}\n`
  )
})
afterAll(async () => {
  await daemon?.stop()
  await server.stop()
})

it("is taken as healthy without being asked anything, out after three transport failures, and back by one request that succeeds", async () => {
  expect([await status(), (await send()).status]).toEqual(["healthy", 200])
  expect(server.asked.map(({ method }) => method)).toEqual(["POST"])
  // What it answers is its own business.
  server.answer = (res) => res.writeHead(500).end()
  for (let n = 0; n < 4; n++) expect((await send()).status).toBe(500)
  expect(await status()).toBe("healthy")
  await server.stop()
  expect([(await send()).status, (await send()).status, await status()]).toEqual([502, 502, "healthy"])
  expect((await send()).status).toBe(502)
  expect(await status()).not.toBe("healthy")
  server.reset()
  await server.start()
  // Not before its time has passed; then one request decides.
  const back = await eventually(send, ({ status }) => status === 200)
  expect([back.status, await status()]).toEqual([200, "healthy"])
  expect(server.asked.every(({ method }) => method === "POST")).toBe(true)
})
