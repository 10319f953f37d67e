/** What of the configuration is in force, for all who read it: a reload replaces settings, profiles and model rules together. */
import type { ModelRulesInForce } from "./catalogue/ModelsFile.ts"
import type { OllaConfig } from "./config/OllaConfig.ts"
import { type InForce as InForceSettings, type Settings, settingsCell } from "./config/Settings.ts"
import type { Configuration } from "./configuration.ts"
import { Access, type TableChange } from "./guard/keys/Access.ts"
import type { LoadedAccess } from "./guard/keys/AccessLoading.ts"
import type { ProfileSet } from "./profile/Profiles.ts"
import { profilesCell } from "./profile/ProfilesCell.ts"

/** A configuration without errors. */
export type Sound = Configuration & { readonly config: OllaConfig }

export const asSound = (configuration: Configuration): Sound | undefined => {
  const { config } = configuration.loaded
  return config === undefined || configuration.errors.length > 0 ? undefined : { ...configuration, config }
}

export interface InForce {
  readonly current: () => Sound
  readonly settings: Settings["Service"]
  readonly profiles: ProfileSet
  readonly models: ModelRulesInForce["Service"]
  readonly access: Access
  /** The keys alone, from their file. */
  readonly replaceAccess: (loaded: LoadedAccess, files: ReadonlyArray<string>) => TableChange
  /** At once and whole; who listens to the settings finds everything else replaced already. */
  readonly replace: (next: Sound) => void
}

export const isWritten =
  ({ loaded }: Configuration) =>
  (key: string): boolean =>
    loaded.originOf(key) !== "default"

const settingsOf = (sound: Sound): InForceSettings => ({
  config: sound.config,
  folder: sound.loaded.folder,
  isWritten: isWritten(sound),
  dashboardToken: sound.dashboardToken,
  metricsToken: sound.metricsToken,
  codexInstructions: sound.codexInstructions
})

export const inForce = (first: Sound): InForce => {
  let current = first
  const settings = settingsCell(settingsOf(first))
  const profiles = profilesCell(first.profiles)
  const access = new Access()
  access.replace(first.access, Date.now())
  return {
    current: () => current,
    settings: settings.settings,
    profiles: profiles.profiles,
    access,
    replaceAccess: (loaded, accessFiles) => {
      current = { ...current, access: loaded, accessFiles }
      return access.replace(loaded, Date.now())
    },
    models: { current: () => current.models },
    replace: (next) => {
      current = next
      profiles.replace(next.profiles)
      access.replace(next.access, Date.now())
      settings.replace(settingsOf(next))
    }
  }
}
