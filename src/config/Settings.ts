/**
 * The one place that other rooms take their configuration from. Read it when it is used: a reload replaces what it holds, so nothing
 * that a reload may change is baked into a Layer.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { OllaConfig } from "./OllaConfig.ts"

export class Settings extends Context.Service<
  Settings,
  {
    /** Synchronous and cheap: a field read. */
    readonly current: () => OllaConfig
    /** Folder of the loaded file (`undefined` with built-in defaults): where profiles/ and models.yaml are also looked for. */
    readonly folder: string | undefined
    /** The file or a variable says something about this key (`server.rate_limits.burst_size`): its value is no default. */
    readonly isWritten: (key: string) => boolean
    /** The token of `dashboard.access_policy`, its variables expanded or its file read; `undefined`: none is set. */
    readonly dashboardToken: () => string | undefined
    /** That of `metrics_token`, in the same way. */
    readonly metricsToken: () => string | undefined
    /** What `translators.responses.codex_instructions` says; empty: nothing. */
    readonly codexInstructions: () => string
    /** 1 from the start, one more with every replacement. */
    readonly generation: () => number
    /** Called synchronously after each replacement; a listener neither throws nor waits. Returns its own removal. */
    readonly onReplace: (listener: () => void) => () => void
  }
>()("olla/config/Settings") {
  /** One that is never replaced. */
  static readonly layerOf = (
    config: OllaConfig,
    folder?: string,
    isWritten: (key: string) => boolean = () => true
  ): Layer.Layer<Settings> => Layer.succeed(Settings, settingsCell({ config, folder, isWritten }).settings)
}

/** What a reload replaces as one. */
export interface InForce {
  readonly config: OllaConfig
  readonly folder: string | undefined
  readonly isWritten: (key: string) => boolean
  readonly dashboardToken?: string | undefined
  readonly metricsToken?: string | undefined
  readonly codexInstructions?: string
}

export interface SettingsCell {
  readonly settings: Settings["Service"]
  /** At once and whole: whoever reads afterwards reads `next`, its folder and its generation. */
  readonly replace: (next: InForce) => void
}

export const settingsCell = (first: InForce): SettingsCell => {
  let inForce = first
  let generation = 1
  const listeners = new Set<() => void>()
  return {
    settings: {
      current: () => inForce.config,
      get folder() {
        return inForce.folder
      },
      isWritten: (key) => inForce.isWritten(key),
      dashboardToken: () => inForce.dashboardToken,
      metricsToken: () => inForce.metricsToken,
      codexInstructions: () => inForce.codexInstructions ?? "",
      generation: () => generation,
      onReplace: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      }
    },
    replace: (next) => {
      inForce = next
      generation++
      for (const listener of [...listeners]) listener()
    }
  }
}
