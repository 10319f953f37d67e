/** A chat goes through every endpoint of every example, at the path that its server has, whatever its URL says. */
import { globSync, readFileSync } from "node:fs"
import { createServer, request, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse, stringify } from "yaml"
import { expandVariables } from "../../src/config/VariableExpansion.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"
import { type BackendKind, backendKinds, type SimulatedBackend, startBackend } from "../../src/simulator/Backend.ts"
import { type Daemon, eventually, startDaemon } from "./daemon.ts"

const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
const chatPath = (type: string | undefined): string => profiles.resolveType(type ?? "")?.chatPath ?? "/v1/chat/completions"
const root = join(import.meta.dirname, "..", "..")
const files = globSync(["config/config.yaml", "examples/config/*.yaml", "examples/compose/*/olla.yaml"], { cwd: root }).sort()

interface Entry {
  url: string
  name?: string
  type?: string
  health_check_url?: string
  model_url?: string
  [key: string]: unknown
}

interface Place {
  readonly file: string
  readonly model: string
  readonly entry: Entry
}

const places: Array<Place> = []
const servers: Array<Server> = []
const backends: Array<SimulatedBackend> = []
let daemon: Daemon

/** A backend whose root is below this path, and nothing beside it. */
const below = async (prefix: string, backend: SimulatedBackend): Promise<string> => {
  const server = createServer((req, res) => {
    const url = req.url ?? ""
    if (!url.startsWith(`${prefix}/`) && prefix !== "") return void res.writeHead(404).end()
    // A list that an example has at a place of its own.
    const path = url.slice(prefix.length).replace(/^\/models$/, "/v1/models")
    const onward = request(`${backend.url}${path}`, { method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(res)
    })
    req.pipe(onward)
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const kindOf = (type: string | undefined): BackendKind =>
  backendKinds.find((kind) => kind === type && kind !== "openai-compatible") ??
  (type?.startsWith("llama") === true ? "llamacpp" : type?.startsWith("lm") === true ? "lm-studio" : "vllm")

/** With what stands in for variables that nobody has set here. */
const spelled = (text: string): string => {
  const expansion = expandVariables(text, {})
  const value = expansion._tag === "Expanded" ? expansion.value : text.replace(/\$\{[^}]*\}/g, "x")
  return URL.canParse(value) ? value : "http://x"
}

/** The same endpoint with this machine's servers behind it. */
const settle = async (entry: Entry, model: string): Promise<Entry> => {
  const backend = await startBackend({ kind: kindOf(entry.type), models: [model] })
  backends.push(backend)
  const url = new URL(spelled(entry.url))
  const server = await below(url.pathname.replace(/\/+$/, "").replace(/\/v1$/, ""), backend)
  const moved = (reference: string | undefined, path: string): string | undefined => {
    if (reference === undefined || !/^https?:/.test(reference)) return reference
    const { host, pathname } = new URL(reference)
    return host === url.host ? `${server}${pathname}` : `${backend.url}${path}`
  }
  const listing = backend.kind === "ollama" ? "/api/tags" : "/v1/models"
  const { auth: _, tls: __, headers: ___, model_filter: ____, check_interval: _____, check_timeout: ______, ...rest } = entry
  return {
    ...rest,
    name: model,
    url: `${server}${url.pathname === "/" ? "" : url.pathname}`,
    health_check_url: moved(entry.health_check_url, "/health") ?? "",
    model_url: moved(entry.model_url, listing) ?? ""
  }
}

beforeAll(async () => {
  const entries: Array<Entry> = []
  for (const file of files) {
    const document = parse(readFileSync(join(root, file), "utf8")) as { discovery?: { static?: { endpoints?: ReadonlyArray<Entry> } } }
    for (const entry of document.discovery?.static?.endpoints ?? []) {
      const model = `m${places.length}`
      places.push({ file, model, entry })
      entries.push(await settle(entry, model))
    }
  }
  daemon = await startDaemon(stringify({ discovery: { static: { endpoints: entries } } }))
}, 60_000)

afterAll(async () => {
  await daemon?.stop()
  for (const server of servers) server.close()
  for (const server of servers) server.closeAllConnections()
  await Promise.all(backends.map((backend) => backend.stop()))
})

describe("every example", () => {
  it("has its endpoints healthy, and a chat for each of them is answered", async () => {
    expect(files.length).toBeGreaterThanOrEqual(30)
    const said = async () => {
      const answers = await Promise.all(
        places.map(async ({ file, model, entry }) => {
          const answer = await fetch(`${daemon.url}/olla/proxy${chatPath(entry.type)}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
          })
          const text = await answer.text()
          return answer.status === 200 ? "" : `${file} ${entry.url}: ${answer.status} ${text}`
        })
      )
      return answers.filter((text) => text !== "")
    }
    const since = performance.now()
    expect(await eventually(said, (wrong) => wrong.length === 0 || performance.now() - since > 8000)).toEqual([])
  }, 30_000)
})
