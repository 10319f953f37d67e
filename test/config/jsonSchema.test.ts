/** `config/olla.schema.json` says to an editor what the validator says: about files that are right, and about single wrong values. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv2020 } from "ajv/dist/2020.js"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { allKeys } from "../../src/config/SchemaTree.ts"

const root = join(import.meta.dirname, "..", "..")
const text = (path: string): string => readFileSync(join(root, path), "utf8")

interface Node {
  readonly properties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly description?: string
}

const schema = JSON.parse(text("config/olla.schema.json")) as Node
const accepts = new Ajv2020({ strict: false }).compile(schema)

describe("the schema for editors", () => {
  it.each([
    "config/config.yaml",
    ...globSync(["examples/config/*.yaml", "examples/compose/*/olla.yaml", "examples/monitoring/olla.yaml"], { cwd: root }).sort()
  ])("accepts %s", (path) => {
    accepts(parse(text(path), { merge: true }))
    expect(accepts.errors).toBeNull()
  })

  it("describes every key", () => {
    for (const { path, info } of allKeys()) {
      const node = path
        .replace("[]", ".[]")
        .split(".")
        .reduce<Node | undefined>((at, step) => (step === "[]" ? at?.items : at?.properties?.[step]), schema)
      expect(node?.description, path).toContain(info.doc)
    }
  })

  it.each([
    "server: {port: '80'}",
    "server: {port: 0}",
    "server: {port: 65536}",
    "server: {read_timeout: 30}",
    "server: {read_timeout: 1d}",
    "server: {request_logging: 1}",
    "server: {request_limits: {max_body_size: 5XB}}",
    "server: {rate_limits: {burst_size: -1}}",
    "server: {rate_limits: {trusted_proxy_cidrs: 10.0.0.0/8}}",
    "server: []",
    "proxy: {engine: Olla}",
    "proxy: {stream_buffer_size: -1}",
    "proxy: {sticky_sessions: {key_sources: [cookie]}}",
    "discovery: {static: {endpoints: {}}}",
    "discovery: {static: {endpoints: [{headers: [a]}]}}",
    "discovery: {static: {endpoints: [{auth: bearer}]}}",
    "model_aliases: {a: x}"
  ])("refuses %s", (yaml) => {
    expect(accepts(parse(yaml))).toBe(false)
  })

  it.each([
    "server: ",
    "server: {read_timeout: 0}",
    "server: {request_limits: {max_body_size: 1.5 KB}}",
    "discovery: {static: {endpoints: }}",
    "x-own: 1"
  ])("accepts %s", (yaml) => {
    expect(accepts(parse(yaml))).toBe(true)
  })
})
