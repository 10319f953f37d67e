/** Runs the built daemon in a folder of its own, from its first moment to its last. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, request } from "node:http"
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach } from "vitest"

const program = join(import.meta.dirname, "..", "..", "dist", "main.js")

/** The first process takes itself for an old one. */
const old = `data:text/javascript,${encodeURIComponent(
  'if (process.env.OLLA_PARENT_PIPE === undefined) Object.defineProperty(process.versions, "node", { value: "20.0.0" })'
)}`
/** Environment of a start that goes through a parent process. */
export const asParent = { NODE_OPTIONS: `--import=${old}` }

/** Called after each test. */
export const closing: Array<() => void> = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

export const listening = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

export interface Run {
  readonly child: ChildProcess
  readonly cwd: string
  readonly out: () => string
  readonly err: () => string
  readonly records: () => ReadonlyArray<Record<string, unknown>>
  /** The output holds it, or the process has ended. */
  readonly saw: (text: string) => Promise<void>
  readonly ended: Promise<number | string | null>
}

/** Without `yaml` there is no file. `hasPipe`: with a pipe as descriptor 3, as from a parent process. */
export const start = (
  yaml: string | undefined,
  env: Readonly<Record<string, string>> = {},
  args: ReadonlyArray<string> = [],
  hasPipe = false
): Run => {
  const cwd = mkdtempSync(join(tmpdir(), "olla-life-"))
  if (yaml !== undefined) writeFileSync(join(cwd, "olla.yaml"), yaml)
  const child = spawn(process.execPath, [program, ...(yaml === undefined ? [] : ["--config", "olla.yaml"]), ...args], {
    cwd,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe", ...(hasPipe ? (["pipe"] as const) : [])]
  })
  closing.push(() => child.kill("SIGKILL"))
  let [out, err] = ["", ""]
  child.stdout?.on("data", (chunk: Buffer) => {
    out += chunk.toString()
  })
  child.stderr?.on("data", (chunk: Buffer) => {
    err += chunk.toString()
  })
  // When nobody holds the output any more.
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
  // A line that is still coming is none yet.
  const records = () =>
    out
      .slice(0, out.lastIndexOf("\n") + 1)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return { child, cwd, out: () => out, err: () => err, records, saw, ended }
}

export const server = (port: number, more = ""): string => `server: {host: 127.0.0.1, port: ${port}${more}}\n`
export const endpoints = (...urls: ReadonlyArray<string>): string =>
  `discovery: {static: {endpoints: [${urls.map((url) => `{url: "${url}", type: openai-compatible, check_interval: 60s, check_timeout: 20s}`).join(", ")}]}}\n`

/** Accepts and never says a word. */
export const silent = async (): Promise<string> => {
  const sockets: Array<{ destroy: () => void }> = []
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
  })
  return `http://127.0.0.1:${await listening(createTcpServer((socket) => sockets.push(socket)))}`
}

/** A backend whose chat answer begins and ends when told. */
export const openEnded = async (): Promise<{ readonly url: string; readonly finish: () => void }> => {
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
export const streaming = (port: number, model = "m"): Promise<{ readonly whole: Promise<string>; readonly wasCut: Promise<boolean> }> =>
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
    asking.end(JSON.stringify({ model, stream: true, messages: [] }))
  })
