import { describe, expect, it } from "vitest"
import { modelDocument } from "../../src/http/ModelDocuments.ts"
import { ListedFleet, listed } from "../catalogue/fakes.ts"

const now = 1_060_000

const sample = () => {
  const fleet = new ListedFleet()
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
