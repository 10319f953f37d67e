/**
 * The whole configuration as a start, `validate` and a reload read it: file, variables, profiles, endpoints with their secrets and
 * `models.yaml`, with every finding that needs no network. One function, so that none of the three finds what another overlooks.
 */
import { hash } from "node:crypto"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { type LoadedModelRules, loadModelRules, type ModelsFileReport, modelsFileCandidates, reportOf } from "./catalogue/ModelsFile.ts"
import { loadCodexInstructions } from "./config/CodexInstructions.ts"
import { type LoadedConfig, type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import type { Diagnostic } from "./config/Diagnostic.ts"
import { checkFilter } from "./config/FilterPattern.ts"
import type { FilterConfig } from "./config/OllaConfig.ts"
import { readTraceSettings, type TraceSettings } from "./config/TraceSettings.ts"
import { type DnsEntry, loadDns } from "./endpoint/DnsEntry.ts"
import { loadEndpoints } from "./endpoint/EndpointLoading.ts"
import type { EndpointSpec } from "./endpoint/EndpointSpec.ts"
import { loadDashboardToken, loadMetricsToken } from "./guard/DashboardToken.ts"
import { type LoadedAccess, readAccess } from "./guard/keys/AccessLoading.ts"
import { type Certificates, readCertificates } from "./http/listener/Certificates.ts"
import { loadProfiles, type ProfileFolder, profileFolders, readProfileFolders } from "./profile/ProfileLoading.ts"
import type { ProfileSet } from "./profile/Profiles.ts"

export interface Configuration {
  readonly loaded: LoadedConfig
  readonly profiles: ProfileSet
  /** What the profiles were made of. */
  readonly profileFolders: ReadonlyArray<ProfileFolder>
  readonly profileFilter: FilterConfig
  /** Those without errors, in the file's order; empty where the file could not be read. */
  readonly endpoints: ReadonlyArray<EndpointSpec>
  /** Names that stand for further ones, without errors. */
  readonly dns: ReadonlyArray<DnsEntry>
  readonly models: LoadedModelRules
  /** Of `dashboard.access_policy`; `undefined`: none is set. */
  readonly dashboardToken: string | undefined
  /** The same for figures alone. */
  readonly metricsToken: string | undefined
  /** Who may ask; `undefined`: everybody. */
  readonly access: LoadedAccess | undefined
  /** Files that it names beside the keys file. */
  readonly accessFiles: ReadonlyArray<string>
  /** Of the listener; `undefined`: it speaks plain HTTP. */
  readonly certificates: Certificates | undefined
  readonly certificateFiles: ReadonlyArray<string>
  /** Empty: Codex keeps its own. */
  readonly codexInstructions: string
  /** Fingerprints of the secrets and certificates that were read, by path as written; empty: it could not be read. */
  readonly secrets: ReadonlyMap<string, string>
  /** Where traces are sent; `undefined`: nowhere. */
  readonly traces: TraceSettings | undefined
  /** Of file, variables and endpoints. */
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** What no daemon may start with or go over to. Empty: `loaded.config` is there and usable. */
  readonly errors: ReadonlyArray<Diagnostic>
}

const everyProfile: FilterConfig = { include: [], exclude: [] }

/**
 * `loaded`: from somewhere else than the file that `options` lead to. `before`: the last reading; what its files still say is not worked
 * out again, and stays the same object.
 */
export const readConfiguration = (
  options: LoadOptions,
  loaded: LoadedConfig = loadConfig(options),
  before?: Configuration
): Configuration => {
  const { config } = loaded
  const { cwd, env } = options
  const written = config?.proxy.profile_filter ?? everyProfile
  // One that is wrong is told as that alone: kinds that it would leave out are no second mistake.
  const filter = checkFilter(written).length > 0 ? everyProfile : written
  const sources = { cwd, env, configFolder: loaded.folder, filter }
  const folders = readProfileFolders(sources)
  const profiles =
    before !== undefined && isDeepStrictEqual([before.profileFolders, before.profileFilter], [folders, filter])
      ? before.profiles
      : loadProfiles(sources, folders)
  const secrets = new Map<string, string>()
  const readSecret = (path: string): string => {
    secrets.set(path, "")
    const text = readFileSync(path, "utf8")
    secrets.set(path, hash("sha256", text))
    return text
  }
  const endpoints = config === undefined ? undefined : loadEndpoints(config, profiles, env, readSecret)
  const dns = config === undefined ? undefined : loadDns(config, profiles, { env, readFile: readSecret })
  const dashboard = config === undefined ? undefined : loadDashboardToken(config.dashboard.access_policy, { env, readFile: readSecret })
  const metrics = config === undefined ? undefined : loadMetricsToken(config.dashboard.access_policy, { env, readFile: readSecret })
  const tls =
    config === undefined
      ? undefined
      : readCertificates(config.server.tls, config.server.port, (path) => readFileSync(resolve(cwd, path), "utf8"), Date.now())
  // They are looked at by themselves, whether the configuration is or not.
  const readKeys = (path: string): string => readFileSync(resolve(cwd, path), "utf8")
  const access = config === undefined ? undefined : readAccess(config, { env, readFile: readKeys }, before !== undefined)
  const codex = config === undefined ? undefined : loadCodexInstructions(config, readSecret)
  const traces = config === undefined ? undefined : readTraceSettings(config.telemetry.otlp, env)
  const findings = [endpoints, dns, dashboard, metrics, access, tls, codex, traces].flatMap((read) => read?.diagnostics ?? [])
  const diagnostics = [...loaded.diagnostics, ...loaded.adopt(findings)]
  return {
    loaded,
    profiles,
    profileFolders: folders,
    profileFilter: filter,
    endpoints: endpoints?.specs ?? [],
    dns: dns?.entries ?? [],
    models: loadModelRules({ cwd, env, configFolder: loaded.folder }, before?.models),
    dashboardToken: dashboard?.token,
    metricsToken: metrics?.token,
    access: access?.access,
    accessFiles: access?.files ?? [],
    certificates: tls?.certificates,
    certificateFiles: tls?.files ?? [],
    codexInstructions: codex?.text ?? "",
    secrets,
    traces: traces?.settings,
    diagnostics,
    errors: diagnostics.filter(({ severity }) => severity === "error")
  }
}

/** Every file and folder that another reading would look at. */
export const filesOf = ({ cwd, env }: LoadOptions, { loaded, secrets }: Configuration): ReadonlyArray<string> => {
  const sources = { cwd, env, configFolder: loaded.folder }
  const named = [loaded.path, ...secrets.keys()].filter((path) => path !== "")
  return [...named, ...profileFolders(sources), ...modelsFileCandidates(sources)].map((path) => resolve(cwd, path))
}

/** `models.yaml` beside it: a daemon starts without one that is wrong, and says so. */
export const modelsFileOf = ({ models }: Configuration): ModelsFileReport => reportOf(models)
