/**
 * The configuration's one Schema. Types, defaults, coercion, diagnostics, the JSON Schema for editors and the reference
 * table are derived from it: each key carries its kind, its default and its manual text.
 * The file is as long as the list of keys, which is read best in one place.
 *
 * Values in the Schema are those of `OllaConfig` (milliseconds, bytes). How they are written in YAML or in a variable is
 * the business of `Coercion.ts`, which reads the `kind` of each key.
 */
import * as Schema from "effect/Schema"
import { access, tls, unixSocket } from "./AccessSchema.ts"
import {
  bool,
  duration,
  fraction,
  int,
  key,
  optionalDuration,
  optionalSize,
  optionalText,
  section,
  size,
  strings,
  text,
  texts,
  withDefault,
  word
} from "./ConfigKey.ts"
import { aliasPolicy, endpointTraffic, traffic } from "./TrafficSchema.ts"

const filter = (what: string) =>
  section({
    include: strings([], `${what} to keep, by name; abc*, *abc and *abc* are patterns. Empty or with "*": all.`, {
      example: '["qwen*", "*coder*"]'
    }),
    exclude: strings([], `${what} to leave out; wins over include.`, { example: '["*-draft"]' })
  })

const inspector = (translator: string) =>
  section({
    enabled: bool(false, "Write whole conversations to disk. For debugging only."),
    output_dir: text(`logs/inspector/${translator}`, "Folder for them."),
    session_header: text("X-Session-ID", "Request header that names the session."),
    redact: bool(false, "Write lengths instead of texts, also in tools' inputs; shape, names, counts and ends stay.")
  })

const seconds = 1000
const minutes = 60 * seconds
const hours = 60 * minutes
const MiB = 1024 * 1024

export const server = section({
  host: text("localhost", "Address to listen on. Empty: all interfaces. `localhost` answers on 127.0.0.1 and ::1."),
  port: int(40114, "Port to listen on.", { min: 1, max: 65535 }),
  read_timeout: duration(
    30 * seconds,
    "Time to receive a whole request, body included; then 408, unless the body comes with 32 KiB a second or more. 0: unlimited."
  ),
  read_header_timeout: duration(0, "Time to receive a request's headers. 0: 10s."),
  write_timeout: duration(0, "Cap on a whole answer, however well it flows. Keep 0, or streams are cut."),
  idle_timeout: duration(0, "How long an idle keep-alive connection is kept. 0: read_timeout."),
  shutdown_timeout: duration(10 * seconds, "How long open requests may go on after a stop signal. 0s: not at all."),
  drain_delay: duration(
    0,
    "How long new requests are still served after a stop signal, while /internal/ready answers 503; shutdown_timeout begins after it."
  ),
  reuse_port: bool(
    false,
    "Share the port with other processes of the same user that set this too (SO_REUSEPORT), so that a new daemon can take over from an old one."
  ),
  root_routes: bool(
    true,
    "Offer every API by its short paths (/v1/..., /api/...) at the root as well as below /olla: one base URL for all clients."
  ),
  server_timing: bool(
    false,
    "Tell clients in a Server-Timing header whose time it was, Olla's or the backend's. Strangers learn something of the fleet by it."
  ),
  request_logging: bool(true, "Write request and access records. false keeps those of 400 and above."),
  request_limits: section({
    max_body_size: size(100 * MiB, "Largest request body, unpacked; above it 413. 0 or less: unlimited."),
    max_buffered: optionalSize(
      "Memory for the request bodies of all clients together, unpacked, those for translation counted three times; beyond it 503 with Retry-After. Not set: 1 GiB, or a quarter of the memory of machine or container where that is less. 0 or less: unlimited.",
      { example: "2GB" }
    ),
    max_header_size: size(MiB, "Largest header block; above it 431. 0 or less: 1 MiB; at least 4 KiB.")
  }),
  rate_limits: section({
    global_requests_per_minute: int(
      1000,
      "Requests a minute over all clients. 0 or less: off. Not set: not for loopback and private addresses."
    ),
    per_ip_requests_per_minute: int(
      100,
      "Requests a minute for each client address. 0 or less: off. Not set: not for loopback and private addresses."
    ),
    health_requests_per_minute: int(
      1000,
      "Requests a minute for each client address on /internal/health. 0 or less: off. Not set: not for loopback and private addresses."
    ),
    burst_size: int(50, "Requests that may come at once: the capacity of the buckets.", { min: 0 }),
    cleanup_interval: duration(5 * minutes, "How often buckets that were idle for ten minutes are dropped. 0 or less: never.", {
      min: Number.NEGATIVE_INFINITY
    }),
    trust_proxy_headers: bool(false, "Take the client's address from X-Forwarded-For or X-Real-IP when the peer is a trusted proxy."),
    trusted_proxy_cidrs: strings(
      ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
      "Networks of trusted proxies. [] trusts nobody.",
      { example: '["10.0.0.0/8"]' }
    )
  }),
  cors: section({
    enabled: bool(false, "Answer browsers of other origins."),
    allowed_origins: strings(["*"], "Origins that may call; one * in each is allowed."),
    allowed_methods: strings(["GET", "POST", "OPTIONS"], "Methods that they may use."),
    allowed_headers: strings(["*"], "Request headers that they may send."),
    exposed_headers: strings([], "Response headers that they may read. Empty: all X-Olla-* headers.", { example: '["X-Olla-Endpoint"]' }),
    allow_credentials: bool(false, 'Allow cookies and credentials; not with an origin of "*".'),
    max_age: int(300, "Seconds a preflight answer may be cached. 0: header not sent.")
  }),
  cross_site_protection: bool(false, "Refuse requests that a foreign web page makes, or for a Host that is not allowed."),
  tls,
  unix_socket: unixSocket,
  allowed_hosts: strings([], "Further Host headers that cross_site_protection answers.", { example: '["olla.example.com"]' }),
  watch_config: bool(false, "Reload by itself when the configuration, a profile, models.yaml, a secret or a certificate file changes.")
})

export const proxy = section({
  engine: word(["olla", "sherpa"], "olla", "How bytes are moved: olla (fast) or sherpa (simple)."),
  profile: word(["auto", "streaming", "standard"], "auto", "When answers are pushed out: auto decides by content type."),
  load_balancer: word(
    ["priority", "round-robin", "least-connections", "adaptive"],
    "least-connections",
    "How one of several endpoints is picked. adaptive: the one that is expected to answer first."
  ),
  connection_timeout: duration(60 * seconds, "Time to connect to a backend, DNS included. 0: 60s."),
  connection_keep_alive: duration(0, "TCP keep-alive interval. 0: 30s."),
  response_timeout: duration(15 * minutes, "Bounds the wait for response headers over all attempts. 0: off."),
  read_timeout: duration(10 * minutes, "Longest silence between bytes of an answer. 0: off."),
  response_header_timeout: optionalDuration(
    "Wait for a backend's response headers. Not set: no limit but response_timeout. 0: 30s. Negative: off.",
    {
      min: Number.NEGATIVE_INFINITY,
      example: "30s"
    }
  ),
  tls_handshake_timeout: duration(0, "TLS handshake with a backend. 0: 10s."),
  stream_buffer_size: size(
    0,
    "olla: largest single read from an `http:` backend, 1 MiB at most. sherpa: what is read ahead of the client. 0: the engine's default (olla 64 KiB, sherpa 8 KiB).",
    { min: 0 }
  ),
  profile_filter: filter("Profiles"),
  max_retries: int(3, "Deprecated, no effect: every candidate is tried once."),
  retry_backoff: duration(500, "Deprecated, no effect: failover does not wait."),
  sticky_sessions: section({
    enabled: bool(false, "Keep a conversation on one endpoint."),
    idle_ttl_seconds: int(600, "Seconds after which an idle session is forgotten. 0 or less: never."),
    max_sessions: int(10_000, "Sessions kept; the least recently used goes first. 0: unlimited.", { min: 0 }),
    key_sources: withDefault(
      key(Schema.Array(Schema.Literals(["session_header", "prefix_hash", "auth_header", "ip"])), {
        kind: "words",
        doc: "What a session is recognised by, in this order. []: no affinity.",
        words: ["session_header", "prefix_hash", "auth_header", "ip"],
        example: "[session_header, prefix_hash, auth_header]"
      }),
      ["session_header", "prefix_hash", "auth_header"]
    ),
    prefix_hash_bytes: int(
      0,
      "Most bytes of a conversation's beginning, up to the end of its first user message, that prefix_hash takes. 0: 64 KiB.",
      { min: 0 }
    )
  })
})

/** Fields of one endpoint; rules over several of them are the endpoint room's. */
export const endpoint = Schema.Struct({
  url: text("", "Base URL: http or https, host, port, optional path. ${VAR} is expanded. Identity of the endpoint.", {
    example: '"http://localhost:11434"'
  }),
  name: text("", "Shown in headers, status and logs. Empty: host:port.", { example: "gpu-1" }),
  type: text("", "Kind of backend: a profile's name or prefix, or auto. Empty: auto.", { example: "ollama" }),
  priority: int(100, "Higher is preferred by the priority balancer. 0 is valid.", { min: Number.NEGATIVE_INFINITY }),
  health_check: word(
    ["auto", "none"],
    "auto",
    "none: nothing is probed. The endpoint is taken as healthy until three attempts in a row cannot be carried, for check_interval."
  ),
  health_check_url: optionalText("Path or URL that is probed. Default: the kind's.", { example: "/health" }),
  model_url: optionalText("Path or URL of the model listing. Default: the kind's.", { example: "/v1/models" }),
  check_interval: optionalDuration("Time between probes, at least 1s. Default 5s.", { min: Number.NEGATIVE_INFINITY, example: "5s" }),
  check_timeout: optionalDuration("Time for one probe, less than check_interval, at most 30s. Default: 2s or half the interval.", {
    min: Number.NEGATIVE_INFINITY,
    example: "500ms"
  }),
  preserve_path: bool(
    false,
    "Keep the base URL's path before the request's even where health_check_url and model_url are elsewhere. It is kept anyhow where they are below it."
  ),
  model_filter: filter("Models"),
  ...endpointTraffic,
  auth: Schema.optionalKey(
    Schema.Struct({
      type: text("", "bearer, api_key or basic.", { example: "bearer" }),
      token: optionalText("Bearer token. ${VAR} is expanded.", { secret: true, example: '"${GPU_TOKEN}"' }),
      token_file: optionalText("File that holds the token.", { example: "/run/secrets/gpu_token" }),
      key: optionalText("API key. ${VAR} is expanded.", { secret: true, example: '"${GPU_KEY}"' }),
      key_file: optionalText("File that holds the key.", { example: "/run/secrets/gpu_key" }),
      header: optionalText("Header for api_key; default X-Api-Key.", { example: "X-Api-Key" }),
      username: optionalText("User of basic auth. ${VAR} is expanded.", { secret: true, example: '"${GPU_USER}"' }),
      username_file: optionalText("File that holds the user.", { example: "/run/secrets/gpu_user" }),
      password: optionalText("Password of basic auth. ${VAR} is expanded.", { secret: true, example: '"${GPU_PASSWORD}"' }),
      password_file: optionalText("File that holds the password.", { example: "/run/secrets/gpu_password" })
    })
  ),
  headers: texts("Headers set on every request to this endpoint. ${VAR} is expanded.", { secret: true, example: "{X-Team: research}" }),
  tls: Schema.optionalKey(
    Schema.Struct({
      ca_file: optionalText("PEM file of authorities to trust besides the system's.", { example: "/etc/olla/ca.pem" }),
      cert_file: optionalText("PEM client certificate.", { example: "/etc/olla/client.pem" }),
      key_file: optionalText("PEM key of the client certificate.", { example: "/etc/olla/client.key" }),
      server_name: optionalText("Name to expect in the server's certificate.", { example: "gpu.example.com" }),
      insecure_skip_verify: bool(false, "Do not verify the server's certificate.")
    })
  )
})

const { url: _url, name: _name, ...besidesItsPlace } = endpoint.fields

/** One name that stands for endpoints; what is beside its place is said as of an endpoint. */
export const dnsEntry = Schema.Struct({
  name: text("", "Name that is looked up, in full: neither the hosts file nor search domains count.", { example: "vllm.internal" }),
  port: Schema.optionalKey(
    key(Schema.Int, { kind: "int", doc: "Port of its endpoints, at each of its addresses (A, AAAA).", min: 1, max: 65535, example: "8000" })
  ),
  srv: bool(false, "Look up SRV records instead, which say hosts and ports. Their priority and weight do not count."),
  interval: duration(30 * seconds, "Longest time between two look-ups, at least 1s; the records' time to live may shorten it.", {
    min: Number.NEGATIVE_INFINITY
  }),
  resolver: text("", "Name server that is asked, IP address with or without a port. Empty: the system's.", { example: '"127.0.0.1:5353"' }),
  scheme: word(
    ["http", "https"],
    "http",
    "How its endpoints are spoken to. https: with the name's certificate, or that of tls.server_name."
  ),
  ...besidesItsPlace
})

export const configSchema = Schema.Struct({
  server,
  proxy,
  discovery: section({
    type: word(["static"], "static", "Where endpoints come from."),
    refresh_interval: duration(30 * seconds, "No effect: endpoints are static."),
    model_discovery: section({
      enabled: bool(true, "Ask endpoints for their models. false: requests are not routed by model."),
      interval: duration(5 * minutes, "Time between rounds."),
      timeout: duration(30 * seconds, "Time for one endpoint's listing, retries included."),
      concurrent_workers: int(5, "Endpoints asked at the same time."),
      retry_attempts: int(3, "Further tries after a failure that may pass.", { min: 0 }),
      retry_backoff: duration(1 * seconds, "Pause before the first further try; it doubles.")
    }),
    static: section({
      endpoints: withDefault(
        Schema.Array(endpoint).annotate({ description: "The backends. A list here replaces the built-in one; [] is none." }),
        [
          {
            url: "http://localhost:11434",
            name: "localhost",
            type: "ollama",
            priority: 100,
            health_check_url: "/",
            model_url: "/api/tags",
            check_interval: 5 * seconds,
            check_timeout: 2 * seconds
          }
        ]
      )
    }),
    dns: withDefault(
      Schema.Array(dnsEntry).annotate({
        description: "Names that stand for backends, looked up again and again. With one, there is no built-in endpoint."
      }),
      []
    )
  }),
  model_registry: section({
    type: withDefault(
      key(Schema.Literals(["memory", ""]), { kind: "word", doc: "Where models are kept.", words: ["memory", ""], example: "memory" }),
      "memory"
    ),
    enable_unifier: bool(true, "Merge models of all endpoints into one catalogue."),
    routing_strategy: section({
      type: word(["strict", "optimistic", "discovery"], "strict", "What happens to a model that no routable endpoint has.", {
        fallback: "strict"
      }),
      options: section({
        fallback_behavior: word(
          ["compatible_only", "none", "all"],
          "compatible_only",
          "Who may serve a model that nobody has: all is every compatible endpoint.",
          { whenEmpty: "compatible_only" }
        ),
        discovery_timeout: duration(2 * seconds, "Time for a refresh on a miss (strategy discovery). 0 or less: 2s.", {
          min: Number.NEGATIVE_INFINITY
        }),
        discovery_refresh_on_miss: bool(true, "Ask the endpoints anew when a model is missing (strategy discovery).")
      })
    }),
    unification: section({
      stale_threshold: duration(24 * hours, "Forget the models of an endpoint that has been gone this long. 0 or less: 24h.", {
        min: Number.NEGATIVE_INFINITY
      }),
      cleanup_interval: duration(10 * minutes, "How often that is checked. 0 or less: 5m.", { min: Number.NEGATIVE_INFINITY })
    })
  }),
  model_aliases: withDefault(
    key(Schema.Record(Schema.String, Schema.Union([Schema.Array(Schema.String), aliasPolicy])), {
      kind: "aliases",
      doc: "Further names for models: alias to the models that may serve it, best first; or to a policy with targets.",
      example: '{coder: ["qwen2.5-coder:14b"]}'
    }),
    {}
  ),
  traffic,
  translators: section({
    anthropic: section({
      enabled: bool(true, "Offer Anthropic's Messages API under /olla/anthropic."),
      passthrough_enabled: bool(true, "Hand requests on untranslated where the backend speaks that API."),
      max_message_size: size(32 * MiB, "Largest request body there, as Anthropic's own API has it. 0: 32 MiB; at most 100 MiB."),
      inspector: inspector("anthropic")
    }),
    responses: section({
      enabled: bool(true, "Offer OpenAI's Responses API under /v1/responses and /olla/v1/responses, on every backend."),
      passthrough_enabled: bool(true, "Hand requests on untranslated where the backend speaks that API and can do what is asked."),
      max_message_size: size(100 * MiB, "Largest request body there. 0: 32 MiB; at most 100 MiB."),
      codex_instructions: text(
        "",
        "File with the system prompt that Codex is to use for every model. Empty: Codex keeps its own, which is mostly better.",
        { example: "/etc/olla/codex.md" }
      ),
      inspector: inspector("responses")
    }),
    ollama: section({
      enabled: bool(true, "Offer Ollama's API under /api/... and /olla/api/..., on every backend."),
      passthrough_enabled: bool(true, "Hand requests on untranslated where the backend is Ollama."),
      max_message_size: size(100 * MiB, "Largest request body there. 0: 32 MiB; at most 100 MiB."),
      inspector: inspector("ollama")
    }),
    chat: section({
      enabled: bool(true, "Translate chat completions for backends that have none. false: they are only relayed."),
      passthrough_enabled: bool(true, "Relay them where the backend has them. false: only where it has nothing else."),
      max_message_size: size(100 * MiB, "Largest request body that is translated. 0: 32 MiB; at most 100 MiB."),
      inspector: inspector("chat")
    })
  }),
  translation: section({
    prefer: word(
      ["priority", "native"],
      "priority",
      "Who is asked first where `proxy.load_balancer` is `priority`: priority: the endpoints of the highest priority, among them those that need no translation; native: those that need none, whatever their priority."
    ),
    keep_alive: section({
      first: duration(10 * seconds, "Silence of a backend before the client of a stream gets a sign of life. Negative: never.", {
        min: Number.NEGATIVE_INFINITY
      }),
      interval: duration(15 * seconds, "Silence between two such signs. Negative: never.", { min: Number.NEGATIVE_INFINITY })
    }),
    assumed_context: int(32768, "Context length that lists tell for models of which none is known, in tokens.", { min: 1 }),
    reasoning: word(
      ["all", "loop", "none"],
      "all",
      "Reasoning of earlier turns that backends get back: all; loop: what stands behind the last user message; none."
    ),
    think_tags: bool(true, "Read <think>…</think> at the beginning of an answer as reasoning."),
    echo_alias: bool(false, "Name in translated Messages answers the alias that was asked for, instead of the backend's model.")
  }),
  access,
  dashboard: section({
    enabled: bool(true, "Whether /internal/ui/ is there. It says that this build has no console yet; with false it is 404.", {}),
    access_policy: section({
      allowed_cidrs: strings(["127.0.0.0/8", "::1/128"], "Networks that may see it, by TCP peer."),
      allowed_hosts: strings(["localhost"], "Host headers that may be used; IP addresses always may."),
      token: optionalText(
        "Bearer token: opens operators' actions to other machines; with gate_internal_api it is asked for after address and host. ${VAR} is expanded.",
        {
          secret: true,
          example: '"${OLLA_DASHBOARD_TOKEN}"'
        }
      ),
      token_file: optionalText("File that holds the token.", { example: "/run/secrets/dashboard_token" }),
      metrics_token: optionalText(
        "Bearer token that opens /internal/metrics, from any address and under any host, and nothing else; without one it is 401 then. ${VAR} is expanded.",
        { secret: true, example: '"${OLLA_METRICS_TOKEN}"' }
      ),
      metrics_token_file: optionalText("File that holds it.", { example: "/run/secrets/metrics_token" })
    }),
    gate_internal_api: bool(
      false,
      "Apply the policy to /internal/* (/internal/health and /internal/ready too) and /version. Not set while `access` asks for keys: applied, but for those two."
    )
  }),
  logging: section({
    level: word(["debug", "info", "warn", "error"], "info", "Least level that is written.", { fallback: "info", whenEmpty: "info" }),
    format: word(["json", "text"], "json", "Form of records when stdout is no terminal.", { fallback: "json", whenEmpty: "json" }),
    output: word(["stdout", "file"], "stdout", "file: write a rotating file as well.", { fallback: "stdout", whenEmpty: "stdout" }),
    slow_request_threshold: duration(0, "Warn about requests that take longer. 0: off."),
    requests: word(["brief", "full"], "brief", "brief: one record for each proxied request; full: each step of it.", {
      fallback: "brief",
      whenEmpty: "brief"
    }),
    backend_errors: bool(true, "Tell what a backend itself said about an error, shortened and without secrets.")
  }),
  engineering: section({ show_nerdstats: bool(false, "Log process statistics at the end.") }),
  telemetry: section({
    otlp: section({
      endpoint: text("", "Where traces are sent: base URL of an OpenTelemetry collector; /v1/traces is added. Empty: nowhere.", {
        example: '"http://localhost:4318"'
      }),
      protocol: word(["http/json", "http/protobuf"], "http/json", "Encoding of what is sent. gRPC is not spoken."),
      headers: texts("Headers sent to the collector. ${VAR} is expanded.", { secret: true, example: "{X-Team: research}" }),
      interval: duration(5 * seconds, "Longest wait before spans are sent."),
      timeout: duration(10 * seconds, "Time for sending once.", { min: 1 }),
      queue: int(4096, "Spans that wait at most; beyond it whole traces are dropped and counted.", { min: 1 }),
      service_name: text("olla", "Under which name the traces are found."),
      resource: texts("Further attributes of this process, such as a site.", { example: "{deployment.environment.name: lab}" }),
      sample: fraction(1, "Which part of the traces that begin here is sent, from 0 to 1."),
      parent: word(
        ["continue", "link"],
        "continue",
        "What a client's trace is: continue it, its flag deciding whether it is sent; or link to it from a trace of Olla's own, for clients that nobody trusts."
      ),
      keep_errors: bool(true, "Send the trace of what failed although it was not sampled."),
      keep_slow: duration(10 * seconds, "Send the trace of a request whose first byte came later than this. 0s: off."),
      control_plane: word(
        ["none", "changes", "all"],
        "changes",
        "Traces of Olla's own doings: of what changed or failed, or all probes, listings, rebuilds and reloads, by sample."
      )
    })
  })
})
