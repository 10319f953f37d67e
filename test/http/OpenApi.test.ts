import { Validator } from "@seriousme/openapi-schema-validator"
import { describe, expect, it } from "vitest"
import { backendRoutes } from "../../src/http/BackendRoutes.ts"
import { errorTable } from "../../src/http/ErrorTable.ts"
import { openApi } from "../../src/http/OpenApi.ts"
import { shortRoutes } from "../../src/http/ShortRoutes.ts"
import { actionRoutes, localRoutes } from "../../src/http/Surface.ts"

type Node = { readonly [key: string]: Node } & ReadonlyArray<Node> & string

const spec = openApi() as unknown as Node

/** Every value below `node`, with its key. */
function* walk(node: unknown): Generator<readonly [string, unknown]> {
  if (typeof node !== "object" || node === null) return
  for (const [key, value] of Object.entries(node)) {
    yield [key, value]
    yield* walk(value)
  }
}

describe("the OpenAPI description", () => {
  it("is valid OpenAPI 3.1", async () => {
    expect(await new Validator().validate(JSON.parse(JSON.stringify(spec)))).toEqual({ valid: true })
  })

  it("has every route of the table, and no other", () => {
    const routes = [
      ...Object.values(localRoutes),
      ...Object.values(actionRoutes),
      ...Object.values(backendRoutes),
      ...Object.values(shortRoutes)
    ].map((route) => route.path)
    expect(Object.keys(spec["paths"] ?? {})).toEqual(routes)
  })

  it("names every operation once", () => {
    const ids = [...walk(spec)].filter(([key]) => key === "operationId").map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBeGreaterThan(20)
  })

  it("refers to nothing that is missing", () => {
    const refs = [...walk(spec)].filter(([key]) => key === "$ref").map(([, ref]) => String(ref))
    expect(refs.length).toBeGreaterThan(50)
    const missing = refs.filter(
      (ref) =>
        ref
          .slice(2)
          .split("/")
          .reduce<Node | undefined>((node, step) => node?.[step.replaceAll("~1", "/")] as Node, spec) === undefined
    )
    expect(missing).toEqual([])
  })

  it("declares every parameter of a path", () => {
    for (const [path, methods] of Object.entries(spec["paths"] ?? {}))
      for (const operation of Object.values(methods as unknown as Record<string, Node>)) {
        const declared = ((operation["parameters"] ?? []) as unknown as ReadonlyArray<{ in: string; name: string }>)
          .filter((parameter) => parameter.in === "path")
          .map((parameter) => `{${parameter.name}}`)
        expect(declared, path).toEqual(path.match(/\{\w+\}/g) ?? [])
      }
  })

  it("has a response for every status of the table of errors, in both forms", () => {
    for (const { status } of Object.values(errorTable)) {
      const response = spec["components"]?.["responses"]?.[`Error${status}`]
      expect(Object.keys(response?.["content"] ?? {}), String(status)).toEqual(["text/plain; charset=utf-8", "application/json"])
    }
  })

  it("leaves out what a document does not always have, and nothing else", () => {
    const endpoint = spec["components"]?.["schemas"]?.["ListedEndpoint"]
    const required = endpoint?.["required"] as unknown as ReadonlyArray<string>
    expect(required).toEqual(
      expect.arrayContaining(
        "id name type status url priority model_count request_count success_rate min_latency_ms max_latency_ms active_connections health_check circuit_breaker requests_by_class".split(
          " "
        )
      )
    )
    for (const key of "avg_latency_ms health_check_at next_check_at last_model_sync last_model_sync_at response_time issues detected_type".split(
      " "
    )) {
      expect(required).not.toContain(key)
      expect(Object.keys(endpoint?.["properties"] ?? {})).toContain(key)
    }
  })
})
