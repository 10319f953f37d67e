import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emptySnapshot, type Snapshot } from "../../src/catalogue/Snapshot.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { encodeDocument } from "../../src/http/documents/Encoding.ts"
import { InventoryDocument } from "../../src/http/documents/ModelsDocument.ts"
import { plainId } from "../../src/http/EndpointIds.ts"
import { modelsDocument } from "../../src/http/ModelDocuments.ts"
import type { ListedModel } from "../../src/profile/ListedModel.ts"
import { finish, ListedFleet, listed } from "../catalogue/fakes.ts"

const now = 1_777_850_000_000

const at = (url: string, name: string): Endpoint => ({ url, displayUrl: url, name }) as Endpoint
const model = (name: string, fields: Omit<Partial<ListedModel>, "name"> = {}): ListedModel => ({ name, lastSeen: now - 5_000, ...fields })

const inventory = (
  held: ReadonlyArray<readonly [Endpoint, ReadonlyArray<ListedModel>]>,
  options: { readonly grouped?: boolean; readonly snapshot?: Partial<Snapshot>; readonly configured?: ReadonlyArray<Endpoint> } = {}
) => {
  const snapshot = {
    ...emptySnapshot,
    inventory: held.map(([endpoint, models]) => ({ endpoint, models })),
    ...options.snapshot
  } as Snapshot
  const document = finish(modelsDocument(options.configured ?? held.map(([endpoint]) => endpoint), snapshot, now, options.grouped ?? false))
  expect(encodeDocument(InventoryDocument, document)).toEqual(document)
  return document
}

const a = at("http://a:1", "rack-a")
const b = at("http://b:1", "rack-b")

describe("the inventory of models", () => {
  it("is empty, but whole, without models", () => {
    expect(inventory([[a, []]], { grouped: true })).toEqual({
      timestamp: "2026-05-03T23:13:20.000Z",
      models_by_family: {},
      recent_models: [],
      total_models: 0,
      total_families: 0,
      total_endpoints: 1
    })
  })

  it("has one entry for a name, and nothing that is not known", () => {
    expect(inventory([[a, [model("m")]]]).recent_models).toEqual([
      {
        name: "m",
        last_seen: "5s ago",
        last_seen_at: "2026-05-03T23:13:15.000Z",
        endpoints: ["rack-a"],
        endpoint_ids: [plainId("http://a:1")]
      }
    ])
  })

  it("merges by URL: the first value that is known, the newest sighting", () => {
    const [entry] = inventory([
      [b, [model("m", { size: 2048, lastSeen: now - 1_000, details: { type: "llm", family: "second", quantization_level: "Q8_0" } })]],
      [a, [model("m", { lastSeen: now - 9_000, details: { type: "vlm", family: "first", parameter_size: "8B" } })]]
    ]).recent_models
    expect(entry).toMatchObject({
      type: "vlm",
      family: "first",
      params: "8B",
      size: "2.00 KB",
      quant: "Q8_0",
      last_seen: "1s ago",
      endpoints: ["rack-a", "rack-b"],
      capabilities: ["vision", "multimodal"]
    })
  })

  it("pairs names and ids, sorted by both", () => {
    const twin = at("http://c:1", "rack-a")
    const [entry] = inventory([
      [b, [model("m")]],
      [twin, [model("m")]],
      [a, [model("m")]]
    ]).recent_models
    const twins = [plainId("http://a:1"), plainId("http://c:1")].sort()
    expect([entry?.endpoints, entry?.endpoint_ids]).toEqual([
      ["rack-a", "rack-a", "rack-b"],
      [...twins, plainId("http://b:1")]
    ])
  })

  it("falls back to the plain hash for an endpoint that is no longer configured", () => {
    expect(inventory([[a, [model("m")]]], { configured: [] }).recent_models[0]?.endpoint_ids).toEqual([plainId("http://a:1")])
  })

  it.each([
    [{ type: "llm" }, ["text_generation", "chat"]],
    [{ type: "vlm" }, ["vision", "multimodal"]],
    [{ type: "embeddings" }, ["embeddings", "vector_search"]],
    [{ type: "llm", max_context_length: 100_001 }, ["text_generation", "chat", "long_context"]],
    [{ max_context_length: 100_000 }, undefined],
    [{ quantization_level: "FP16" }, ["high_precision"]],
    [{ quantization_level: "model-bf16" }, ["high_precision"]],
    [{ type: "audio" }, undefined]
  ])("infers from %j", (details, expected) => {
    expect(inventory([[a, [model("m", { details })]]]).recent_models[0]?.capabilities).toEqual(expected)
  })

  it("names the other identifiers of a unified model, sorted", () => {
    const snapshot = {
      find: () => ({ id: "qwen/3:8b-q4km", aliases: [{ name: "qwen3:8b" }, { name: "qwen3-8b" }, { name: "qwen3:8b" }], family: "qwen" })
    }
    const [entry] = inventory([[a, [model("qwen3:8b")]]], { snapshot: snapshot as unknown as Partial<Snapshot> }).recent_models
    expect(entry?.aliases).toEqual(["qwen/3:8b-q4km", "qwen3-8b"])
  })

  it("shows the ten last seen, by name where they are equal, and counts them all", () => {
    const names = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 4 }), fc.constantFrom(1_000, 2_000, 3_000)), {
      maxLength: 30,
      selector: ([name]) => name
    })
    fc.assert(
      fc.property(names, (models) => {
        const document = inventory([[a, models.map(([name, lastSeen]) => model(name, { lastSeen }))]])
        const expected = [...models].sort(([one, x], [other, y]) => y - x || (one < other ? -1 : 1)).slice(0, 10)
        expect(document.recent_models.map(({ name }) => name)).toEqual(expected.map(([name]) => name))
        expect(document.total_models).toBe(models.length)
        expect(document.models_by_family["unknown"] ?? []).toHaveLength(models.length)
      })
    )
  })

  it("gives a name of unknown family that of the model which it is a copy of", () => {
    const fleet = new ListedFleet()
    fleet.with("b", "ollama", [listed("qwen3:8b", {}, { family: "qwen", digest: "d" })])
    fleet.with("a", "ollama", [listed("copy", {}, { digest: "d" })])
    const document = finish(modelsDocument(fleet.endpoints, fleet.snapshot(), now, true))
    expect(document.models_by_family).toEqual({ qwen: ["copy", "qwen3:8b"] })
    expect(document.recent_models.find(({ name }) => name === "copy")?.aliases).toEqual(["qwen3:8b"])
  })

  it("groups by family, the unknown last", () => {
    const document = inventory(
      [
        [b, [model("zeta", { details: { family: "zed" } }), model("odd")]],
        [
          a,
          [
            model("beta", { details: { family: "abc" } }),
            model("alpha", { details: { family: "abc" } }),
            model("zeta", { details: { family: "zed" } })
          ]
        ]
      ],
      { grouped: true }
    )
    expect(document.models_by_family).toEqual({ abc: ["alpha", "beta"], unknown: ["odd"], zed: ["zeta"] })
    expect(
      document.model_groups?.map(({ family, models, endpoints, model_count }) => [
        family,
        models.map(({ name }) => name),
        endpoints,
        model_count
      ])
    ).toEqual([
      ["abc", ["alpha", "beta"], ["rack-a"], 2],
      ["zed", ["zeta"], ["rack-a", "rack-b"], 1],
      ["unknown", ["odd"], ["rack-b"], 1]
    ])
    expect([document.total_families, document.total_endpoints]).toEqual([3, 2])
  })
})
