/** What is judged is what will be sent: rules that look at a path, in whatever spelling it comes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { ListedFleet } from "../catalogue/fakes.ts"
import { ask } from "../contract/ask.ts"
import { plain, type RawBackend, rawBackend } from "../proxy/rig.ts"
import { type Listening, listen, openRooms, type Rooms } from "./serving.ts"

let backend: RawBackend
let rooms: Rooms
let listening: Listening
let fleet: ListedFleet
let answer = plain("{}")

beforeAll(async () => {
  backend = await rawBackend((socket) => socket.write(answer))
  fleet = new ListedFleet()
  fleet.with("one", "ollama", ["m"], { url: `http://127.0.0.1:${backend.port}` })
  rooms = await openRooms(fleet, "olla", "server: { rate_limits: { per_ip_requests_per_minute: 0 } }")
  listening = await listen(rooms)
})
beforeEach(() => {
  answer = plain("{}")
  backend.heard.length = 0
})
afterAll(async () => {
  await listening.stop(0)
  await backend.stop()
  await rooms.close()
})

const post = (path: string) => ask(listening.port, { method: "POST", path, headers: { "content-type": "application/json" }, body: "{}" })
const targets = () => backend.heard.map(({ line }) => line.split(" ")[1])

describe("Ollama's management calls", () => {
  const calls = ["api/pull", "api/push", "api/create", "api/copy", "api/delete", "api/blobs/sha256:0"]
  const prefixes = ["ollama", "proxy", "openai", "openai-compatible", "vllm", "lm_studio", "dmr"]
  const spellings: ReadonlyArray<(call: string) => string> = [
    (call) => call,
    (call) => `${call}/`,
    (call) => `${call}//`,
    (call) => `/${call}`,
    (call) => `./${call}`,
    (call) => `x/../${call}`,
    (call) => `%2e/${call}`,
    (call) => `x/%2e%2e/${call}`,
    (call) => `x/.%2e/${call}`,
    (call) => `x%2f..%2f${call}`,
    (call) => `x%2F%2e%2e%2F${call}`,
    (call) => `x/%252e%252e/${call}`,
    (call) => `x%252f%252e%252e%252f${call}`,
    (call) => `%zz/%2e%2e/${call}`,
    (call) => `%2f${call}`,
    (call) => call.replace("/", "%2f"),
    (call) => call.replace("/", "%252F"),
    (call) => call.replace("p", "%70"),
    (call) => call.replace("p", "%2570"),
    (call) => `${call}%2f`,
    (call) => `${call}/.`,
    (call) => `${call}/x/..`
  ]
  it.each(calls)("%s is refused in every spelling, and nothing of it arrives", async (call) => {
    for (const spell of spellings) {
      for (const prefix of prefixes) {
        const path = `/olla/${prefix}/${spell(call)}`
        expect([path, (await post(path)).status]).toEqual([path, 501])
      }
    }
    expect(targets()).toEqual([])
  })
  it("are refused below an endpoint whose URL has the rest of the path, as soon as there is one", async () => {
    const tries = [
      "/olla/ollama/pull",
      "/olla/proxy/pull",
      "/olla/ollama/p%75ll",
      "/olla/proxy/pull/",
      "/olla/proxy/x/%2e%2e/blobs/sha256:0"
    ]
    const statuses = async () => {
      const all = []
      for (const path of tries) all.push((await post(path)).status)
      return all
    }
    expect(await statuses()).toEqual(tries.map(() => 200))
    const before = fleet.endpoints.length
    fleet.with("below", "ollama", ["m"], { url: `http://127.0.0.1:${backend.port}/api`, preservePath: true })
    try {
      backend.heard.length = 0
      expect(await statuses()).toEqual(tries.map(() => 501))
      expect(targets()).toEqual([])
      expect((await post("/olla/proxy/chat")).status).toBe(200)
    } finally {
      fleet.endpoints.length = before
    }
    expect(await statuses()).toEqual(tries.map(() => 200))
  })
  it("that only tell of one server are refused under Ollama's prefix alone", async () => {
    expect((await post("/olla/ollama/api/list")).status).toBe(501)
    expect((await post("/olla/proxy/api/show")).status).toBe(200)
    expect(targets()).toEqual(["/api/show"])
  })
})

describe("a slash at the end of a path that is known", () => {
  it.each(["/olla/ollama/v1/chat/completions/", "/olla/proxy/v1/chat/completions/", "/olla/proxy/v1/chat/completions/?x=1"])(
    "%s is not sent",
    async (path) => {
      expect((await post(path)).status).toBe(200)
      expect(targets()).toEqual([`/v1/chat/completions${path.includes("?") ? "?x=1" : ""}`])
    }
  )

  it("stays on a path that nobody knows", async () => {
    expect((await post("/olla/proxy/files/")).status).toBe(200)
    expect(targets()).toEqual(["/files/"])
  })

  it("is none on Anthropic's routes", async () => {
    const found = await post("/olla/anthropic/v1/messages/")
    expect([found.status, found.json().error.message]).toEqual([400, expect.stringContaining("model field is required")])
  })
})

describe("lists, and the models on them", () => {
  const lists = ["/olla/models", "/olla/proxy/v1/models", "/olla/openai/v1/models", "/olla/ollama/api/tags", "/olla/ollama/v1/models"]
  const one = ["/olla/models/m", "/olla/proxy/v1/models/m", "/olla/openai/v1/models/m", "/olla/ollama/v1/models/m"]
  const dialect = ["/olla/anthropic/v1/models", "/olla/anthropic/v1/models/m"]
  it.each([...lists, ...one, ...dialect])("%s is answered by Olla, whoever only looks at it or asks what it takes", async (path) => {
    for (const method of ["GET", "HEAD", "OPTIONS"])
      expect([method, (await ask(listening.port, { method, path })).status]).toEqual([method, 200])
    expect(targets()).toEqual([])
  })
  it.each(["/olla/proxy/v1/models", "/olla/proxy/v1/models/m", "/olla/ollama/v1/models/m"])(
    "%s is the backend's for other methods",
    async (path) => {
      expect((await post(`${path}?x=1`)).status).toBe(200)
      expect(targets()).toEqual([`${path.slice(path.indexOf("/v1"))}?x=1`])
      expect((await ask(listening.port, { method: "GET", path })).status).toBe(200)
      expect(targets()).toHaveLength(1)
    }
  )
})

describe("a redirect of a backend", () => {
  const located = async (location: string) => {
    answer = `HTTP/1.1 307 Temporary Redirect\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`
    return (await post("/olla/proxy/files")).header("location")
  }
  it("leads through Olla again, and names no address of a backend", async () => {
    const own = `127.0.0.1:${backend.port}`
    expect(await located(`http://${own}/files/?a=1`)).toBe("/olla/proxy/files/?a=1")
    expect(await located(`//${own}/files/`)).toBe("/olla/proxy/files/")
    expect(await located("/files/")).toBe("/olla/proxy/files/")
    expect(await located("files/")).toBe("files/")
    expect(await located("http://127.0.0.1:1/files/")).toBe(undefined)
    expect(await located("https://cdn.example/files")).toBe("https://cdn.example/files")
  })
})

describe("a path below Anthropic's base that its API does not have", () => {
  it.each(["/olla/anthropic/", "/olla/anthropic/v1/message", "/olla/anthropic/v1", "/olla/anthropic/v2/messages"])(
    "%s is 404 in JSON that names the base URL",
    async (path) => {
      const { status, json } = await post(path)
      expect([status, json().type, json().error.type]).toEqual([404, "error", "not_found_error"])
      expect(json().error.message).toContain(`http://127.0.0.1:${listening.port}/olla/anthropic`)
    }
  )

  it.each(["/olla/anthropic/messages", "/olla/anthropic/v1/v1/messages", "/olla/anthropic/v1/messages/"])(
    "%s is what was meant: a base URL with one /v1 too many or too few",
    async (path) => {
      const { status, json } = await post(path)
      expect([status, json().error.type]).toEqual([400, "invalid_request_error"])
    }
  )

  it("is a page that does not exist for who only looks", async () => {
    const found = await ask(listening.port, { path: "/olla/anthropic/v2/messages" })
    expect([found.status, found.text]).toEqual([404, "404 page not found\n"])
  })
})
