/**
 * The one place that other rooms take their configuration from. Read it when it is used: a reload swaps what `current`
 * returns, so nothing that a reload may change is baked into a Layer.
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
  }
>()("olla/config/Settings") {
  static readonly layerOf = (
    config: OllaConfig,
    folder?: string,
    isWritten: (key: string) => boolean = () => true
  ): Layer.Layer<Settings> => Layer.succeed(Settings, { current: () => config, folder, isWritten })
}
