/** docs/http-api.md, docs/errors.md and docs/openapi.yaml: what the tables of src/http say, for people and for tools. */
import { stringify } from "yaml"
import { type FailureKind, failure, failureRules } from "../src/exchange/Failure.ts"
import type { QueryParameter } from "../src/http/BackendRoutes.ts"
import { errorTable, errorTypeOf, queueRefusals, rejections } from "../src/http/ErrorTable.ts"
import { openApi } from "../src/http/OpenApi.ts"
import { type ActionRoute, actionRoutes, type LocalRoute, localRoutes } from "../src/http/Surface.ts"
import { loadProfiles } from "../src/profile/ProfileLoading.ts"
import { failureText } from "../src/proxy/FailureText.ts"

const cell = (text: string): string => text.replaceAll("|", "\\|")

/** What one endpoint can do to a request, as a client is told when it is the last word. */
const failures = (): ReadonlyArray<string> =>
  (Object.keys(failureRules) as ReadonlyArray<FailureKind>)
    .filter((kind) => failureRules[kind].fault === "upstream" && kind !== "truncated")
    .map((kind) => {
      const { status, failover } = failureRules[kind]
      return `| ${status} | \`${cell(failureText(failure(kind, ""), "NAME", 1200))}\` | ${failover ? "yes" : "no"} |`
    })

export const errors = (): string => `# Errors

<!-- Written by \`npm run docs\` from src/http/ErrorTable.ts: change the text there. -->

What Olla answers itself when it cannot serve a request. What a backend answered, whatever its status, is relayed as it came.
Every answer has \`X-Olla-Request-ID\`; the log's lines of that request have the same \`request_id\`, and tell addresses, which an
answer never does.

- On the short routes (\`/v1/…\`, \`/api/…\`, also below \`/olla\`) in the form of the route's API, whatever \`Accept\` says.
- Elsewhere plain text by default: the text of the table and a newline.
- JSON where \`Accept\` names \`application/json\`, as the SDKs do: \`{"error":{"message","type","code"}}\`. Status and headers stay the
  same. \`code\` is the token of a refusal by routing, else null.
- Under \`/olla/anthropic\` Anthropic's envelope: \`{"type":"error","error":{"type","message"},"request_id"}\`.

| status | \`type\` | text | when | what helps |
|---|---|---|---|---|
${Object.values(errorTable)
  .map(
    ({ status, text, when, remedy }) => `| ${status} | \`${errorTypeOf(status)}\` | \`${cell(text)}\` | ${cell(when)} | ${cell(remedy)} |`
  )
  .join("\n")}

## Refusals by routing

The plain body is the token alone; the JSON form has the token in \`code\` and the sentence after it in \`message\`. The headers
\`X-Olla-Routing-Strategy\`, \`-Decision\` and \`-Reason\` say the same; 503 has \`Retry-After\`, the seconds until an endpoint that
is down is looked at again.

| status | token | sentence | strategy |
|---|---|---|---|
${Object.entries(rejections)
  .map(([token, { status, text, strategy }]) => `| ${status} | \`${token}\` | ${cell(text)} | ${strategy} |`)
  .join("\n")}

## Refusals of the queue

Where all who could serve a request are busy or have asked to be left alone, it waits (docs/traffic.md). When that comes to nothing the
answer is the token, in JSON with a sentence, and \`X-Olla-Routing-Decision: rejected\`; \`Retry-After\` says when there is room, or when
the first of them may be asked again.

| status | token | when | what helps |
|---|---|---|---|
${Object.entries(queueRefusals)
  .map(([token, { status, when, remedy }]) => `| ${status} | \`${token}\` | ${cell(when)} | ${cell(remedy)} |`)
  .join("\n")}

## Details of \`Proxy error\`

The last attempt's failure. \`X-Olla-Endpoint\` names the endpoint. Where another endpoint may be tried, it has been: the answer
means that all have failed.

| status | detail | another endpoint is tried |
|---|---|---|
${failures().join("\n")}

A stream that breaks off in the middle has no error answer: the client gets what came, then its connection is cut. On Anthropic's routes
an \`error\` event comes first; a translated stream ends well behind it, since its reader has been told all there is.

## Before there is a request

What is not HTTP is answered in a line of plain text, and the connection is closed: 400 for what cannot be parsed, 408 when the
header block takes longer than \`server.read_header_timeout\` or a dripping body longer than \`server.read_timeout\`, 431 for headers
far above the limit.
`

export const openApiYaml = (): string =>
  `# Written by \`npm run docs\` from src/http/Surface.ts and the Schemas in src/http/documents: change them there.\n${stringify(openApi(), { lineWidth: 120, aliasDuplicateObjects: false })}`

const queryText = (query: ReadonlyArray<QueryParameter> | undefined): string =>
  query === undefined
    ? ""
    : `. ${query.map(({ name, values }) => `\`?${name}=${values === undefined ? "…" : values.join("\\|")}\``).join(", ")}`

const localTable = (): string =>
  (Object.values(localRoutes) as ReadonlyArray<LocalRoute>)
    .map(
      (route) =>
        `| \`${route.path}\` | ${cell(route.summary)}${queryText(route.query)}${route.conditional === true ? ". Entity tag, gzip" : ""} |`
    )
    .join("\n")

const actionTable = (): string =>
  (Object.values(actionRoutes) as ReadonlyArray<ActionRoute>).map(({ path, summary }) => `| \`${path}\` | ${cell(summary)} |`).join("\n")

const prefixTable = (): string =>
  loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
    .all.map((profile) => {
      const segments = [...new Set([...profile.prefixes, profile.name])].map((segment) => `\`/olla/${segment}/\``)
      return `| ${profile.displayName} | ${segments.join(", ")} |`
    })
    .join("\n")

export const httpApi = (): string => `# HTTP API

<!-- Written by \`npm run docs\` from scripts/httpDocuments.ts, src/http/Surface.ts and the profiles. -->

\`openapi.yaml\` beside this page, also served at \`/internal/openapi.json\`, has every document field by field. [errors.md](errors.md)
has every error. This page is the map.

## Ask a model

Point a client at one of the short addresses. Each speaks its API to every backend that has the model, and its errors too; where a backend
does not speak it, the request is translated. [clients.md](clients.md) has the setting of each client, and what works where.

| API | base URL | routes |
|---|---|---|
| OpenAI | \`http://localhost:40114/v1\` | \`chat/completions\`, \`completions\`, \`embeddings\`, \`responses\`, \`responses/input_tokens\`, \`models\` |
| Anthropic | \`http://localhost:40114\` | \`/v1/messages\`, \`/v1/messages/count_tokens\`, \`/v1/models\` with the header \`anthropic-version\` |
| Ollama | \`http://localhost:40114\` | \`/api/chat\`, \`generate\`, \`embed\`, \`embeddings\`, \`tags\`, \`show\`, \`ps\`, \`version\`, and \`/\` for those who look whether an Ollama is there |

\`\`\`sh
curl http://localhost:40114/v1/chat/completions -H 'Content-Type: application/json' \\
  -d '{"model": "qwen3:8b", "messages": [{"role": "user", "content": "Hello"}]}'
\`\`\`

They are below \`/olla\` as well (\`/olla/v1/…\`, \`/olla/api/…\`); \`server.root_routes: false\` leaves only those.

## Ask one kind of backend

The long addresses choose among the backends; the rest of the path is the backend's own.

| base URL | who answers |
|---|---|
| \`http://localhost:40114/olla/openai/v1\` | any backend that speaks OpenAI's API and has the model |
| \`http://localhost:40114/olla/anthropic\` | any backend, through Anthropic's Messages API: natively where the backend speaks it, else in translation |
| \`http://localhost:40114/olla/ollama\` | Ollama backends, through Ollama's own API |
| \`http://localhost:40114/olla/proxy\` | any backend whose profile knows the path |

Each kind of backend has prefixes of its own; a request under one never goes to another kind. \`openai\` takes every kind that speaks that
API. Prefixes come from the profiles ([backends.md](backends.md)), so a profile of yours has routes too.

| kind | under |
|---|---|
${prefixTable()}

Method, path, query and body reach the backend as they came; only a model alias in the body is replaced by the backend's own name.
Credentials of the client (\`Authorization\`, \`X-Api-Key\`, \`Cookie\`) never do: Olla sends those of the endpoint's configuration. Everything
under a prefix is forwarded, except:

- lists of models (\`v1/models\`, \`api/tags\`, and where else the kind has them), and one model of them (\`v1/models/{id}\`), which Olla
  answers for the whole fleet;
- Ollama's management calls (\`api/pull\`, \`push\`, \`create\`, \`copy\`, \`delete\`, \`blobs\`): 501 under every prefix and \`/olla/proxy/\`, also where
  an endpoint's own path makes one of the rest (\`/pull\` below \`/api\`);
  \`api/show\` and \`api/list\` under \`/olla/ollama/\`;
- paths that a profile with \`enforce_paths\` does not list: 404.

Upgrades (WebSocket) are relayed as plain requests. Redirects of backends are passed on, not followed.

## See what there is

| route | tells |
|---|---|
| \`/olla/models\` | models of the whole fleet; \`?format=\` writes the list as a backend would, \`?endpoint=\`, \`?family=\`, \`?type=\`, \`?available=\` filter it |
| \`/olla/models/{id}\` | one model, by unified id or alias; ids may contain slashes |
| \`/olla/proxy/v1/models\`, \`/olla/openai/v1/models\` | the same in OpenAI's form |
| \`/olla/{prefix}/v1/models\` | models of one kind in OpenAI's form |
| \`/olla/ollama/api/tags\`, \`/olla/lmstudio/api/v0/models\`, \`/olla/lemonade/api/v1/models\`, \`/olla/dmr/engines/v1/models\` | in that kind's own form |
| \`/olla/anthropic/v1/models\`, \`/olla/anthropic/v1/models/{id}\` | in Anthropic's form |

Lists are ascending by id, and say the same on every call while nothing changes.

## See how it is

| route | tells |
|---|---|
${localTable()}

These take \`GET\` and \`HEAD\` (\`OPTIONS\` is answered like \`GET\`); another method is 405 with \`Allow\`. \`/internal/health\` takes any method.
The three status documents have a weak \`ETag\` that stays while nothing but the clock has changed: poll them with \`If-None-Match\` and get
304. They and the lists of models are gzipped for clients that accept it.

\`/internal/health\` says that the daemon runs, whatever its backends do; \`/internal/ready\` is what a load balancer in front should ask.

## Act on the daemon

| \`POST\` | does |
|---|---|
${actionTable()}

Always with the header \`X-Olla-Action: 1\`, from this machine itself, or with \`Authorization: Bearer\` and the token of
\`dashboard.access_policy\`; behind a proxy on this machine (\`X-Forwarded-For\`, \`Via\`, …) the token too. Web pages of other origins and
names that are not in \`dashboard.access_policy.allowed_hosts\` are refused, whatever \`server.cors\` says. The body may be left out, or is JSON:
\`{"for": "10m", "force": true, "reason": "new driver"}\`, \`for\` with drain only. Done is 204, and so is what was so already; refusals are JSON with
\`code\` and \`message\`: 401 \`unauthorised\`, 403 \`forbidden\`, 404 \`not_found\`, 409 \`ambiguous\`, 400 \`bad_request\`, 409 \`models_lost\`, 422
\`config_invalid\`. Each is a log record \`Operator action\`. The commands \`olla drain\`, \`resume\`, \`probe\` and \`reload\` do the same: see
[operations.md](operations.md).

## Headers of answers

| header | when | value |
|---|---|---|
| \`X-Olla-Request-ID\` | always | the client's \`X-Request-ID\` (1 to 128 visible ASCII characters), else a new one; in every log line of the request, and sent to the backend as \`X-Request-ID\` |
| \`X-Olla-Endpoint\`, \`X-Olla-Backend-Type\` | a backend answered, or was the last to fail | name and type of the endpoint |
| \`X-Olla-Model\` | a model was named | as asked for, lower-cased |
| \`X-Olla-Response-Time\` | a backend answered | \`183ms\`, from arrival to the answer's headers |
| \`X-Olla-Routing-Strategy\`, \`-Decision\`, \`-Reason\` | a model was named | how it was routed, also on refusals |
| \`X-Olla-Mode\` | a turn of Anthropic's, Ollama's or the Responses API | \`passthrough\` where the backend speaks the client's API |
| \`X-Olla-Dialect\`, \`X-Olla-Dropped\` | a turn was translated | from and to, \`ollama->chat\`; fields of the request that the backend could not be told |
| \`X-Olla-Pick\` | \`traffic.enabled\` | why this endpoint: \`sticky\`, \`trial\` (of one that was left out), \`panic\` (nobody else was left); with \`adaptive\` \`only\`, \`rotation\`, \`resident\`, \`cached\` or \`cost\`, else the balancer |
| \`X-Olla-Served-Model\` | an alias was asked for | the target that answered |
| \`X-Olla-Fallback\` | a chain of models went on to another one | why: \`unavailable\`, \`saturated\`, \`rate_limited\`, \`failed\`, \`context\` |
| \`X-Olla-Hygiene\` | \`traffic.hygiene\` changed something in the prompt | what: \`claude-code\` |
| \`X-Olla-Queue-Time\` | the request waited for somebody who could take it | \`840ms\` |
| \`X-Olla-Attempts\` | more than one endpoint was tried | how many |
| \`X-Olla-Limit\` | a limit refused the request | the key of that limit |
| \`X-Olla-Trace-ID\`, \`Server-Timing\` | the request is traced; \`server.server_timing\` is on | see [observability.md](observability.md) |
| \`X-Olla-Sticky-Session\`, \`X-Olla-Sticky-Key-Source\`, \`X-Olla-Session-ID\` | sticky sessions are on | \`hit\`, \`miss\`, \`repin\` or \`disabled\`; where the key came from; the client's own id |
| \`X-RateLimit-Limit\`, \`-Remaining\`, \`-Reset\` | proxied routes, Anthropic's, \`/internal/health\` | limit per minute, whole requests left, Unix second at which all are back; \`Retry-After\` with 429. A limit of 0 is none |
| \`Retry-After\` | 503 for want of an endpoint | seconds until one that is down is looked at again |
| \`Via\`, \`X-Served-By\` | a backend answered | \`1.1 olla/VERSION\`, \`Olla/VERSION\` |

Everything else of a backend's answer is passed on, but for hop-by-hop headers, cookies and credentials.

## Paths and limits

- Paths are matched decoded, and cleaned of empty, \`.\` and \`..\` segments; nothing is redirected. What is forwarded keeps its
  percent-encoding, and never climbs above the root of the endpoint. Exact routes have no form with a slash at the end.
- A request may take \`server.read_timeout\` (30 s) to arrive, its headers \`server.read_header_timeout\`: else 408. A body
  that comes with 32 KiB a second or more may take longer. \`server.write_timeout\` cuts every answer after that time, so leave it 0 where answers are streamed.
- \`server.request_limits\` bounds body (413) and headers (431), \`server.rate_limits\` requests per minute (429).
- \`server.cors\` is off. With the default \`allowed_methods\` a page may \`GET\` and \`POST\`; list \`HEAD\`, \`PUT\`, \`PATCH\`, \`DELETE\` where pages
  need them. A lone \`*\` in \`allowed_origins\` does not cover \`/internal/*\` and \`/version\`; origins that are listed do.

All keys are in [configuration.md](configuration.md).
`
