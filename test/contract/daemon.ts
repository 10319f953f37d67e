/** Starts the built daemon on a free port in front of simulated backends; black-box tests speak HTTP to it. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { SimulatedBackend } from "../../src/simulator/Backend.ts"
import { freePort } from "./freePort.ts"

const root = join(import.meta.dirname, "..", "..")

export interface Daemon {
  readonly url: string
  readonly port: number
  readonly child: ChildProcess
  /** Every line written to standard output so far. */
  readonly output: () => string
  readonly folder: string
  /** Another configuration in its file, with the server section that it began with. */
  readonly rewrite: (yaml: string) => void
  /** SIGTERM; resolves with the exit code. */
  readonly stop: () => Promise<number | null>
}

/** What the daemon calls itself: a checkout's build, or a stamped one. */
export const { build } = (await import(join(root, "dist", "version.js"))) as typeof import("../../src/version.ts")

/** Often, so that tests need not wait for a backend's return; for as long as may be, since the machine may be busy. */
const quickChecks = "check_interval: 1s, check_timeout: 900ms"
/** For tests whose backends stay as they are at the start, however busy the machine is. */
export const rareChecks = "check_interval: 1h, check_timeout: 30s"

/** One configuration entry for each backend. */
export const endpointsYaml = (
  backends: ReadonlyArray<{ readonly name: string; readonly backend: SimulatedBackend; readonly extra?: string }>,
  checks = quickChecks
): string =>
  `discovery:\n  static:\n    endpoints:\n${backends
    .map(
      ({ name, backend, extra }) =>
        `      - {url: "${backend.url}", name: ${name}, type: ${backend.kind}, ${checks}${extra === undefined ? "" : `, ${extra}`}}`
    )
    .join("\n")}\n`

interface Listed {
  readonly status: string
  readonly last_error?: string
  readonly last_model_sync_at?: string
}

/** Milliseconds that backends get to be found and read. */
const settlesWithin = 2000

/** The daemon does not wait long for its backends when it starts: a test that speaks to them does. */
const settled = async (url: string): Promise<void> => {
  for (const since = performance.now(); performance.now() - since < settlesWithin; ) {
    const answer = await fetch(`${url}/internal/status/endpoints`).catch(() => undefined)
    // Gated, or limited: it is asked nothing then.
    if (answer?.ok !== true) return
    const { endpoints } = (await answer.json()) as { readonly endpoints: ReadonlyArray<Listed> }
    const isRead = ({ status, last_error, last_model_sync_at }: Listed) =>
      status !== "unknown" && (status !== "healthy" || last_error !== undefined || last_model_sync_at !== undefined)
    if (endpoints.every(isRead)) return
    await new Promise((resolve) => setTimeout(resolve, askEvery))
  }
}

/** `yaml`: without the server section's host and port. */
export const startDaemon = async (
  yaml: string,
  options: {
    readonly env?: Record<string, string>
    readonly server?: string
    /** Of `server.rate_limits`; without it all are off but that of health. */
    readonly rateLimits?: string
    readonly waits?: boolean
    /** False: not until its backends are known. */
    readonly settles?: boolean
    readonly files?: Readonly<Record<string, string>>
  } = {}
): Promise<Daemon> => {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), "olla-"))
  const file = join(folder, "olla.yaml")
  for (const [name, text] of Object.entries(options.files ?? {})) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  const rewrite = (text: string): void =>
    writeFileSync(
      file,
      `server:\n  host: 127.0.0.1\n  port: ${port}\n  rate_limits: ${options.rateLimits ?? "{global_requests_per_minute: 0, per_ip_requests_per_minute: 0, health_requests_per_minute: 1000}"}\n${options.server ?? ""}${text}`
    )
  rewrite(yaml)
  const child = spawn(process.execPath, [join(root, "dist", "main.js"), "--config", file], {
    cwd: folder,
    // The whole life of a request, unless a test is about the one record of it.
    env: { PATH: process.env["PATH"] ?? "", OLLA_LOGGING_REQUESTS: "full", ...options.env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr?.resume()
  // Not before its last words have come.
  const exited = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)))
  const url = `http://127.0.0.1:${port}`
  if (options.waits !== false) {
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output.includes("Olla started")) resolve()
      }
      child.stdout?.on("data", look)
      child.once("exit", (code) => reject(new Error(`the daemon ended with ${code}: ${output}`)))
      look()
    })
    if (options.settles !== false) await settled(url)
  }
  return {
    url,
    port,
    child,
    folder,
    rewrite,
    output: () => output.slice(0, output.lastIndexOf("\n") + 1),
    stop: () => {
      child.kill("SIGTERM")
      return exited
    }
  }
}

/** Milliseconds between two questions: what is asked must find time to change. */
const askEvery = 25

/** Asks until the answer is as wanted; bounded by the test's own time limit. */
export const eventually = async <T>(ask: () => Promise<T> | T, wanted: (value: T) => boolean): Promise<T> => {
  for (;;) {
    const value = await ask()
    if (wanted(value)) return value
    await new Promise((resolve) => setTimeout(resolve, askEvery))
  }
}

/**
 * Milliseconds of the first run that stayed below the limit, or of the quickest of five: a machine that was busy with
 * something else is no fault of ours, five times in a row.
 */
export const quickest = async (limit: number, run: () => Promise<number>): Promise<number> => {
  let best = Number.POSITIVE_INFINITY
  for (let n = 0; n < 5 && best >= limit; n++) best = Math.min(best, await run())
  return best
}
