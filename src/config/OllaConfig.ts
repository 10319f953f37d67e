/**
 * The effective configuration, as every other room reads it: the Schema's types, with the defaults filled in that depend
 * on other keys. What each key means stands beside it in `ConfigSchema.ts`.
 *
 * Keys keep the spelling of the YAML file, so that a value and the line that set it have one name. All durations are
 * milliseconds, all sizes bytes. `undefined` stands only where "not written" means something else than any value.
 */
import { normalize } from "node:path"
import type { configSchema, dnsEntry, endpoint } from "./ConfigSchema.ts"
import type { TextTree } from "./TextTree.ts"

/** As the Schema decodes it, before `finish` fills in dependent defaults. */
type Decoded = typeof configSchema.Type
type DecodedEndpoint = typeof endpoint.Type
type DecodedDns = typeof dnsEntry.Type

/** Optional keys, readable without asking whether they are there. */
type Readable<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]: T[P] | undefined }

/** One entry of `discovery.static.endpoints`. `${VAR}` is not expanded and no secret resolved yet: that is the endpoint room's. */
export interface EndpointConfig
  extends Omit<
    Readable<Required<DecodedEndpoint>, "health_check_url" | "model_url" | "auth" | "tls">,
    "check_interval" | "check_timeout" | "auth" | "tls"
  > {
  readonly check_interval: number
  readonly check_timeout: number
  readonly auth: AuthConfig | undefined
  readonly tls: TlsConfig | undefined
}

/** One entry of `discovery.dns`. */
export interface DnsConfig extends Omit<EndpointConfig, "url">, Pick<Required<DecodedDns>, "srv" | "interval" | "resolver" | "scheme"> {
  readonly port: number | undefined
}

export type AuthConfig = NonNullable<DecodedEndpoint["auth"]>

/** How an `https:` endpoint is dialled: authorities, client certificate, expected name. */
export type TlsConfig = Partial<NonNullable<DecodedEndpoint["tls"]>>

/** `include` empty admits everything; `exclude` wins. */
export type FilterConfig = DecodedEndpoint["model_filter"]

export interface ProxyConfig extends Readable<Required<Decoded["proxy"]>, "response_header_timeout"> {}

export interface DiscoveryConfig extends Omit<Decoded["discovery"], "static" | "dns"> {
  readonly dns: ReadonlyArray<DnsConfig>
  readonly static: { readonly endpoints: ReadonlyArray<EndpointConfig> }
}

export interface DashboardConfig extends Omit<Decoded["dashboard"], "access_policy"> {
  readonly access_policy: Readable<
    Required<Decoded["dashboard"]["access_policy"]>,
    "token" | "token_file" | "metrics_token" | "metrics_token_file"
  >
}

type DecodedLimits = Decoded["server"]["request_limits"]

export interface ServerConfig extends Omit<Decoded["server"], "request_limits"> {
  readonly request_limits: Readable<Required<DecodedLimits>, "max_buffered">
}

export type TrafficConfig = Decoded["traffic"]
/** Optional keys are left out where nothing is said. */
export type RuleConfig = TrafficConfig["rules"][number]
/** A plain list is a pool. */
export type AliasConfig = Decoded["model_aliases"][string]
export type AliasPolicy = Exclude<AliasConfig, ReadonlyArray<string>>

const isList = (alias: AliasConfig): alias is ReadonlyArray<string> => Array.isArray(alias)

/** Models that may serve an alias, best first. */
export const targetsOf = (alias: AliasConfig): ReadonlyArray<string> => (isList(alias) ? alias : alias.targets)

/** What it says besides, `undefined` for a plain list. */
export const policyOf = (alias: AliasConfig): AliasPolicy | undefined => (isList(alias) ? undefined : alias)

export type ModelRegistryConfig = Decoded["model_registry"]
export type AnthropicConfig = Decoded["translators"]["anthropic"]
export type LoggingConfig = Decoded["logging"]

export type TlsListenerConfig = Decoded["server"]["tls"]
export type UnixSocketConfig = Decoded["server"]["unix_socket"]

export interface AccessConfig extends Readable<Required<Omit<Decoded["access"], "keys" | "anonymous">>, "api_key" | "api_key_file"> {
  readonly keys: ReadonlyArray<TextTree>
  readonly anonymous: TextTree
}

export interface OllaConfig extends Omit<Decoded, "server" | "proxy" | "discovery" | "dashboard" | "access"> {
  readonly access: AccessConfig
  readonly server: ServerConfig
  readonly proxy: ProxyConfig
  readonly discovery: DiscoveryConfig
  readonly dashboard: DashboardConfig
}

/** Defaults that depend on other values, and absent keys as `undefined`. */
export const finish = (decoded: Decoded): OllaConfig => ({
  ...decoded,
  server: {
    ...decoded.server,
    request_limits: { ...decoded.server.request_limits, max_buffered: decoded.server.request_limits.max_buffered }
  },
  proxy: { ...decoded.proxy, response_header_timeout: decoded.proxy.response_header_timeout },
  discovery: {
    ...decoded.discovery,
    static: { endpoints: decoded.discovery.static.endpoints.map(finishEndpoint) },
    dns: decoded.discovery.dns.map(finishDns)
  },
  translators: {
    anthropic: finishTranslator(decoded.translators.anthropic),
    responses: finishTranslator(decoded.translators.responses),
    ollama: finishTranslator(decoded.translators.ollama),
    chat: finishTranslator(decoded.translators.chat)
  },
  access: { ...decoded.access, api_key: decoded.access.api_key, api_key_file: decoded.access.api_key_file },
  dashboard: {
    ...decoded.dashboard,
    access_policy: {
      ...decoded.dashboard.access_policy,
      token: decoded.dashboard.access_policy.token,
      token_file: decoded.dashboard.access_policy.token_file,
      metrics_token: decoded.dashboard.access_policy.metrics_token,
      metrics_token_file: decoded.dashboard.access_policy.metrics_token_file
    }
  }
})

const usualInterval = 5_000
const usualTimeout = 2_000

const finishEndpoint = (entry: DecodedEndpoint): EndpointConfig => {
  const interval = entry.check_interval || usualInterval
  return {
    ...entry,
    health_check_url: entry.health_check_url,
    model_url: entry.model_url,
    auth: entry.auth,
    tls: entry.tls,
    check_interval: interval,
    check_timeout: entry.check_timeout || Math.min(usualTimeout, interval / 2)
  }
}

const finishDns = (entry: DecodedDns): DnsConfig => {
  const { url: _, ...said } = finishEndpoint({ ...entry, url: "" })
  const { port, srv, interval, resolver, scheme } = entry
  return { ...said, port, srv, interval, resolver, scheme }
}

const finishTranslator = <T extends Pick<AnthropicConfig, "inspector">>(translator: T): T => ({
  ...translator,
  inspector: finishInspector(translator.inspector)
})

const finishInspector = (inspector: AnthropicConfig["inspector"]): AnthropicConfig["inspector"] => ({
  ...inspector,
  output_dir: inspector.output_dir === "" ? "./inspector-logs" : normalize(inspector.output_dir),
  session_header: inspector.session_header.trim() || "X-Session-ID"
})
