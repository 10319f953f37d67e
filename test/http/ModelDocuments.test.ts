import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { modelDocument, modelsDocument } from "../../src/http/ModelDocuments.ts"
import { ListedFleet, listed } from "../catalogue/fakes.ts"

const now = 1_060_000

const sample = () => {
  const fleet = new ListedFleet()
  // Ascending by URL: a, b, c.
  fleet.with(
    "c",
    "lm-studio",
    [
      listed(
        "vl",
        { type: "model", lastSeen: 1_050_000 },
        { type: "vlm", family: "qwen", max_context_length: 200_000, quantization_level: "BF16" }
      )
    ],
    { url: "http://c" }
  )
  fleet.with(
    "b",
    "ollama",
    [listed("qwen3:8b", { size: 5_261_334_938, lastSeen: 1_030_000 }, { family: "qwen", parameter_size: "8.2B", digest: "d" }), "mystery"],
    { url: "http://b" }
  )
  fleet.with(
    "a",
    "ollama",
    [listed("qwen3:8b", { lastSeen: 1_000_000 }, { quantization_level: "Q4_K_M", digest: "d" }), listed("copy", {}, { digest: "d" })],
    { url: "http://a" }
  )
  return fleet
}

const inventory = (fleet: ListedFleet, grouped = false) => modelsDocument(fleet.endpoints, fleet.snapshot(), now, grouped)

describe("the inventory", () => {
  it("has one entry for a name, the first value of ascending URLs in each field, the newest sight, its places by name", () => {
    const document = inventory(sample())
    expect(document.recent_models.find((model) => model.name === "qwen3:8b")).toEqual({
      last_seen_at: "1970-01-01T00:17:10.000Z",
      name: "qwen3:8b",
      family: "qwen",
      size: "4.90 GB",
      params: "8.2B",
      quant: "Q4_K_M",
      last_seen: "30s ago",
      endpoints: ["a", "b"],
      endpoint_ids: [expect.any(String), expect.any(String)],
      aliases: ["copy"]
    })
    expect(document).toMatchObject({ total_models: 4, total_families: 2, total_endpoints: 3 })
    expect(document).not.toHaveProperty("model_groups")
  })

  it("infers what a model can do", () => {
    expect(inventory(sample()).recent_models.find((model) => model.name === "vl")).toMatchObject({
      type: "vlm",
      capabilities: ["vision", "multimodal", "long_context", "high_precision"]
    })
  })

  it("sorts names into families, unknown ones last", () => {
    const document = inventory(sample(), true)
    // A name that nobody knows the family of takes it from the model that it is a copy of.
    expect(document.models_by_family).toEqual({ qwen: ["copy", "qwen3:8b", "vl"], unknown: ["mystery"] })
    expect(
      document.model_groups?.map((group) => [group.family, group.models.map((model) => model.name), group.endpoints, group.model_count])
    ).toEqual([
      ["qwen", ["copy", "qwen3:8b", "vl"], ["a", "b", "c"], 3],
      ["unknown", ["mystery"], ["b"], 1]
    ])
  })

  it("shows the ten seen last, then by name", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 4 }), fc.constantFrom(1_000, 2_000, 3_000)), {
          maxLength: 30,
          selector: ([name]) => name
        }),
        (models) => {
          const fleet = new ListedFleet()
          fleet.with(
            "a",
            "vllm",
            models.map(([name, lastSeen]) => listed(name, { lastSeen }))
          )
          const expected = [...models].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, 10)
          expect(inventory(fleet).recent_models.map((model) => model.name)).toEqual(expected.map(([name]) => name))
        }
      )
    )
  })

  it("is empty without models", () => {
    expect(inventory(new ListedFleet(), true)).toEqual({
      timestamp: expect.any(String),
      models_by_family: {},
      recent_models: [],
      total_models: 0,
      total_families: 0,
      total_endpoints: 0
    })
  })
})

describe("one model", () => {
  it("has its names once and its endpoints by name", () => {
    const model = sample().snapshot().find("COPY")
    expect(model && modelDocument(model, now)).toMatchObject({
      id: "qwen3:8b",
      parameter_size: "8.2b",
      parameter_count: 8_200_000_000,
      quantization: "q4km",
      total_disk_size: "4.90 GB",
      last_seen: "30s ago",
      aliases: ["qwen3:8b", "copy"],
      endpoints: ["b", "a"],
      loaded_endpoints: []
    })
  })
})
