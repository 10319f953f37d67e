/**
 * The effective configuration, as every other room reads it.
 *
 * Keys keep the spelling of the YAML file, so that a value and the line that set it have one name. All durations are
 * milliseconds, all sizes bytes. `undefined` stands only where "not written" means something else than any value.
 */
export interface OllaConfig {
  readonly server: ServerConfig
  readonly proxy: ProxyConfig
  readonly discovery: DiscoveryConfig
  readonly model_registry: ModelRegistryConfig
  /** Alias to its targets, in file order. */
  readonly model_aliases: Readonly<Record<string, ReadonlyArray<string>>>
  readonly translators: { readonly anthropic: AnthropicConfig }
  readonly dashboard: DashboardConfig
  readonly logging: LoggingConfig
  readonly engineering: { readonly show_nerdstats: boolean }
  readonly telemetry: { readonly otlp: Readonly<Record<string, unknown>> }
}

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly read_timeout: number
  /** 0 means 10 s. */
  readonly read_header_timeout: number
  readonly write_timeout: number
  /** 0 means `read_timeout`. */
  readonly idle_timeout: number
  readonly shutdown_timeout: number
  readonly request_logging: boolean
  readonly request_limits: { readonly max_body_size: number; readonly max_header_size: number }
  readonly rate_limits: {
    readonly global_requests_per_minute: number
    readonly per_ip_requests_per_minute: number
    readonly health_requests_per_minute: number
    readonly burst_size: number
    readonly cleanup_interval: number
    readonly trust_proxy_headers: boolean
    readonly trusted_proxy_cidrs: ReadonlyArray<string>
  }
  readonly cors: {
    readonly enabled: boolean
    readonly allowed_origins: ReadonlyArray<string>
    readonly allowed_methods: ReadonlyArray<string>
    readonly allowed_headers: ReadonlyArray<string>
    readonly exposed_headers: ReadonlyArray<string>
    readonly allow_credentials: boolean
    readonly max_age: number
  }
  readonly cross_site_protection: boolean
  readonly allowed_hosts: ReadonlyArray<string>
  readonly watch_config: boolean
}

export interface ProxyConfig {
  readonly engine: "olla" | "sherpa"
  readonly profile: "auto" | "streaming" | "standard"
  readonly load_balancer: "priority" | "round-robin" | "least-connections"
  readonly connection_timeout: number
  readonly connection_keep_alive: number
  /** Bounds the wait for response headers over all attempts; 0 is off. */
  readonly response_timeout: number
  /** Longest silence between bytes of an answer; 0 is off. */
  readonly read_timeout: number
  /** `undefined`: not written (30 s, or `response_timeout` for non-streaming JSON); negative: off. */
  readonly response_header_timeout: number | undefined
  readonly tls_handshake_timeout: number
  /** 0: the engine's own default. */
  readonly stream_buffer_size: number
  readonly profile_filter: FilterConfig
  readonly sticky_sessions: {
    readonly enabled: boolean
    readonly idle_ttl_seconds: number
    readonly max_sessions: number
    readonly key_sources: ReadonlyArray<"session_header" | "prefix_hash" | "auth_header" | "ip">
    readonly prefix_hash_bytes: number
  }
}

/** `include` empty admits everything; `exclude` wins (configuration.md 4.5). */
export interface FilterConfig {
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
}

export interface DiscoveryConfig {
  readonly type: "static"
  readonly refresh_interval: number
  readonly model_discovery: {
    readonly enabled: boolean
    readonly interval: number
    readonly timeout: number
    readonly concurrent_workers: number
    readonly retry_attempts: number
    readonly retry_backoff: number
  }
  readonly static: { readonly endpoints: ReadonlyArray<EndpointConfig> }
}

/** One entry of `discovery.static.endpoints`, with defaults filled in and `${VAR}` in URLs expanded. Secrets are not resolved yet. */
export interface EndpointConfig {
  readonly url: string
  readonly name: string
  /** As written; empty means `auto`. */
  readonly type: string
  readonly priority: number
  /** `undefined`: the profile's. */
  readonly health_check_url: string | undefined
  readonly model_url: string | undefined
  readonly check_interval: number
  readonly check_timeout: number
  readonly preserve_path: boolean
  readonly model_filter: FilterConfig
  readonly auth: AuthConfig | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly tls: TlsConfig | undefined
}

export interface AuthConfig {
  readonly type: string
  readonly token?: string
  readonly token_file?: string
  readonly key?: string
  readonly key_file?: string
  readonly header?: string
  readonly username?: string
  readonly username_file?: string
  readonly password?: string
  readonly password_file?: string
}

/** security.md 11. */
export interface TlsConfig {
  readonly ca_file?: string
  readonly cert_file?: string
  readonly key_file?: string
  readonly server_name?: string
  readonly insecure_skip_verify?: boolean
}

export interface ModelRegistryConfig {
  readonly type: string
  readonly enable_unifier: boolean
  readonly routing_strategy: {
    readonly type: "strict" | "optimistic" | "discovery"
    readonly options: {
      readonly fallback_behavior: "compatible_only" | "none" | "all"
      readonly discovery_timeout: number
      readonly discovery_refresh_on_miss: boolean
    }
  }
  readonly unification: { readonly stale_threshold: number; readonly cleanup_interval: number }
}

export interface AnthropicConfig {
  readonly enabled: boolean
  readonly passthrough_enabled: boolean
  readonly max_message_size: number
  readonly inspector: { readonly enabled: boolean; readonly output_dir: string; readonly session_header: string }
}

export interface DashboardConfig {
  readonly enabled: boolean
  readonly access_policy: {
    readonly allowed_cidrs: ReadonlyArray<string>
    readonly allowed_hosts: ReadonlyArray<string>
    readonly token: string | undefined
    readonly token_file: string | undefined
  }
  readonly gate_internal_api: boolean
}

export interface LoggingConfig {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly format: "json" | "text"
  readonly output: "stdout" | "file"
  /** 0 is off. */
  readonly slow_request_threshold: number
}
