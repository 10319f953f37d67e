/** What `validate`, `config show` and `healthcheck` have to say (configuration.md 10). */
import { request } from "node:http"
import { type LoadOptions, loadConfig } from "./ConfigLoading.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { allKeys } from "./SchemaTree.ts"

const place = ({ file, line, column }: Diagnostic): string =>
  file === undefined || line === undefined ? "" : `${file}:${line}:${column ?? 1}: `

/** 0: nothing wrong, 1: findings. */
export const validateCommand = (options: LoadOptions, asJson: boolean, out: (text: string) => void): number => {
  const loaded = loadConfig(options)
  const findings = loaded.diagnostics.filter((diagnostic) => diagnostic.severity !== "info")
  if (asJson) {
    out(`${JSON.stringify({ file: loaded.path, ok: findings.length === 0, findings })}\n`)
    return findings.length === 0 ? 0 : 1
  }
  for (const finding of findings) out(`${finding.severity}: ${place(finding)}${finding.message}\n`)
  out(
    findings.length === 0 ? `${loaded.path === "" ? "built-in defaults" : loaded.path}: nothing wrong\n` : `${findings.length} finding(s)\n`
  )
  return findings.length === 0 ? 0 : 1
}

/** Every value in force with its origin; secrets are masked. */
export const showCommand = (options: LoadOptions, out: (text: string) => void): number => {
  const loaded = loadConfig(options)
  if (loaded.config === undefined) return validateCommand(options, false, out)
  const infos = new Map(allKeys().map(({ path, info }) => [path, info]))
  const walk = (value: unknown, path: string): void => {
    const info = infos.get(path.replace(/\[\d+\]/g, "[]"))
    if (info === undefined && typeof value === "object" && value !== null) {
      for (const [key, child] of Object.entries(value))
        walk(child, Array.isArray(value) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`)
      return
    }
    if (value === undefined) return
    out(
      `${path} = ${info?.secret === true && JSON.stringify(value) !== "{}" ? "********" : JSON.stringify(value)}  # ${loaded.originOf(path)}\n`
    )
  }
  walk(loaded.config, "")
  return 0
}

/** Asks the daemon that this configuration describes; 0: alive. */
export const healthcheck = (options: LoadOptions): Promise<number> => {
  const server = loadConfig(options).config?.server
  const host =
    server === undefined || server.host === "" || server.host === "localhost" || server.host === "0.0.0.0"
      ? "127.0.0.1"
      : server.host === "::"
        ? "::1"
        : server.host.replace(/^\[|\]$/g, "")
  return new Promise((resolve) => {
    const asking = request({ host, port: server?.port ?? 40114, path: "/internal/health", timeout: 3_000 }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200 ? 0 : 1)
    })
    asking.on("timeout", () => asking.destroy())
    asking.on("error", () => resolve(1))
    asking.end()
  })
}
