/** What is fixed about one endpoint once the configuration is loaded. */
import type { FilterConfig } from "../config/OllaConfig.ts"
import type { Profile } from "../profile/Profile.ts"
import { joinUrl } from "./EndpointUrl.ts"
import type { Credentials, Origin } from "./Origin.ts"

export interface EndpointSpec {
  readonly url: string
  readonly displayUrl: string
  readonly name: string
  readonly type: string
  /** From `type`; `undefined` for `auto` and empty types. */
  readonly profile: Profile | undefined
  readonly isAuto: boolean
  readonly index: number
  readonly priority: number
  /** The base URL's path goes before the request's: `preserve_path`, or it is used for probes or listings. */
  readonly preservePath: boolean
  /** Explicit `health_check_url` and `model_url`, variables expanded. */
  readonly healthReference: string | undefined
  readonly modelReference: string | undefined
  /** False with `health_check: none`: it has nothing to probe and is judged by its attempts alone. */
  readonly probes: boolean
  /** Milliseconds. */
  readonly checkInterval: number
  readonly checkTimeout: number
  readonly modelFilter: FilterConfig
  /** Its share beside others, from 0.01 to 100; 1 is the usual one. */
  readonly weight: number
  /** Attempts at the same time; 0: no limit. */
  readonly maxConcurrent: number
  /** Models that fit into its memory at once; 0: not known. */
  readonly maxResident: number
  /** As configured; `name` and `type` count as labels too. */
  readonly labels: Readonly<Record<string, string>>
  readonly origin: Origin
  readonly credentials: Credentials
}

/** Explicit value, then the profile's, then `/`: also what the start-up table shows. */
export const healthPathOf = (spec: EndpointSpec, profile: Profile | undefined): string =>
  spec.healthReference ?? (profile?.healthCheckPath || "/")

export const modelPathOf = (spec: EndpointSpec, profile: Profile | undefined): string =>
  spec.modelReference ?? (profile?.modelDiscoveryPath || "/v1/models")

export const healthUrlOf = (spec: EndpointSpec, profile: Profile | undefined): string =>
  joinUrl(spec.url, healthPathOf(spec, profile), spec.healthReference === undefined)

export const modelUrlOf = (spec: EndpointSpec, profile: Profile | undefined): string =>
  joinUrl(spec.url, modelPathOf(spec, profile), spec.modelReference === undefined)
