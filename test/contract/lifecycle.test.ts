/** A daemon's start and end as an operator sees them (configuration.md 1.2, 1.3, 8, 9): streams, exit codes, signals, log records. */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, request } from "node:http"
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"

const program = join(import.meta.dirname, "..", "..", "dist", "main.js")

const closing: Array<() => void> = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const listening = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

const freePort = async (): Promise<number> => {
  const server = createTcpServer()
  const port = await listening(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

interface Run {
  readonly child: ChildProcess
  readonly cwd: string
  readonly out: () => string
  readonly err: () => string
  readonly records: () => ReadonlyArray<Record<string, unknown>>
  /** The output holds it, or the process has ended. */
  readonly saw: (text: string) => Promise<void>
  readonly ended: Promise<number | string | null>
}

const start = (yaml: string, env: Readonly<Record<string, string>> = {}, args: ReadonlyArray<string> = []): Run => {
  const cwd = mkdtempSync(join(tmpdir(), "olla-life-"))
  writeFileSync(join(cwd, "olla.yaml"), yaml)
  const child = spawn(process.execPath, [program, "--config", "olla.yaml", ...args], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  closing.push(() => child.kill("SIGKILL"))
  let [out, err] = ["", ""]
  child.stdout?.on("data", (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr?.on("data", (chunk: Buffer) => {
    err += chunk.toString()
  })
  const ended = new Promise<number | string | null>((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)))
  const saw = (text: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (out.includes(text) || err.includes(text)) resolve()
      }
      child.stdout?.on("data", look)
      child.stderr?.on("data", look)
      void ended.then(() => resolve())
      look()
    })
  const records = () =>
    out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return { child, cwd, out: () => out, err: () => err, records, saw, ended }
}

const server = (port: number, more = ""): string => `server: {host: 127.0.0.1, port: ${port}${more}}\n`
const endpoints = (...urls: ReadonlyArray<string>): string =>
  `discovery: {static: {endpoints: [${urls.map((url) => `{url: "${url}", type: openai-compatible, check_interval: 60s, check_timeout: 20s}`).join(", ")}]}}\n`

/** Accepts and never says a word. */
const silent = async (): Promise<string> => {
  const sockets: Array<{ destroy: () => void }> = []
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
  })
  return `http://127.0.0.1:${await listening(createTcpServer((socket) => sockets.push(socket)))}`
}

const messages = (run: Run): ReadonlyArray<unknown> => run.records().map((record) => record["msg"])

describe("a start", () => {
  it("writes its records in order, as JSON from the first line to the last, and the banner elsewhere", async () => {
    const port = await freePort()
    const run = start(`${server(port)}${endpoints(`http://127.0.0.1:${await freePort()}`)}engineering: {show_nerdstats: true}\n`)
    await run.saw("Admin dashboard")
    run.child.kill("SIGTERM")
    expect(await run.ended).toBe(0)
    expect(run.out()).not.toContain("\u001b")
    const told = messages(run)
    const steps = ["Initialising", "System Configuration", "Loaded configuration", "Endpoint registered", "HTTP server listening"]
    steps.push(
      "Olla started, waiting for requests...",
      "Shutdown signal received",
      "Process Memory Stats",
      "Cleaned up",
      "Olla has shutdown"
    )
    const places = steps.map((step) => told.indexOf(step))
    expect(
      places.every((place) => place >= 0),
      JSON.stringify(told)
    ).toBe(true)
    expect(places).toEqual([...places].sort((a, b) => a - b))
    const line = run.records().find((record) => String(record["msg"]).startsWith("Admin dashboard"))
    expect(line?.["msg"]).toContain(`http://127.0.0.1:${port}/internal/ui/`)
    expect(run.records()[2]).toMatchObject({ level: "INFO", config: "olla.yaml" })
    expect(run.err()).toMatch(/^\+-{68}\+\n/)
    expect(existsSync(join(run.cwd, "logs"))).toBe(false)
  })

  it("ends with 1 at a busy port, without waiting for a single probe", async () => {
    const busy = await listening(createTcpServer())
    const run = start(server(busy) + endpoints(await silent()))
    expect(await run.ended).toBe(1)
    expect(run.records().at(-1)).toMatchObject({
      level: "ERROR",
      msg: "Failed to create and start service manager",
      error: expect.stringContaining(`failed to bind 127.0.0.1:${busy}: `)
    })
  })

  it.each([
    [
      "server: {port: 0}\nproxy: {engine: x}\n",
      "Failed to load configuration",
      ["olla.yaml:1:16", "olla.yaml:2:17", "unknown proxy implementation: x"]
    ],
    ["model_aliases: {a: []}\n", "Invalid model alias configuration", ['model alias "a" has no actual models configured']],
    [
      'discovery: {static: {endpoints: [{url: "http://h:1", name: gpu-a, auth: {type: bearer, token: "${NOBODY_SET_THIS}"}}]}}\n',
      "Failed to create and start service manager",
      ["failed to load endpoints from config", "olla.yaml:1:", "gpu-a", 'required environment variable "NOBODY_SET_THIS" is not set']
    ],
    ["server: [\n", "Failed to load configuration", ["failed to parse olla.yaml: yaml: line"]]
  ])("%j ends with 1 and one record of everything", async (yaml, message, texts) => {
    const run = start(yaml, { OLLA_PRETTY_LOGS: "false" })
    expect(await run.ended).toBe(1)
    const fatal = run.records().filter((record) => record["level"] === "ERROR")
    expect(fatal).toHaveLength(1)
    expect(fatal[0]?.["msg"]).toBe(message)
    for (const text of texts) expect(fatal[0]?.["error"]).toContain(text)
  })

  it("tells what it ignores, with the fields that name it", async () => {
    const run = start(`${server(await freePort())}proxy: {profil: auto}\nlogging: {level: loud}\n${endpoints()}`, {
      OLLA_SERVER_READ_TIMEOUT: "5",
      OLLA_PROXY_ENGIN: "x",
      OLLA_SERVER_A: "x"
    })
    await run.saw("Olla started")
    const warnings = run.records().filter((record) => record["level"] === "WARN")
    expect(warnings).toContainEqual(expect.objectContaining({ key: "proxy.profil", line: 2, suggestion: "proxy.profile" }))
    expect(warnings).toContainEqual(expect.objectContaining({ variable: "OLLA_SERVER_READ_TIMEOUT", value: "5" }))
    expect(warnings).toContainEqual(expect.objectContaining({ variables: ["OLLA_PROXY_ENGIN", "OLLA_SERVER_A"] }))
    expect(warnings).toContainEqual(
      expect.objectContaining({ msg: "Invalid logging.level in config, falling back to default", configured: "loud", default: "info" })
    )
  })

  it("opens a log file when it is asked to, and goes on where that cannot be", async () => {
    const yaml = `${server(await freePort())}logging: {output: file}\n${endpoints()}`
    const run = start(yaml)
    await run.saw("Olla started")
    run.child.kill("SIGTERM")
    await run.ended
    const filed = readFileSync(join(run.cwd, "logs", "olla.log"), "utf8")
      .trimEnd()
      .split("\n")
    expect(filed).toEqual(run.out().trimEnd().split("\n"))
    const barred = start(yaml, { OLLA_LOG_DIR: "/proc/nowhere" })
    await barred.saw("Olla started")
    expect(barred.out()).toContain("The log file cannot be opened")
  })

  it("takes level and form of OLLA_LOG_* where file and OLLA_LOGGING_* say nothing", async () => {
    const plain = start(server(await freePort()) + endpoints(), { OLLA_PRETTY_LOGS: "true", OLLA_LOG_LEVEL: "debug", NO_COLOR: "1" })
    await plain.saw("Admin dashboard")
    plain.child.kill("SIGTERM")
    await plain.ended
    expect(plain.out()).toMatch(/^time=\S+ level=DEBUG /m)
    expect(plain.out()).not.toMatch(/^\{/m)
    const written = start(`${server(await freePort())}logging: {level: info, format: json}\n${endpoints()}`, {
      OLLA_PRETTY_LOGS: "true",
      OLLA_LOG_LEVEL: "error"
    })
    await written.saw("Olla started")
    expect(messages(written)).toContain("Loaded configuration")
  })
})

/** A backend whose chat answer begins and ends when told. */
const openEnded = async (): Promise<{ readonly url: string; readonly finish: () => void }> => {
  let finish = () => {}
  const backend = createServer((asked, response) => {
    asked.resume()
    if (asked.method !== "POST") {
      response.end('{"object":"list","data":[{"id":"m","object":"model"}]}')
      return
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" })
    response.write("data: 1\n\n")
    finish = () => response.end("data: [DONE]\n\n")
  })
  const url = `http://127.0.0.1:${await listening(backend)}`
  closing.push(() => backend.closeAllConnections())
  return { url, finish: () => finish() }
}

/** A streamed request through the daemon: resolves at its first bytes. */
const streaming = (port: number): Promise<{ readonly whole: Promise<string>; readonly wasCut: Promise<boolean> }> =>
  new Promise((resolve, reject) => {
    const asking = request(
      { host: "127.0.0.1", port, path: "/olla/proxy/v1/chat/completions", method: "POST" },
      (answer: IncomingMessage) => {
        let text = ""
        const whole = new Promise<string>((done) => answer.once("end", () => done(text)))
        const wasCut = new Promise<boolean>((done) => answer.once("close", () => done(!answer.complete)))
        answer.on("error", () => {})
        answer.on("data", (chunk: Buffer) => {
          text += chunk.toString()
          resolve({ whole, wasCut })
        })
      }
    )
    asking.on("error", reject)
    asking.end('{"model":"m","stream":true,"messages":[]}')
  })

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

  it("is told to a request that is on its way: not ready any more", async () => {
    const port = await freePort()
    const run = start(server(port, ", shutdown_timeout: 5s") + endpoints((await openEnded()).url))
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
    expect(said).toMatch(/HTTP\/1\.1 503 /)
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
