/** What `validate`, `config show` and `healthcheck` have to say (configuration.md 10). */
import { readFileSync } from "node:fs"
import { request } from "node:http"
import { checkModelsFile } from "./catalogue/ModelsFile.ts"
import { type LoadedConfig, type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import type { Diagnostic } from "./config/Diagnostic.ts"
import { allKeys } from "./config/SchemaTree.ts"
import { checkEndpoints } from "./endpoint/EndpointLoading.ts"
import { loadProfiles } from "./profile/ProfileLoading.ts"

const place = ({ file, line, column }: Diagnostic): string =>
  file === undefined || line === undefined ? "" : `${file}:${line}:${column ?? 1}: `

/** Every check that needs no network, of every room; what `serve` would say at its start. */
const allFindings = (
  loaded: LoadedConfig,
  options: LoadOptions
): { readonly config: ReadonlyArray<Diagnostic>; readonly profiles: ReadonlyArray<Diagnostic>; readonly count: number } => {
  const judged = loaded.diagnostics.filter((diagnostic) => diagnostic.severity !== "info")
  if (loaded.config === undefined) return { config: judged, profiles: [], count: 0 }
  const profiles = loadProfiles({
    cwd: options.cwd,
    env: options.env,
    configFolder: loaded.folder,
    filter: loaded.config.proxy.profile_filter
  })
  const endpoints = checkEndpoints(loaded.config, profiles, options.env, (path) => readFileSync(path, "utf8")).map(loaded.locate)
  const shown = endpoints.filter((diagnostic) => diagnostic.severity !== "info")
  const count = profiles.all.filter((profile) => profile.name !== "openai-compatible").length
  return { config: [...judged, ...shown], profiles: profiles.diagnostics, count }
}

/** The report of `--validate-config`, line for line (configuration.md 10). */
export const validateReport = (options: LoadOptions, out: (text: string) => void): number => {
  const loaded = loadConfig(options)
  const { config, profiles, count } = allFindings(loaded, options)
  const models = checkModelsFile({ cwd: options.cwd, env: options.env, configFolder: loaded.folder })
  const issues = (list: ReadonlyArray<Diagnostic>) =>
    list
      .flatMap((diagnostic) => `${place(diagnostic)}${diagnostic.message}`.split("\n"))
      .map((text) => `         - ${text}\n`)
      .join("")
  const line = (mark: string, name: string, detail: string) => `${mark.padEnd(6)} ${name.padEnd(12)} ${detail}\n`
  const mark = (list: ReadonlyArray<Diagnostic>) =>
    list.some((one) => one.severity === "error") ? "[FAIL]" : list.length > 0 ? "[WARN]" : "[OK]"
  const counted = (detail: string, list: ReadonlyArray<Diagnostic>) => (list.length === 0 ? detail : `${detail} (${list.length} issue(s))`)
  const source = loaded.path === "" ? "(none found, using built-in defaults)" : `loaded from ${loaded.path}`
  out("Olla Configuration Validation\n==============================\n")
  out(line(mark(config), "config.yaml", counted(source, config)) + issues(config))
  const { issues: modelIssues } = models
  out(
    line(
      modelIssues.length === 0 ? "[OK]" : "[WARN]",
      "models.yaml",
      modelIssues.length === 0 ? models.source : `${models.source} (${modelIssues.length} issue(s))`
    ) + modelIssues.map((text) => `         - ${text}\n`).join("")
  )
  out(line(mark(profiles), "profiles", counted(`${count} profile(s) loaded`, profiles)) + issues(profiles))
  const clean = config.length === 0 && profiles.length === 0 && models.issues.length === 0
  out(
    `\nResult: ${clean ? "PASS - all configuration files are valid" : "FAIL - one or more configuration files could not be fully parsed"}\n`
  )
  return clean ? 0 : 1
}

/** 0: nothing wrong, 1: findings. */
export const validateCommand = (options: LoadOptions, asJson: boolean, out: (text: string) => void): number => {
  const loaded = loadConfig(options)
  const all = allFindings(loaded, options)
  const models = checkModelsFile({ cwd: options.cwd, env: options.env, configFolder: loaded.folder })
  const findings = [
    ...all.config,
    ...models.issues.map((message): Diagnostic => ({ severity: "warning", message: `models.yaml: ${message}` })),
    ...all.profiles
  ]
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
