/**
 * Every dialect of clients on every dialect of servers: how much later than relayed the first byte and the first token are there, one
 * client at a time and pair by pair in turn; what a token costs the daemon; whether its memory grows over many turns.
 *
 *   node bench/dialects.ts [--turns 200] [--streams 10] [--tokens 500] [--memory 10000]
 */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs"
import { Agent, createServer, request, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { cpuMicros, residentMb, startOlla } from "./processes.ts"

const argument = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(process.argv[at + 1])
}
const turns = argument("turns", 200)
const streams = argument("streams", 10)
const tokens = argument("tokens", 500)
const memory = argument("memory", 10_000)

const names = ["chat", "messages", "responses", "ollama"] as const
type Name = (typeof names)[number]

const paths: Readonly<Record<Name, string>> = {
  chat: "/v1/chat/completions",
  messages: "/v1/messages",
  responses: "/v1/responses",
  ollama: "/api/chat"
}

const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const line = (fields: object) => `${JSON.stringify({ model: "m", created_at: "2026-01-01T00:00:00Z", ...fields })}\n`
const response = (status: string, output: ReadonlyArray<object>) => ({
  response: { id: "resp_1", object: "response", created_at: 1, status, model: "m", output }
})
const item = { type: "message", id: "msg_1", role: "assistant", status: "completed", content: [{ type: "output_text", text: "token" }] }
const place = { item_id: "msg_1", output_index: 0, content_index: 0 }

/** What a server says before its tokens, for each, and behind them. */
const said: Readonly<Record<Name, readonly [string, string, string]>> = {
  chat: [chunk({ role: "assistant", content: "" }), chunk({ content: " token" }), `${chunk({}, "stop")}data: [DONE]\n\n`],
  messages: [
    event("message_start", {
      message: { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], usage: { input_tokens: 9, output_tokens: 1 } }
    }) + event("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    event("content_block_delta", { index: 0, delta: { type: "text_delta", text: " token" } }),
    event("content_block_stop", { index: 0 }) +
      event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } }) +
      event("message_stop", {})
  ],
  responses: [
    event("response.created", response("in_progress", [])) +
      event("response.output_item.added", { output_index: 0, item: { ...item, content: [] } }) +
      event("response.content_part.added", { ...place, part: { type: "output_text", text: "" } }),
    event("response.output_text.delta", { ...place, delta: " token" }),
    event("response.output_text.done", { ...place, text: "token" }) +
      event("response.output_item.done", { output_index: 0, item }) +
      event("response.completed", response("completed", [item]))
  ],
  ollama: [
    "",
    line({ message: { role: "assistant", content: " token" }, done: false }),
    line({ message: { role: "assistant", content: "" }, done: true, done_reason: "stop", prompt_eval_count: 9, eval_count: 9 })
  ]
}

/** Tokens of each stream, and milliseconds between them. */
const pace = { tokens: 1, every: 0 }

const serve = async (name: Name): Promise<Server> => {
  const [opening, token, closing] = said[name]
  const server = createServer((req, res) => {
    if (req.method === "GET") {
      res.end(JSON.stringify({ object: "list", data: [{ id: `on-${name}`, object: "model", created: 1, owned_by: "x" }] }))
      return
    }
    req.resume().on("end", () => {
      res.writeHead(200, { "content-type": name === "ollama" ? "application/x-ndjson" : "text/event-stream" })
      if (pace.every === 0) {
        res.end(opening + token.repeat(pace.tokens) + closing)
        return
      }
      res.write(opening)
      let sent = 0
      const timer = setInterval(() => {
        if (sent++ < pace.tokens) res.write(token)
        else {
          clearInterval(timer)
          res.end(closing)
        }
      }, pace.every)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return server
}

const profileOf = (name: Name): string => `name: only-${name}
display_name: "Only ${name}"
routing: {prefixes: [only-${name}]}
api:
  openai_compatible: true
  chat_support: {enabled: ${name === "chat"}}
  ollama_support: {enabled: ${name === "ollama"}}
  responses_support: {enabled: ${name === "responses"}}
  anthropic_support: {enabled: ${name === "messages"}, messages_path: /v1/messages}
  model_discovery_path: /v1/models
  health_check_path: /v1/models
  paths: [/v1/models, ${paths[name]}]
request: {response_format: openai}
`

const servers = await Promise.all(names.map(serve))
const folder = mkdtempSync(join(tmpdir(), "olla-bench-dialects-"))
mkdirSync(join(folder, "profiles"))
for (const name of names) writeFileSync(join(folder, "profiles", `only-${name}.yaml`), profileOf(name))
const olla = await startOlla(
  servers.map((server) => (server.address() as AddressInfo).port),
  { name: "olla", env: { OLLA_CONFIG_DIR: folder }, types: names.map((name) => `only-${name}`), endpoint: "check_interval: 1h" }
)

const agent = new Agent({ keepAlive: true, maxSockets: streams })

interface Seen {
  /** Milliseconds after the request to the head, and to the first token. */
  readonly head: number
  readonly token: number
  readonly tokens: number
}

const bodies = new Map(
  names.flatMap((client) =>
    names.map((server) => {
      const conversation = client === "responses" ? { input: "Hi" } : { messages: [{ role: "user", content: "Hi" }] }
      return [`${client} ${server}`, JSON.stringify({ model: `on-${server}`, max_tokens: 1_000, stream: true, ...conversation })] as const
    })
  )
)

const turn = (client: Name, server: Name): Promise<Seen> =>
  new Promise((resolve, reject) => {
    const body = bodies.get(`${client} ${server}`) as string
    let began = 0
    let head = 0
    let token = 0
    let text = ""
    const headers = { "content-type": "application/json", "content-length": body.length }
    const req = request({ agent, host: "127.0.0.1", port: olla.port, method: "POST", path: paths[client], headers }, (res) => {
      head = performance.now() - began
      res.setEncoding("latin1")
      res.on("data", (piece: string) => {
        text += piece
        if (token === 0 && piece.includes(" token")) token = performance.now() - began
      })
      res.on("end", () => {
        if (res.statusCode !== 200) reject(new Error(`${client} on ${server}: ${res.statusCode} ${text}`))
        else resolve({ head, token, tokens: text.split(/"(?:content|text|delta)":" token"/).length - 1 })
      })
    })
    req.on("error", reject)
    began = performance.now()
    req.end(body)
  })

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
const pairs = names.flatMap((client) => names.map((server) => [client, server] as const))

const until = Date.now() + 10_000
for (const [client, server] of pairs)
  for (;;) {
    const failed = await turn(client, server).then(
      () => undefined,
      (error: unknown) => error
    )
    if (failed === undefined) break
    if (Date.now() > until) throw failed
    await delay(50)
  }
for (let n = 0; n < 50; n++) for (const [client, server] of pairs) await turn(client, server)

const seen = new Map<string, Array<Seen>>(pairs.map((pair) => [pair.join(" "), []]))
for (let n = 0; n < turns; n++) for (const [client, server] of pairs) seen.get(`${client} ${server}`)?.push(await turn(client, server))

pace.tokens = tokens
pace.every = 4
const cost = new Map<string, Array<number>>(pairs.map((pair) => [pair.join(" "), []]))
for (let round = 0; round < 4; round++)
  for (const [client, server] of pairs) {
    const before = cpuMicros(olla.pid)
    const all = await Promise.all(Array.from({ length: streams }, () => turn(client, server)))
    const count = all.reduce((sum, { tokens: got }) => sum + got, 0)
    // What is compiled while the first round runs is no cost of tokens.
    if (round > 0) cost.get(`${client} ${server}`)?.push((cpuMicros(olla.pid) - before) / count)
  }

console.log(
  `later than relayed to the same client, medians of ${turns} turns, ms; CPU of a token, medians of ${streams} streams of ${tokens}`
)
console.log("client      server      head    token   us a token   x relayed")
for (const client of names) {
  const of = (server: Name, key: "head" | "token") => median((seen.get(`${client} ${server}`) ?? []).map((each) => each[key]))
  const relayed = median(cost.get(`${client} ${client}`) ?? [])
  for (const server of names) {
    const [head, token] = [of(server, "head") - of(client, "head"), of(server, "token") - of(client, "token")]
    const micros = median(cost.get(`${client} ${server}`) ?? [])
    console.log(
      `${client.padEnd(11)} ${server.padEnd(10)} ${head.toFixed(2).padStart(6)} ${token.toFixed(2).padStart(7)} ${micros.toFixed(1).padStart(10)} ${(micros / relayed).toFixed(2).padStart(10)}`
    )
  }
}

pace.tokens = 20
pace.every = 0
const resident: Array<string> = []
for (let n = 0; n < memory; n++) {
  const [client, server] = pairs[n % pairs.length] as (typeof pairs)[number]
  await turn(client, server)
  if (n % Math.ceil(memory / 10) === 0) resident.push(residentMb(olla.pid).toFixed(0))
}
console.log(`resident MB over ${memory} turns of all pairs: ${[...resident, residentMb(olla.pid).toFixed(0)].join(" ")}`)

await olla.stop()
process.exit()
