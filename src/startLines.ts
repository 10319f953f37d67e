/** The last lines of a start: where to send requests, who can be asked, and what an operator should know of this configuration. */
import { performance } from "node:perf_hooks"
import type { Snapshot } from "./catalogue/Snapshot.ts"
import type { OllaConfig } from "./config/OllaConfig.ts"
import { accepts, type Endpoint } from "./endpoint/Endpoint.ts"
import { reachability } from "./endpoint/Reachability.ts"
import type { LogSink } from "./telemetry/LogSink.ts"

/** Where clients of the two great APIs are pointed to. */
const baseUrls = ({ host, port: configured, root_routes }: OllaConfig["server"], port = configured) => {
  const name = host === "" || host === "0.0.0.0" || host === "::" ? "localhost" : host.includes(":") ? `[${host}]` : host
  const base = `http://${name}:${port}`
  return root_routes ? { openai: `${base}/v1`, anthropic: base } : { openai: `${base}/olla/openai/v1`, anthropic: `${base}/olla/anthropic` }
}

const modelCount = ({ unified, inventory }: Snapshot): number =>
  unified.length > 0 ? unified.length : new Set(inventory.flatMap(({ models }) => models.map(({ name }) => name))).size

const reachOf = (endpoints: ReadonlyArray<Endpoint>) => {
  const reachable = endpoints.filter(accepts).length
  // That nobody at all is there has a line of its own.
  const isPart = reachable > 0 && reachable < endpoints.length
  return { reached: `${reachable}/${endpoints.length}`, warning: isPart ? reachability(endpoints) : undefined }
}

/** What a start has come to. */
export interface Started {
  /** Host and port as they are listened to. */
  readonly bind: string
  readonly port: number | undefined
  readonly endpoints: ReadonlyArray<Endpoint>
  readonly snapshot: Snapshot
  /** In milliseconds of the process's clock. */
  readonly startedAt: number
}

/** Not in the daemon's own function: what a variable holds there is held for its life, and endpoints go. */
export const tellStart = (sink: LogSink, config: OllaConfig, { bind, port, endpoints, snapshot, startedAt }: Started): void => {
  const { reached, warning } = reachOf(endpoints)
  if (warning !== undefined) sink.write("warn", warning)
  const { openai, anthropic } = baseUrls(config.server, port)
  sink.write("info", `Send requests to ${openai}`, { anthropic: config.translators.anthropic.enabled ? anthropic : undefined })
  sink.write("info", "Olla started", {
    bind,
    endpoints: reached,
    models: modelCount(snapshot),
    start_ms: Math.round(performance.now() - startedAt)
  })
  if (config.dashboard.gate_internal_api)
    sink.write(
      "info",
      "Internal API is gated: /version and /internal/*, /internal/health included, answer whom dashboard.access_policy admits",
      {
        allowed_cidrs: config.dashboard.access_policy.allowed_cidrs,
        allowed_hosts: config.dashboard.access_policy.allowed_hosts
      }
    )
  if (config.translators.anthropic.inspector.enabled)
    sink.write("warn", "Anthropic Inspector is ENABLED. DO NOT USE IN PROD.", {
      more_info: "whole conversations are written to translators.anthropic.inspector.output_dir",
      output_dir: config.translators.anthropic.inspector.output_dir
    })
}
