/** What `validate`, `--validate-config`, `config show` and `healthcheck` have to say. */
import { request } from "node:http"
import { request as secureRequest } from "node:https"
import { resolve as resolvePath } from "node:path"
import { type ModelsFileReport, placed } from "./catalogue/ModelsFile.ts"
import { type LoadedConfig, type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import { printConfig, shownValues } from "./config/ConfigPrinting.ts"
import { type Diagnostic, type Finding, findingOf, placeOf, render, textOf } from "./config/Diagnostic.ts"
import { codeOf } from "./config/FileReason.ts"
import { withTraceVariables } from "./config/TraceSettings.ts"
import { modelsFileOf, readConfiguration } from "./configuration.ts"
import { redactText } from "./guard/Redaction.ts"
import { routeTable } from "./http/Surface.ts"
import { inColumns } from "./telemetry/LogSink.ts"

type Out = (text: string) => void

/** The routes of Olla itself, and of every kind of backend that the configuration knows. */
export const routesCommand = (options: LoadOptions, out: Out): number => {
  const { profiles, loaded } = readConfiguration(options)
  out(inColumns(routeTable(profiles.all, loaded.config)))
  return 0
}

interface Findings {
  readonly loaded: LoadedConfig
  readonly config: ReadonlyArray<Diagnostic>
  readonly models: ModelsFileReport
  readonly profiles: ReadonlyArray<Diagnostic>
  /** What the endpoints' URLs lead to, where that is easily meant otherwise. */
  readonly remarks: ReadonlyArray<Diagnostic>
  /** Profiles other than the catch-all. */
  readonly profileCount: number
}

/** What a start would refuse or warn about; remarks that only inform are left out. */
const examine = (options: LoadOptions): Findings => {
  const read = readConfiguration(options)
  return {
    loaded: read.loaded,
    config: inFileOrder(read.diagnostics.filter(({ severity }) => severity !== "info")),
    remarks: read.diagnostics.filter(
      ({ severity, path }) => severity === "info" && path?.startsWith("discovery.static.endpoints") === true
    ),
    models: modelsFileOf(read),
    profiles: read.profiles.diagnostics.filter(({ severity }) => severity !== "info"),
    profileCount: read.profiles.all.filter(({ generic }) => !generic).length
  }
}

/** Findings without a line come first. */
const inFileOrder = (findings: ReadonlyArray<Diagnostic>): ReadonlyArray<Diagnostic> =>
  [...findings].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))

/** The report of `--validate-config`, line for line, as scripts read it; 0: clean. */
export const validateReport = (options: LoadOptions, out: Out): number => {
  const { loaded, config, models, profiles, profileCount } = examine(options)
  const line = (name: string, detail: string, isFatal: boolean, issues: ReadonlyArray<string>) => {
    const mark = isFatal ? "[FAIL]" : issues.length > 0 ? "[WARN]" : "[OK]"
    const count = issues.length === 0 ? "" : ` (${issues.length} issue(s))`
    out(`${mark.padEnd(6)} ${name.padEnd(12)} ${detail}${count}\n`)
    for (const issue of issues) out(`         - ${issue.replace(/\n/g, "\n           ")}\n`)
    return issues.length === 0
  }
  const isFatal = config.some((finding) => finding.severity === "error")
  const source =
    loaded.path === "" ? "(none found, using built-in defaults)" : isFatal ? `cannot use ${loaded.path}` : `loaded from ${loaded.path}`
  out("Olla Configuration Validation\n==============================\n")
  const clean = [
    line("config.yaml", source, isFatal, config.map(render)),
    line("models.yaml", models.source, false, models.issues),
    line("profiles", `${profileCount} profile(s) loaded`, false, profiles.map(render))
  ].every((one) => one)
  out(
    `\nResult: ${clean ? "PASS - all configuration files are valid" : "FAIL - one or more configuration files could not be fully parsed"}\n`
  )
  return clean ? 0 : 1
}

/** What `validate --json` writes, one document. */
export interface ValidateDocument {
  /** Empty: built-in defaults. */
  readonly file: string
  readonly ok: boolean
  readonly errors: number
  readonly warnings: number
  readonly findings: ReadonlyArray<Finding>
}

/** 0: nothing wrong, 1: findings. */
export const validateCommand = (options: LoadOptions, asJson: boolean, out: Out): number => {
  const { loaded, config, remarks, models, profiles } = examine(options)
  const findings = [...config, ...models.issues.map((issue) => placed(issue, "warning")), ...profiles]
  const errors = findings.filter((finding) => finding.severity === "error").length
  const warnings = findings.length - errors
  const code = findings.length === 0 ? 0 : 1
  if (asJson) {
    const document: ValidateDocument = {
      file: loaded.path,
      ok: code === 0,
      errors,
      warnings,
      findings: findings.map(findingOf)
    }
    out(`${JSON.stringify(document)}\n`)
    return code
  }
  const name = loaded.path === "" ? "built-in defaults" : loaded.path
  for (const finding of findings) out(`${placeOf(finding)}${finding.severity}: ${textOf(finding).replace(/\n/g, "\n  ")}\n`)
  for (const remark of remarks) out(`${placeOf(remark)}note: ${textOf(remark)}\n`)
  const clean = loaded.isEmpty ? "says nothing, the built-in defaults are in force" : "nothing wrong"
  out(code === 0 ? `${name}: ${clean}\n` : `${name}: ${counted(errors, "error")}, ${counted(warnings, "warning")}\n`)
  return code
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** Every value in force with its origin; a configuration that no daemon would start with is told instead. */
export const showCommand = (options: LoadOptions, asJson: boolean, out: Out): number => {
  const loaded = withTraceVariables(loadConfig(options), options.env)
  if (loaded.config === undefined || loaded.diagnostics.some((diagnostic) => diagnostic.severity === "error"))
    return validateCommand(options, asJson, out)
  if (asJson) out(`${JSON.stringify({ file: loaded.path, values: shownValues(loaded, redactText) })}\n`)
  else out(`# ${loaded.path === "" ? "no file: built-in defaults" : loaded.path}\n${printConfig(loaded, redactText)}`)
  return 0
}

/** Milliseconds until the health check gives up. */
const patience = 5_000

/** Asks the daemon that this configuration describes; 0: alive. Anything else says on `err` what was found. */
export const healthcheck = (options: LoadOptions, err: Out): Promise<number> => {
  const server = loadConfig(options).config?.server
  const host = localHost(server?.host ?? "localhost")
  const port = server?.port ?? 40114
  return new Promise((resolve) => {
    const fail = (why: string) => {
      err(`no healthy Olla at ${host.includes(":") ? `[${host}]` : host}:${port}: ${why}\n`)
      resolve(1)
    }
    const isLocal = server?.unix_socket.only === true
    const isSecure = !isLocal && (server?.tls.cert_file ?? "") !== ""
    const where = isLocal ? { socketPath: resolvePath(options.cwd, server.unix_socket.path) } : { host, port }
    const asked = { ...where, path: "/internal/health", timeout: patience, agent: false, rejectUnauthorized: false }
    const asking = (isSecure ? secureRequest : request)(asked, (answer) => {
      answer.resume()
      const { statusCode = 0 } = answer
      // A refusal by rate limit or access policy proves that the daemon is alive.
      const refused = (statusCode === 403 || statusCode === 429) && answer.headers["x-olla-request-id"] !== undefined
      if (statusCode === 200 || refused) resolve(0)
      else fail(`/internal/health answered ${statusCode}`)
    })
    asking.on("timeout", () => asking.destroy(new Error(`no answer within ${patience / 1000}s`)))
    asking.on("error", (error) => {
      // Whoever asks for a certificate is there.
      if (isSecure && /certificate.required|CERTIFICATE_REQUIRED/i.test(`${error.message} ${codeOf(error)}`)) resolve(0)
      else fail(error.message || "connection refused")
    })
    asking.end()
  })
}

/** Where a daemon that listens on `host` is reached from its own machine. */
export const localHost = (host: string): string => {
  const plain = host.replace(/^\[|\]$/g, "")
  if (plain === "" || plain === "localhost" || plain === "0.0.0.0") return "127.0.0.1"
  return plain === "::" ? "::1" : plain
}
