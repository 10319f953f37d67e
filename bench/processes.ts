/** Starts what is measured, each in a process of its own, and reads its CPU time and memory from the kernel's accounting. */

import { type ChildProcess, spawn } from "node:child_process"
import { hash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import type { Job, Result } from "./load.ts"

const here = import.meta.dirname

export interface Target {
  readonly name: string
  readonly port: number
  readonly path: string
  readonly speaks: "chat" | "messages"
  /** What it is asked for, where that is not the backend's own name. */
  readonly model?: string
  readonly pid: number
  readonly startMillis: number
  readonly child: ChildProcess
  readonly stop: () => Promise<void>
}

const firstLine = (child: ChildProcess, wanted: (line: string) => boolean): Promise<string> =>
  new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
    lines.on("line", (line) => {
      if (wanted(line)) resolve(line)
    })
    child.once("exit", (code) => reject(new Error(`ended with ${code} before it was ready`)))
  })

const stopper = (child: ChildProcess) => (): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null) {
      resolve()
      return
    }
    child.once("exit", () => resolve())
    child.kill("SIGTERM")
  })

const startScript = async (
  script: string,
  args: ReadonlyArray<string> = []
): Promise<{ readonly child: ChildProcess; readonly port: number; readonly ports: ReadonlyArray<number> }> => {
  const child = spawn(process.execPath, [resolve(here, script), ...args], { stdio: ["pipe", "pipe", "inherit"] })
  const ports = (await firstLine(child, (line) => /^\d+( \d+)*$/.test(line))).split(" ").map(Number)
  return { child, port: ports[0] ?? 0, ports }
}

/** `resets`: it answers probes, and resets whoever asks for more. `count`: of its ports, each of which passes for a backend of its own. */
export const startBackend = async (
  resets = false,
  count = 1
): Promise<{ readonly port: number; readonly ports: ReadonlyArray<number>; readonly stop: () => Promise<void> }> => {
  const { child, port, ports } = await startScript("backend.ts", [resets ? "resets" : "serves", String(count)])
  return { port, ports, stop: stopper(child) }
}

/** Takes traces and forgets them. */
export const startCollector = async (): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> => {
  const { child, port } = await startScript("collector.ts")
  return { port, stop: stopper(child) }
}

/** A backend by its port on the loopback, or by its URL. */
const urlOf = (backend: number | string): string => (typeof backend === "number" ? `http://127.0.0.1:${backend}` : backend)

/** A proxy that is one script: the baseline, or something of your own to compare with. Gets the backend's URL, prints its port. */
export const startScriptTarget = async (name: string, script: string, ...backends: ReadonlyArray<number | string>): Promise<Target> => {
  const began = performance.now()
  const { child, port } = await startScript(script, backends.map(urlOf))
  return {
    name,
    port,
    path: "/v1/chat/completions",
    speaks: "chat",
    pid: child.pid ?? 0,
    startMillis: performance.now() - began,
    child,
    stop: stopper(child)
  }
}

export interface OllaOptions {
  readonly name: string
  readonly yaml?: string
  readonly env?: Readonly<Record<string, string>>
  /** Folder of the build, where it is not `dist`. */
  readonly dist?: string
  /** The default logging instead of `warn` without request records. */
  readonly logging?: boolean
  /** `messages`: Anthropic's route, always translated. */
  readonly speaks?: "chat" | "messages"
  /** Flow keys of the server's section. */
  readonly server?: string
  readonly model?: string
  /** Eight endpoints instead of two. */
  readonly isWide?: boolean
  /** A third backend resets everything but probes. */
  readonly storm?: boolean
  /** Traces are sent, of this part of the requests. */
  readonly traces?: number
  /** Kinds of the backends; absent: vLLM. */
  readonly types?: ReadonlyArray<string>
  /** So many keys of clients, one of them that of the load, with a rule and limits. */
  readonly keys?: number
  /** Flow keys of each endpoint. */
  readonly endpoint?: string
  /** Further ones of those within TLS. */
  readonly secureEndpoint?: string
  /** Node's own arguments; the daemon then has a channel to its parent. */
  readonly execArgs?: ReadonlyArray<string>
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const endpointYaml = (url: string, i: number, { endpoint = "check_interval: 5s", secureEndpoint = "", types = [] }: OllaOptions): string =>
  `{url: "${url}", name: b${i}, type: ${types[i] ?? "vllm"}, health_check_url: /v1/models, ${[endpoint, url.startsWith("https") ? secureEndpoint : ""].filter((keys) => keys !== "").join(", ")}}`

const keysYaml = (count: number): string => {
  const entry = (name: string, key: string) =>
    `  - {name: ${name}, hash: "sha256:${hash("sha256", key, "hex")}", models: ["test*"], requests_per_minute: 100000000, tokens_per_minute: 100000000000, max_concurrent: 100000}`
  return `keys:\n${[...Array.from({ length: count - 1 }, (_, i) => entry(`k${i}`, `key ${i}`)), entry("load", "sk-test")].join("\n")}\n`
}

/** The built daemon; two endpoints, rate limits too high to trigger. */
export const startOlla = async (backends: ReadonlyArray<number | string>, options: OllaOptions): Promise<Target> => {
  const folder = mkdtempSync(join(tmpdir(), "olla-bench-"))
  const file = join(folder, "olla.yaml")
  const port = await freePort()
  writeFileSync(
    file,
    `server: {host: 127.0.0.1, port: ${port}, request_logging: ${options.logging === true}, rate_limits: {global_requests_per_minute: 100000000, per_ip_requests_per_minute: 100000000, burst_size: 10000000}${options.server === undefined ? "" : `, ${options.server}`}}
logging: {level: ${options.logging === true ? "info" : "warn"}}
discovery: {static: {endpoints: [${backends.map((backend, i) => endpointYaml(urlOf(backend), i, options)).join(", ")}]}}
${options.yaml ?? ""}${options.keys === undefined ? "" : "access: {keys_file: keys.yaml}\n"}`
  )
  if (options.keys !== undefined) writeFileSync(join(folder, "keys.yaml"), keysYaml(options.keys))
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [...(options.execArgs ?? []), join(options.dist ?? join(here, "..", "dist"), "main.js"), "--config", file],
    {
      cwd: folder,
      env: { PATH: process.env["PATH"] ?? "", ...options.env },
      stdio: options.execArgs === undefined ? ["pipe", "pipe", "ignore"] : ["pipe", "pipe", "ignore", "ipc"]
    }
  )
  child.stdout?.resume()
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${options.name} did not start`)
    const answered = await fetch(`http://127.0.0.1:${port}/internal/health`).then(
      (response) => response.status === 200,
      () => false
    )
    if (answered) break
  }
  return {
    name: options.name,
    port,
    path: options.speaks === "messages" ? "/olla/anthropic/v1/messages" : "/olla/openai/v1/chat/completions",
    speaks: options.speaks ?? "chat",
    ...(options.model === undefined ? {} : { model: options.model }),
    pid: child.pid ?? 0,
    startMillis: performance.now() - began,
    child,
    stop: stopper(child)
  }
}

/**
 * Time that a process has run so far, in microseconds: the scheduler's own sum over its threads, exact to the nanosecond. What
 * `/proc/<pid>/stat` says comes in steps of 10 ms, which is as much as a round of small requests differs by.
 */
export const cpuMicros = (pid: number): number => {
  let nanos = 0
  for (const task of readdirSync(`/proc/${pid}/task`))
    nanos += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0])
  return nanos / 1000
}

/** Resident set in MB. */
export const residentMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024

export interface Loader {
  readonly run: (job: Job) => Promise<Result>
  readonly stop: () => Promise<void>
}

export const startLoader = (): Loader => {
  const child = spawn(process.execPath, [join(here, "load.ts")], { stdio: ["pipe", "pipe", "inherit"] })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const waiting: Array<(result: Result) => void> = []
  lines.on("line", (line) => waiting.shift()?.(JSON.parse(line) as Result))
  return {
    run: (job) =>
      new Promise((resolve) => {
        waiting.push(resolve)
        child.stdin?.write(`${JSON.stringify(job)}\n`)
      }),
    stop: stopper(child)
  }
}
