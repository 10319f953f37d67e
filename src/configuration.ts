/**
 * The whole configuration as a start, `validate` and a reload read it: file, variables, profiles, endpoints with their secrets and
 * `models.yaml`, with every finding that needs no network. One function, so that none of the three finds what another overlooks.
 */
import { readFileSync } from "node:fs"
import { checkModelsFile, type ModelsFileReport } from "./catalogue/ModelsFile.ts"
import { type LoadedConfig, type LoadOptions, loadConfig } from "./config/ConfigLoading.ts"
import type { Diagnostic } from "./config/Diagnostic.ts"
import { loadEndpoints } from "./endpoint/EndpointLoading.ts"
import type { EndpointSpec } from "./endpoint/EndpointSpec.ts"
import { loadProfiles } from "./profile/ProfileLoading.ts"
import type { ProfileSet } from "./profile/Profiles.ts"

export interface Configuration {
  readonly loaded: LoadedConfig
  readonly profiles: ProfileSet
  /** Those without errors, in the file's order; empty where the file could not be read. */
  readonly endpoints: ReadonlyArray<EndpointSpec>
  /** Of file, variables and endpoints. */
  readonly diagnostics: ReadonlyArray<Diagnostic>
  /** What no daemon may start with or go over to. Empty: `loaded.config` is there and usable. */
  readonly errors: ReadonlyArray<Diagnostic>
}

const readText = (path: string): string => readFileSync(path, "utf8")

/** `loaded`: from somewhere else than the file that `options` lead to. */
export const readConfiguration = (options: LoadOptions, loaded: LoadedConfig = loadConfig(options)): Configuration => {
  const { config } = loaded
  const filter = config?.proxy.profile_filter ?? { include: [], exclude: [] }
  const profiles = loadProfiles({ cwd: options.cwd, env: options.env, configFolder: loaded.folder, filter })
  const endpoints = config === undefined ? undefined : loadEndpoints(config, profiles, options.env, readText)
  const diagnostics = [...loaded.diagnostics, ...loaded.adopt(endpoints?.diagnostics ?? [])]
  return {
    loaded,
    profiles,
    endpoints: endpoints?.specs ?? [],
    diagnostics,
    errors: diagnostics.filter(({ severity }) => severity === "error")
  }
}

/** `models.yaml` beside it: a daemon starts without one that is wrong, and says so. */
export const readModelsFile = ({ cwd, env }: LoadOptions, { loaded }: Configuration): ModelsFileReport =>
  checkModelsFile({ cwd, env, configFolder: loaded.folder })
