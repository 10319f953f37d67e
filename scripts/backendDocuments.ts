/** docs/backends.md: how backends are watched, by hand; each kind, from its profile. */
import type { ListingFormat } from "../src/profile/ListingFormats.ts"
import { readListing } from "../src/profile/ListingReading.ts"
import type { Profile } from "../src/profile/Profile.ts"

/** An entry with everything that any listing may tell: what comes out of a reader is what Olla learns from that kind. */
const fullEntry = {
  id: "m",
  name: "m",
  object: "model",
  created: 1,
  modified_at: "2026-01-01T00:00:00Z",
  owned_by: "somebody",
  max_model_len: 1,
  parent: "base",
  size: 1,
  digest: "d",
  description: "d",
  details: {
    parameter_size: "7B",
    quantization_level: "Q4",
    family: "f",
    families: ["f"],
    format: "gguf",
    parent_model: "b",
    context_length: 1
  },
  type: "llm",
  publisher: "p",
  arch: "a",
  compatibility_type: "gguf",
  quantization: "Q4",
  state: "loaded",
  max_context_length: 1,
  checkpoint: "p/c",
  recipe: "llamacpp",
  downloaded: true,
  meta: { n_ctx_train: 1, n_params: 1, size: 1 },
  supports_vision: true,
  radix_cache_size: 1,
  spec_decoding: true,
  frontend_enabled: true
}

const learned = (format: ListingFormat): ReadonlyArray<string> => {
  const reading = readListing(format, { data: [fullEntry], models: [fullEntry] }, 0).next().value
  const model = reading?._tag === "ok" ? reading.models[0] : undefined
  if (model === undefined) throw new Error(`no model read in the form of ${format}`)
  const known = { size: model.size, description: model.description, created: model.created, ...model.details }
  return Object.entries(known)
    .filter(([key, value]) => value !== undefined && key !== "modified_at")
    .map(([key]) => key)
}

const code = (texts: ReadonlyArray<string>): string => texts.map((text) => `\`${text}\``).join(", ")

const section = (profile: Profile): string => {
  const { anthropic, metrics } = profile
  const native =
    anthropic?.enabled === true
      ? `natively at \`${anthropic.messagesPath}\`${anthropic.tokenCount ? ", token counts too" : ""}${anthropic.minVersion === "" ? "" : ` (from version ${anthropic.minVersion})`}`
      : "in translation"
  const aliases = profile.prefixes.filter((prefix) => prefix !== profile.name)
  const port = profile.defaultPorts[0] ?? "PORT"
  const rows: ReadonlyArray<readonly [string, string]> = [
    ["`type`", code([profile.name, ...aliases])],
    ["usual port", profile.defaultPorts.length === 0 ? "none" : profile.defaultPorts.join(", ")],
    ["routes", code(profile.prefixes.map((prefix) => `/olla/${prefix}/`))],
    ["health is asked at", `\`${profile.healthCheckPath || "/"}\``],
    ["models are read from", `\`${profile.modelDiscoveryPath || "/v1/models"}\` (\`${profile.listingFormat}\` form)`],
    ["learned of a model", code(learned(profile.listingFormat))],
    ["chat", `\`${profile.chatPath}\``],
    ["Anthropic Messages", native],
    ["paths it is preferred for", code(profile.paths)],
    ...(profile.listings.size === 0
      ? []
      : [["lists that Olla answers", [...profile.listings].map(([path, form]) => `\`${path}\` (\`${form}\`)`).join(", ")] as const]),
    ...(profile.refusedEverywhere.length === 0
      ? []
      : [["paths that get 501 under every prefix", code(profile.refusedEverywhere.map(([path]) => path))] as const]),
    ...(profile.refusedPaths.length === 0 ? [] : [["paths that get 501", code(profile.refusedPaths.map(([path]) => path))] as const]),
    ...(profile.impliedTag === "" ? [] : [["a name without a tag means", `\`:${profile.impliedTag}\``] as const]),
    ["usage figures from", metrics.enabled ? code(Object.values(metrics.paths).map((path) => path.replace(/^\$\.?/, ""))) : "nothing"]
  ]
  return `### ${profile.displayName}

${profile.description}

\`\`\`yaml
- url: http://HOST:${port}
  type: ${profile.name}
\`\`\`

| | |
|---|---|
${rows.map(([name, value]) => `| ${name} | ${value} |`).join("\n")}
${profile.notes.length === 0 ? "" : `\n${profile.notes.map((note) => `- ${note}`).join("\n")}\n`}`
}

const watching = `## What Olla does with an endpoint

An endpoint is a URL and a type; everything else has a default.

\`\`\`yaml
discovery:
  static:
    endpoints:
      - url: http://10.0.0.5:8000
        type: vllm
      - url: https://gpu.example.com/llm
        name: gpu                                   # default: host:port
        type: openai                                # or auto, which asks the server what it is
        priority: 200                               # default 100, higher is better
        check_interval: 10s                         # default 5s, at least 1s
        check_timeout: 4s                           # default 2s, at most 30s and less than the interval
        auth: {type: bearer, token: "\${GPU_TOKEN}"}  # or api_key, basic; each also from a file: token_file
        headers: {X-Team: research}
        tls: {ca_file: /etc/ssl/gpu-ca.pem}
        model_filter: {include: ["llama*"], exclude: ["*embed*"]}
\`\`\`

An endpoint is its URL. Names are for people: two endpoints may share one (a warning), two entries with one URL are one endpoint, and
the later entry counts. Credentials in a URL are refused. \`health_check_url\` and \`model_url\` take a path, which extends the base
URL's own, or a whole URL, which may lead elsewhere.

### Health

Every \`check_interval\` (give or take 5 %) the health path is asked with GET, the endpoint's credentials and headers, over a
connection of its own. What comes back decides at once, but for one that is late.

| answer | status | gets requests |
|---|---|---|
| 2xx within 10 s | \`healthy\` | yes |
| 2xx, slower than 10 s (needs a \`check_timeout\` above that) | \`busy\` | yes, with priority balancing fewer |
| none: refused, unreachable, reset, TLS failure (after two more tries within 0.3 s), or \`check_timeout\` over three times in a row | \`offline\` | no |
| 401, 403 | \`config_error\`: look at \`auth\` | no |
| 429 | \`rate_limited\`, asked again when \`Retry-After\` says, 30 s without it, an hour at most | no |
| anything else | \`unhealthy\` | no |

A server at work answers its health route when it comes to it: a late check says nothing while requests are answered, nor for six
intervals after the last answer. An endpoint that late checks took out is back with the first answer to a request that it still has.

An endpoint that is out is checked at its interval for a minute, then ever more seldom, up to once a minute. A proxied request that cannot
connect takes the endpoint out at once, without waiting for a check. One whose connection is closed before an answer asks for a check
at once (one a second at most), and only when that fails the endpoint is out: the server may have died of this request alone, and such
a request is sent to one more endpoint at most. Statuses of proxied requests never take anybody out, 5xx included. The next good check
brings it back, and its models are read anew.

\`health_check: none\` is for a server without any route to check. It is taken as healthy; three requests in a row that could not be carried
take it out for \`check_interval\`, and then the first one decides.

Intervals, waits and ages are of a clock that nobody sets: a step of the system's time changes none of them.

A redirect inside the backend's origin is followed, three times at most. One to another origin is not: that somebody else is well says
nothing about this backend, which is \`unhealthy\` then. Proxies from the environment are never used for backends.

A check that cannot be made because Olla itself is out of file descriptors says nothing about a backend; the log tells of it.

A quarter of the endpoints are checked at once, five at least, ten while starting. A check that has waited 2 s for its backend leaves
its place to the next one and goes on; readings of model lists do the same with \`concurrent_workers\`. So backends that hang, however
many, hold up nobody else's checks and lists for long.

### Models

The model list is read when an endpoint is first seen healthy, every \`discovery.model_discovery.interval\` (5 m), and on recovery. Each
endpoint by itself: what one of them does holds up nobody. A list that cannot be read (not JSON, cut off, above 10 MiB or 10,000
models, an entry above 256 Ki characters, too slow) leaves the models that are known and shows in \`last_error\` of \`/internal/status/endpoints\`. It is tried again
\`retry_attempts\` times; after a 4xx, or five failed readings, it is left alone for a while (\`discovery_disabled\`), two intervals
first, then twice as long, an hour at most.

### \`type: auto\`

| asked in turn | and answered with | is |
|---|---|---|
| \`/engines/v1/models\` | \`data\` | Docker Model Runner |
| \`/api/tags\` | \`models\` and no \`data\` | Ollama |
| \`/api/v0/models\` | \`data\` | LM Studio |
| \`/api/v1/models\` | entries with \`recipe\` or \`checkpoint\` | Lemonade |
| \`/health/liveliness\` | \`"I'm alive!"\` | LiteLLM |
| \`/v1/models\` | \`owned_by\` vllm, vllm-mlx, sglang, lmdeploy, omlx, rapid-mlx or llamacpp | that one |
| | \`models\` beside \`data\`, entries with \`meta\`, or the header \`Server: llama.cpp\` | llama.cpp |
| | any other list | OpenAI compatible |

With a \`model_url\` that alone is asked. Until something is proved, each health check tries again; \`detected_type\` in
\`/internal/status/endpoints\` tells what was found. When another kind of server takes the place, the next
reading of models finds out, or the next check, where the old kind's health path is not found. Such endpoints serve every provider's routes. Say the type where you know it: it
saves questions, and keeps an endpoint out of other kinds' routes.

### When something is wrong

\`curl localhost:40114/internal/status/endpoints\`:

| shown | means |
|---|---|
| \`status\`, \`issues\` | the table above; \`unstable\`: more than three failures in a row |
| \`last_error\` | why the last check, request or model list failed |
| \`next_check_at\` | when it is asked again |
| \`circuit_breaker\` | the breaker of proxied requests: \`open\` after five that had no answer, one trial after 30 s |
| \`discovery_disabled\` | the model list is left alone for a while after failures |
| \`detected_type\` | what an \`auto\` endpoint is |
| \`actor_restarts\` | how often the watching itself crashed and began anew: a bug of ours, please report it with the log |
`

const ownKinds = `## A kind of your own

One YAML file, no code. \`*.yaml\` files in a \`profiles\` folder beside the configuration file, in \`./config/profiles\` and in
\`$OLLA_CONFIG_DIR/profiles\` (the later wins) add kinds and replace shipped ones. \`olla validate\` names what is wrong in one, with its
line; a broken file is skipped and never stops the start. Changes need a restart.

\`\`\`yaml
# config/profiles/cedarserve.yaml
name: cedarserve                      # lower case; what \`type\` says
routing: {prefixes: [cedarserve, cedar]}   # /olla/cedarserve/ and /olla/cedar/
api:
  openai_compatible: true             # also serves /olla/openai/
  health_check_path: /healthz
  model_discovery_path: /v1/models
  paths: [/v1/models, /v1/chat/completions, /v1/completions, /v1/score]
  anthropic_support: {enabled: true, messages_path: /claude/v1/messages, limitations: [no_vision]}
request: {response_format: openai}    # how its model list reads
metrics:
  extraction:
    enabled: true
    paths: {input_tokens: $.usage.prompt_tokens, output_tokens: $.usage.completion_tokens, gen_ms: $.cedar.decode_ms}
    calculations: {tokens_per_second: "gen_ms > 0 ? output_tokens * 1000 / gen_ms : 0"}
\`\`\`

\`extends: vllm\` starts from another profile: mappings are laid over it key by key, lists and values replace. A file without
\`extends\` replaces a shipped profile of its name whole; only the keys of the second table, where it does not say them, stay as shipped. All other keys are in the shipped files; a few that need words:

| key | |
|---|---|
| \`api.paths\` | requests for these prefer this kind on \`/olla/proxy/\`. Other paths are forwarded all the same |
| \`api.enforce_paths\` | \`true\`: under its own prefixes other paths get 404 and reach no backend |
| \`api.anthropic_support.limitations\` | \`no_tool_use\`, \`no_extended_thinking\`, \`no_vision\`, \`no_server_tools\`: such messages are translated |
| \`api.chat_support\` | \`enabled\`: it answers chat completions; when absent, whether it is \`openai_compatible\` or lists such a path. A server without them is asked in another API that it has: Messages, Responses or Ollama's |
| \`api.ollama_support\` | \`enabled\`: it answers Ollama's own \`/api/chat\` and \`/api/generate\` |
| \`api.embeddings\` | \`openai\` and \`ollama\`: the forms in which it makes embeddings; when absent, told from \`api.paths\` |
| \`api.responses_support\` | \`enabled\`, \`responses_path\`: it answers OpenAI's Responses itself; \`limitations: [functions_only]\`: requests with other tools are translated; \`stateful\`: it keeps conversations (\`previous_response_id\`) |
| \`api.reasoning_fields\` | fields of an assistant message that this kind reads its reasoning of former turns from: translated requests give it back |
| \`api.thinking_switch\` | how a translated request says whether to think: \`none\`, \`chat_template\` (\`chat_template_kwargs\`), \`effort\` (\`reasoning_effort\`; \`none\` is off) |
| \`api.extra_sampling\` | sampling fields beyond OpenAI's that its chat takes: \`top_k\`, \`min_p\`, \`repeat_penalty\`, \`repetition_penalty\` |
| \`api.prompt_cache_key\` | \`true\`: it hands \`prompt_cache_key\` on to servers that keep caches by key |
| \`api.anthropic_support.threads\` | \`true\`: it holds conversations (\`thread\` of the API), as Anthropic's own servers do. To others no request goes that leaves its past to the server |
| \`request.response_format\` | FORMATS |
| \`metrics.extraction.source\` | \`response_body\`, or \`response_headers\` with \`headers: {input_tokens: X-Tokens-In}\` |
| \`metrics.extraction.calculations\` | numbers, the fields of \`paths\` and \`headers\`, \`response_time_ms\` as measured, \`+ - * / %\`, comparisons, \`&& \\|\\| !\`, \`?:\`, \`len()\` |
| \`characteristics.fixed_model\` | \`true\`: a server has its models in memory for as long as it runs, unless it says otherwise |
| \`characteristics.prompt_cache_tokens\` | tokens of prompts that a server keeps, where it does not say; 64000 when absent |
| the rest of \`characteristics\`, \`resources\`, \`models\`, the rest of \`detection\` | checked and kept for reference; nothing is capped or guessed by them |

| key that a whole replacement keeps | |
|---|---|
| \`routing.generic\` | \`true\`: the kind of servers of unknown make. Its routes take every OpenAI-compatible kind, translated requests have only fields that OpenAI's API knows |
| \`routing.generic_paths\` | \`true\`: paths that only the generic kind lists are this kind's too |
| \`routing.refused_paths\` | paths under its prefixes that get 501, each with the reason (an empty one lifts it); one that ends in \`*\` stands for all that begin so |
| \`routing.refused_everywhere\` | the same, whatever the prefix, \`/olla/proxy/\` included; a kind that lists such a path under \`api.paths\` keeps it under its own prefixes |
| \`api.listing_paths\` | paths under its prefixes that Olla answers with the kind's models, each with the form of the list. \`model_discovery_path\` and, of an OpenAI-compatible kind, \`/v1/models\` are such without being said |
| \`models.implied_tag\` | the tag of a name without one, as Ollama's \`latest\` |
| \`detection.proofs\` | what \`type: auto\` knows the kind by, each a mapping: \`path\` to ask; \`place\` (whole number, 50), lower ones first over all kinds; and marks that must all be there: \`lists\` (keys of the answer), \`lacks\` (a list that is not there), \`entry_fields\` and \`owned_by\` (some entry of \`data\` has one), \`text\` (the whole answer), \`header\` (\`name\`, or \`name: beginning\`). \`anywhere: true\`: also for a list at an endpoint's own \`model_url\`; \`listing: false\`: the answer is no list of models |
| \`signals.sources\` | where a server tells of its load, each a mapping: \`path\`; \`format\` (\`json\`, or \`prometheus\`); names of series, or dotted paths into the answer, of which the first that is there counts: \`running\`, \`waiting\`, \`kv_used\` (0 to 1), \`slots\`; \`cache_tokens\`: factors of what fits into its memory for prompts (of a series its value, or the labels that follow its name); \`model_labels\`: labels that name a model. What is in memory: \`loaded\` (\`list\`, \`names\` of an entry, and \`field\` with \`value\` where not all entries are loaded), \`asleep\` (path of a value that is true while nothing is) |
| \`version_listing\` | \`name\` and \`place\` among \`supported_backends\` of \`/version\` |

\`proxy.profile_filter\` takes kinds away: their routes, and their names as \`type\`.
`

export const backendsPage = (profiles: ReadonlyArray<Profile>, formats: ReadonlyArray<string>): string => {
  const sorted = [...profiles].sort((a, b) => (a.displayName.toLowerCase() < b.displayName.toLowerCase() ? -1 : 1))
  return `# Backends

<!-- Written by \`npm run docs\` from scripts/backendDocuments.ts and config/profiles/*.yaml: change it there. -->

${watching}
## The kinds

${sorted.map(section).join("\n")}
${ownKinds.replace("FORMATS", code(formats))}`
}
