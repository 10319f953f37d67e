/** `olla config init`: the first configuration file, with the backends that were named or found on this machine. */
import { existsSync, statSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { type NamedBackend, parseBackends } from "./config/Backends.ts"
import { type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import type { Diagnostic } from "./config/Diagnostic.ts"
import { reasonOf } from "./config/FileReason.ts"
import type { LocalServer } from "./endpoint/LocalServers.ts"
import { searchOf } from "./localSearch.ts"

/** As endpoints of a configuration that no file describes. */
export const asBackends = (servers: ReadonlyArray<LocalServer>): ReadonlyArray<NamedBackend> =>
  servers.map((server) => ({ ...server, origin: "found on this machine" }))

/** The line of a start without a file. */
export const foundLine = (servers: ReadonlyArray<LocalServer>): Diagnostic =>
  servers.length === 0
    ? {
        severity: "info",
        message: "No inference server found on this machine, waiting for an Ollama; name yours with --backend URL or OLLA_BACKENDS"
      }
    : {
        severity: "info",
        message: `Serving what was found on this machine: ${servers.map(({ url, type }) => `${url} (${type})`).join(", ")}; "olla config init" writes it down`
      }

/** What a file would say; `backends` in order. */
export const initialFile = (
  backends: ReadonlyArray<Pick<NamedBackend, "url" | "type">>
): string => `# Written by "olla config init". Every key, with default and meaning: docs/configuration.md
discovery:
  static:
    endpoints:
${backends.map(({ url, type }) => `      - url: ${JSON.stringify(url)}\n        type: ${JSON.stringify(type)}\n`).join("")}`

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true

/** Where a start looks first: beside a shipped configuration the own one. */
const ownFile = (cwd: string): string => (isFolder(join(cwd, "config")) ? "config/config.local.yaml" : "config.yaml")

/** 0: written; 1: there is a file already, or it cannot be written. */
export const initCommand = async (options: LoadOptions, out: (text: string) => void, err: (text: string) => void): Promise<number> => {
  const { cwd, env, backends = [] } = options
  const path = options.configFile || env["OLLA_CONFIG_FILE"] || ownFile(cwd)
  if (existsSync(resolve(cwd, path))) {
    err(`${path} is there already and stays as it is: name another file with --config, or change that one\n`)
    return 1
  }
  const named = [...backends, ...parseBackends(env["OLLA_BACKENDS"] ?? "", "OLLA_BACKENDS")]
  const found = named.length > 0 ? named : await searchOf(options)()
  const builtIn = loadConfig({ cwd: "/nonexistent", env: {} }).config?.discovery.static.endpoints ?? []
  try {
    // Nobody may have written it in the meantime.
    writeFileSync(resolve(cwd, path), initialFile(found.length > 0 ? found : builtIn), { flag: "wx" })
  } catch (cause) {
    err(`${path} cannot be written: ${reasonOf(cause)}\n`)
    return 1
  }
  out(
    found.length > 0
      ? `${path} is written, with ${found.map(({ url, type }) => `${url} (${type})`).join(", ")}\n`
      : `${path} is written, with the built-in endpoint: no server was found on this machine\n`
  )
  return 0
}
