/**
 * `olla status`, `drain`, `resume`, `probe` and `reload`: what an operator says to the running daemon. 0: done; 1: refused, or nobody
 * there. What was done is told on standard output, refusals on standard error.
 */
import type { LoadOptions } from "./config/ConfigLoading.ts"
import { type Finding, placeOf } from "./config/Diagnostic.ts"
import { formatDuration, parseDuration } from "./config/Duration.ts"
import type { EndpointsDocument, StatusDocument } from "./http/documents/StatusDocument.ts"
import { type OperatorClient, operatorClient, type Reply, Unreachable } from "./operatorClient.ts"
import { onSignal } from "./signals.ts"
import { statusTable } from "./statusTable.ts"

export interface Order {
  readonly command: "status" | "drain" | "resume" | "probe" | "reload"
  readonly endpoint: string | undefined
  readonly json: boolean
  /** Instead of the configuration's address. */
  readonly url: URL | undefined
  /** As it was written. */
  readonly time: string | undefined
  readonly reason: string | undefined
  readonly wait: boolean
  readonly force: boolean
  readonly watch: boolean
}

export interface Terminal {
  readonly out: (text: string) => void
  readonly err: (text: string) => void
  readonly isTerminal: boolean
}

/** Milliseconds that a document is waited for, a probe of at most ten seconds, and a reload behind others. */
const patience = { document: 5_000, probe: 15_000, reload: 60_000 }
/** Milliseconds between two looks. */
const lookEvery = { wait: 250, watch: 2_000 }

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

interface Refused {
  readonly code: string
  readonly message: string
  readonly models?: ReadonlyArray<string>
  readonly findings?: ReadonlyArray<Finding>
}

type Listed = (typeof EndpointsDocument.Type)["endpoints"][number]

/** Ended by its caller's catch. */
class Refusal extends Error {
  readonly refused: Refused

  constructor(refused: Refused) {
    super(refused.message)
    this.refused = refused
  }
}

const isRefused = (value: unknown): value is Refused =>
  typeof value === "object" && value !== null && "code" in value && typeof value.code === "string" && "message" in value

/** In the words of the command line, where the daemon's are those of its routes. */
const refusalOf = ({ status, json, text }: Reply, client: OperatorClient): Refused => {
  if (status === 401)
    return {
      code: "unauthorised",
      message: `the daemon at ${client.address} asks for ${client.hasToken ? "another token" : "a token"}: put that of its dashboard.access_policy into OLLA_TOKEN`
    }
  if (isRefused(json)) {
    if (json.code === "models_lost")
      return { ...json, message: `nobody else can serve ${(json.models ?? []).join(", ")} now; --force drains it all the same` }
    return json
  }
  if (status === 404) return { code: "not_found", message: `the Olla at ${client.address} is an older one: it has no such action` }
  return { code: "refused", message: `the daemon at ${client.address} answered ${status}: ${text.trim()}` }
}

const documentOf = async <A>(client: OperatorClient, path: string): Promise<A> => {
  const reply = await client.ask("GET", path, patience.document)
  if (reply.status !== 200 || reply.json === undefined) throw new Refusal(refusalOf(reply, client))
  return reply.json as A
}

const endpointsOf = (client: OperatorClient) => documentOf<typeof EndpointsDocument.Type>(client, "/internal/status/endpoints")

/** As the daemon finds it: by name, else by id. */
const find = ({ endpoints }: typeof EndpointsDocument.Type, name: string): Listed | undefined =>
  endpoints.find((endpoint) => endpoint.name === name) ?? endpoints.find(({ id }) => id === name)

const act = async (client: OperatorClient, path: string, wait: number, body?: object): Promise<Reply> => {
  const reply = await client.ask("POST", path, wait, body)
  if (reply.status !== 204 && reply.status !== 200) throw new Refusal(refusalOf(reply, client))
  return reply
}

const onEndpoint = (client: OperatorClient, name: string, action: string, wait: number, body?: object) =>
  act(client, `/internal/endpoints/${encodeURIComponent(name)}/${action}`, wait, body)

const requests = (count: number): string => (count === 1 ? "1 request runs" : `${count} requests run`)

/** What `--json` writes of an action. */
const outcome = (ok: boolean, name: string, listed: Listed | undefined, error?: Refused) => ({
  ok,
  endpoint: listed?.name ?? name,
  admin: listed?.admin ?? null,
  in_flight: listed?.active_connections ?? null,
  ...(error === undefined
    ? {}
    : { error: { code: error.code, message: error.message, ...(error.models === undefined ? {} : { models: error.models }) } })
})

/** Ends when nothing runs there any more. */
const drained = async (client: OperatorClient, name: string): Promise<Listed> => {
  for (;;) {
    const listed = find(await endpointsOf(client), name)
    if (listed === undefined) throw new Refusal({ code: "not_found", message: `${name} is configured no longer` })
    if (listed.admin === "active") throw new Refusal({ code: "resumed", message: `${name} was resumed before its last request ended` })
    if (listed.admin === "drained") return listed
    await pause(lookEvery.wait)
  }
}

const drain = async (client: OperatorClient, name: string, order: Order, { out }: Terminal): Promise<void> => {
  const { time, force, reason } = order
  await onEndpoint(client, name, "drain", patience.document, {
    ...(time === undefined ? {} : { for: time }),
    ...(force ? { force } : {}),
    ...(reason === undefined ? {} : { reason })
  })
  let listed = find(await endpointsOf(client), name)
  const until =
    time === undefined ? `until "olla resume ${name}"` : `for ${formatDuration(parseDuration(time) ?? 0)}, or until "olla resume ${name}"`
  if (!order.json) {
    out(`${name} gets no further request ${until}. A reload keeps it so, a restart of the daemon does not.\n`)
    if (listed !== undefined && listed.active_connections > 0)
      out(`${requests(listed.active_connections)} there to the end${order.wait ? "; waiting" : ""}.\n`)
  }
  if (order.wait) {
    listed = await drained(client, name)
    if (!order.json) out(`Nothing runs at ${name} any more.\n`)
  } else if (!order.json && listed?.active_connections === 0) out(`Nothing runs there.\n`)
  if (order.json) out(`${JSON.stringify(outcome(true, name, listed))}\n`)
}

const resume = async (client: OperatorClient, name: string, { reason, json }: Order, { out }: Terminal): Promise<void> => {
  await onEndpoint(client, name, "resume", patience.document, reason === undefined ? undefined : { reason })
  const listed = find(await endpointsOf(client), name)
  if (json) out(`${JSON.stringify(outcome(true, name, listed))}\n`)
  else out(`${name} is in service again${listed === undefined ? "" : `; it is ${listed.status}`}.\n`)
}

const probe = async (client: OperatorClient, name: string, { json }: Order, { out }: Terminal): Promise<void> => {
  await onEndpoint(client, name, "probe", patience.probe)
  const listed = find(await endpointsOf(client), name)
  if (json) out(`${JSON.stringify(outcome(true, name, listed))}\n`)
  else if (listed !== undefined)
    out(
      `${listed.name} is ${listed.status}, with ${listed.model_count} model${listed.model_count === 1 ? "" : "s"}${listed.last_error === undefined ? "" : `: ${listed.last_error}`}\n`
    )
}

/** Together; each that fails is told by itself. */
const probeAll = async (client: OperatorClient, order: Order, terminal: Terminal): Promise<number> => {
  const { endpoints } = await endpointsOf(client)
  if (endpoints.length === 0 && !order.json) terminal.out("No endpoint is configured.\n")
  const codes = await Promise.all(endpoints.map(({ id }) => told(id, order, terminal, () => probe(client, id, order, terminal))))
  return Math.max(0, ...codes)
}

interface Reloaded {
  readonly generation: number
  readonly changed: ReadonlyArray<string>
  readonly restart_needed: ReadonlyArray<string>
}

const reload = async (client: OperatorClient, { json }: Order, { out }: Terminal): Promise<void> => {
  const reply = await act(client, "/internal/reload", patience.reload)
  const { generation, changed, restart_needed } = reply.json as Reloaded
  if (json) {
    out(`${JSON.stringify({ ok: true, generation, changed, restart_needed })}\n`)
    return
  }
  if (changed.length === 0) out(`Nothing has changed; configuration ${generation} is in force.\n`)
  else out(`Configuration ${generation} is in force. Changed:\n${changed.map((key) => `  ${key}\n`).join("")}`)
  if (restart_needed.length > 0) out(`Counts from the next start on: ${restart_needed.join(", ")}\n`)
}

const clearScreen = "\u001b[H\u001b[2J"

const showStatus = async (client: OperatorClient, order: Order, { out, isTerminal }: Terminal): Promise<void> => {
  if (order.json) {
    const reply = await client.ask("GET", "/internal/status", patience.document)
    if (reply.status !== 200) throw new Refusal(refusalOf(reply, client))
    out(`${reply.text}\n`)
    return
  }
  const [status, endpoints] = await Promise.all([documentOf<typeof StatusDocument.Type>(client, "/internal/status"), endpointsOf(client)])
  out(`${order.watch ? (isTerminal ? clearScreen : "") : ""}${statusTable(status, endpoints)}${order.watch && !isTerminal ? "\n" : ""}`)
}

/** Ends with a signal, or when not even the first look came to anything. */
const watchStatus = async (client: OperatorClient, order: Order, terminal: Terminal): Promise<number> => {
  onSignal((signal) => {
    if (signal !== "SIGHUP") process.exit(0)
  })
  const first = await told("", order, terminal, () => showStatus(client, order, terminal))
  if (first !== 0) return first
  for (;;) {
    await pause(lookEvery.watch)
    await told("", order, terminal, () => showStatus(client, order, terminal))
  }
}

/** 0, or what is wrong told and 1. */
const told = async (name: string, { command, json }: Order, { out, err }: Terminal, run: () => Promise<void>): Promise<number> => {
  try {
    await run()
    return 0
  } catch (error) {
    const refused: Refused | undefined =
      error instanceof Refusal ? error.refused : error instanceof Unreachable ? { code: "unreachable", message: error.message } : undefined
    if (refused === undefined) throw error
    const { findings = [] } = refused
    err(`${refused.message}\n${findings.map((finding) => `  ${placeOf(finding)}${finding.message}\n`).join("")}`)
    if (json && command === "reload") out(`${JSON.stringify({ ok: false, ...refused })}\n`)
    else if (json && command !== "status") out(`${JSON.stringify(outcome(false, name, undefined, refused))}\n`)
    return 1
  }
}

/** Resolves with the exit code. */
export const operate = async (order: Order, options: LoadOptions, terminal: Terminal): Promise<number> => {
  const { command, endpoint = "" } = order
  // A wait that somebody breaks off has not ended: no script may take it for done.
  onSignal((signal) => {
    if (signal !== "SIGHUP") process.exit(signal === "SIGINT" ? 130 : 143)
  })
  let client: OperatorClient | undefined
  const connected = await told(endpoint, order, terminal, async () => {
    client = operatorClient(options, order.url)
  })
  if (client === undefined) return connected
  const daemon = client
  switch (command) {
    case "status":
      return order.watch ? watchStatus(daemon, order, terminal) : told("", order, terminal, () => showStatus(daemon, order, terminal))
    case "reload":
      return told("", order, terminal, () => reload(daemon, order, terminal))
    case "drain":
      return told(endpoint, order, terminal, () => drain(daemon, endpoint, order, terminal))
    case "resume":
      return told(endpoint, order, terminal, () => resume(daemon, endpoint, order, terminal))
    case "probe": {
      if (endpoint !== "") return told(endpoint, order, terminal, () => probe(daemon, endpoint, order, terminal))
      let code = 0
      return (
        (await told("", order, terminal, async () => {
          code = await probeAll(daemon, order, terminal)
        })) || code
      )
    }
  }
}
