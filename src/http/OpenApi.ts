/**
 * The description of the whole surface, OpenAPI 3.1: local routes from `Surface.ts`, documents from their Schemas, errors from
 * `ErrorTable.ts`. Written to docs/openapi.yaml by `npm run docs`, served at /internal/openapi.json.
 */

import * as JsonSchema from "effect/JsonSchema"
import * as Schema from "effect/Schema"
import { build } from "../version.ts"
import { type BackendRoute, backendRoutes, type QueryParameter } from "./BackendRoutes.ts"
import { ActionRefusal, ActionRequest } from "./documents/ActionDocuments.ts"
import { NotReadyDocument } from "./documents/DaemonDocuments.ts"
import type { DocumentSchema } from "./documents/Encoding.ts"
import { AnthropicErrorDocument, ErrorDocument } from "./documents/ErrorDocuments.ts"
import { type ErrorEntry, errorTable } from "./ErrorTable.ts"
import { shortRoutes } from "./ShortRoutes.ts"
import { type ActionRoute, actionRoutes, type LocalRoute, localRoutes } from "./Surface.ts"

type Json = Readonly<Record<string, unknown>>

/** Collects the Schemas that are mentioned; each becomes a component. */
class Components {
  readonly #mentioned: Array<DocumentSchema> = []
  readonly #targets: Array<Record<string, unknown>> = []

  /** The place is filled in by `definitions`. */
  mention(schema: DocumentSchema): Json {
    const target: Record<string, unknown> = {}
    this.#mentioned.push(schema)
    this.#targets.push(target)
    return target
  }

  definitions(): Json {
    const documents = this.#mentioned.map((schema) => Schema.toJsonSchemaDocument(schema))
    const merged = JsonSchema.toMultiDocumentOpenApi3_1({
      dialect: "draft-2020-12",
      schemas: documents.map((document) => document.schema) as [JsonSchema.JsonSchema, ...Array<JsonSchema.JsonSchema>],
      definitions: Object.assign({}, ...documents.map((document) => document.definitions)) as JsonSchema.Definitions
    })
    for (const [i, schema] of merged.schemas.entries()) Object.assign(this.#targets[i] as object, schema)
    return sorted(merged.definitions)
  }
}

const sorted = (record: Json): Json => Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

const contents = (types: ReadonlyArray<string>, schema: Json): Json => ({
  content: Object.fromEntries(types.map((type) => [type, { schema }]))
})

const content = (type: string, schema: Json): Json => contents([type], schema)

const text: Json = { type: "string" }

/** One response for each status that the table knows; `texts` are its sentences. */
const errorResponses = (components: Components): Json => {
  // A timeout has the sentence of other failures and a status of its own.
  const entries: ReadonlyArray<ErrorEntry> = [...Object.values(errorTable), { ...errorTable.proxy, status: 504 }]
  const byStatus = Map.groupBy(entries, (entry) => entry.status)
  return Object.fromEntries(
    [...byStatus].map(([status, entries]) => [
      `Error${status}`,
      {
        description: entries.map(({ when }) => when).join("; "),
        content: {
          "text/plain; charset=utf-8": {
            schema: text,
            examples: Object.fromEntries(entries.map((entry, i) => [`e${i}`, { value: `${entry.text}\n` }]))
          },
          "application/json": { schema: components.mention(ErrorDocument) }
        }
      }
    ])
  )
}

/** What any request can meet: a head that is wrong, cross-site protection, an upload that is too slow or too large, a fault. */
const everywhere = [400, 403, 408, 413, 431, 500]

const withCommon = (statuses: ReadonlyArray<number>): ReadonlyArray<number> => [...new Set([...statuses, ...everywhere])].sort()

const errors = (statuses: ReadonlyArray<number>): Json =>
  Object.fromEntries(withCommon(statuses).map((status) => [String(status), { $ref: `#/components/responses/Error${status}` }]))

const queryParameter = ({ name, description, values }: QueryParameter): Json => ({
  name,
  in: "query",
  description,
  schema: values === undefined ? text : { type: "string", enum: values }
})

const localOperation = (components: Components, name: string, route: LocalRoute): Json => {
  const body =
    route.document === undefined
      ? contents([route.contentType ?? "text/plain", ...(route.otherContentTypes ?? [])], name === "openapi" ? { type: "object" } : text)
      : content("application/json", components.mention(route.document))
  return {
    operationId: name,
    summary: route.summary,
    tags: ["daemon"],
    ...(route.query === undefined ? {} : { parameters: route.query.map(queryParameter) }),
    responses: {
      "200": {
        description: route.summary,
        headers: {
          "X-Olla-Request-ID": { $ref: "#/components/headers/RequestId" },
          ...(route.conditional === true ? { ETag: { schema: text }, "Cache-Control": { schema: text }, Vary: { schema: text } } : {})
        },
        ...body
      },
      ...(route.conditional === true
        ? { "304": { description: "Nothing but the clock has changed since the tag of `If-None-Match`" } }
        : {}),
      ...(name === "ready"
        ? { "503": { description: "Not ready", ...content("application/json", components.mention(NotReadyDocument)) } }
        : {}),
      ...errors(name === "health" ? [429] : [405])
    }
  }
}

const actionHeader: Json = {
  name: "X-Olla-Action",
  in: "header",
  required: true,
  description: "Says that the action is meant",
  schema: { type: "string", const: "1" }
}

const actionOperation = (components: Components, name: string, { path, summary, document, errors: own }: ActionRoute): Json => {
  const refused = (description: string) => ({ description, ...content("application/json", components.mention(ActionRefusal)) })
  return {
    operationId: name,
    summary,
    description:
      "For this machine's own users, or with the dashboard's token as `Authorization: Bearer`. Never for web pages of other origins, and never through CORS.",
    tags: ["operators"],
    parameters: [
      actionHeader,
      ...(path.includes("{name}")
        ? [{ name: "name", in: "path", required: true, description: "Name of the endpoint, percent-encoded, or its id", schema: text }]
        : [])
    ],
    requestBody: { required: false, ...content("application/json", components.mention(ActionRequest)) },
    responses: {
      ...(document === undefined
        ? { "204": { description: "Done, or so already" } }
        : { "200": { description: "In force", ...content("application/json", components.mention(document)) } }),
      "400": refused("The body is wrong; `message` names the field"),
      "401": refused("The token is missing or another one"),
      "403": refused("Not meant, from a foreign page, or from another machine without a token to ask for"),
      ...Object.fromEntries(own.map((status) => [String(status), refused(refusals[status] ?? "")])),
      ...Object.fromEntries([405, 408, 431, 500].map((status) => [String(status), { $ref: `#/components/responses/Error${status}` }]))
    }
  }
}

const refusals: Readonly<Record<number, string>> = {
  404: "No endpoint of that name or id; `nearest` is one that may be meant",
  409: "`ambiguous`: several have that name; `models_lost`: nobody else could serve `models`",
  422: "What the files say now is wrong, and what was in force still is"
}

const backendOperation = (components: Components, name: string, method: string, route: BackendRoute): Json => {
  const anthropic = route.dialect === "anthropic"
  const parameters = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, parameter = ""]) => ({
    name: parameter,
    in: "path",
    required: true,
    description: route.parameters?.[parameter] ?? "",
    schema: text
  }))
  const answers = (route.documents ?? []).map((schema) => components.mention(schema))
  return {
    operationId: route.methods.length === 1 ? name : `${name}_${method}`,
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    tags: [route.tag],
    ...(parameters.length + (route.query?.length ?? 0) === 0
      ? {}
      : { parameters: [...parameters, ...(route.query ?? []).map(queryParameter)] }),
    ...(method !== "get" && method !== "delete"
      ? { requestBody: { content: { "application/json": { schema: { type: "object" } } } } }
      : {}),
    responses: {
      "200": {
        description: answers.length === 0 ? "The backend's answer as it came, with Olla's headers" : route.summary,
        headers: { "X-Olla-Request-ID": { $ref: "#/components/headers/RequestId" } },
        ...(answers.length === 0 ? {} : content("application/json", answers.length === 1 ? (answers[0] as Json) : { anyOf: answers }))
      },
      ...(anthropic
        ? Object.fromEntries(
            withCommon(route.errors).map((status) => [
              String(status),
              { description: "Anthropic's envelope", ...content("application/json", components.mention(AnthropicErrorDocument)) }
            ])
          )
        : errors(route.errors))
    }
  }
}

const make = (): Json => {
  const components = new Components()
  const paths: Record<string, Record<string, Json>> = {}
  for (const [name, route] of Object.entries(localRoutes)) paths[route.path] = { get: localOperation(components, name, route) }
  for (const [name, route] of Object.entries(actionRoutes)) paths[route.path] = { post: actionOperation(components, name, route) }
  for (const [name, route] of Object.entries({ ...backendRoutes, ...shortRoutes }) as ReadonlyArray<[string, BackendRoute]>)
    paths[route.path] = Object.fromEntries(route.methods.map((method) => [method, backendOperation(components, name, method, route)]))
  const responses = errorResponses(components)
  return {
    openapi: "3.1.0",
    info: {
      title: build.name,
      version: build.version,
      description:
        "What Olla answers itself, and where it forwards. `HEAD` is good wherever `GET` is. Errors are JSON where `Accept` names `application/json`, else plain text; `docs/errors.md` lists them."
    },
    tags: [
      { name: "daemon", description: "Olla's own condition" },
      { name: "operators", description: "Acting on the running daemon" },
      { name: "models", description: "What can be asked for" },
      { name: "proxy", description: "Forwarded to backends" },
      { name: "anthropic", description: "Anthropic's Messages API in front of any backend" }
    ],
    paths,
    components: {
      headers: { RequestId: { description: "The client's `X-Request-ID` where it is usable, else a new one", schema: text } },
      responses,
      schemas: components.definitions()
    }
  }
}

/** Whole numbers without the bounds of what a double can count. */
const tidy = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(tidy)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).filter(
    ([key, one]) => !((key === "minimum" || key === "maximum") && Math.abs(Number(one)) === Number.MAX_SAFE_INTEGER)
  )
  return Object.fromEntries(entries.map(([key, one]) => [key, tidy(one)]))
}

export const openApi = (): Json => tidy(make()) as Json

let served: string | undefined

/** Made once, when somebody asks for it. */
export const openApiJson = (): string => {
  served ??= JSON.stringify(openApi())
  return served
}
