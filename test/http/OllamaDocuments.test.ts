import { describe, expect, it } from "vitest"
import type { UnifiedModel } from "../../src/catalogue/ModelOffer.ts"
import { capabilitiesOf, showDocument } from "../../src/http/OllamaDocuments.ts"

const model = (metadata: object, capabilities: ReadonlyArray<string> = ["chat"]) =>
  ({ metadata, capabilities, sources: [], family: "", parameterCount: 0, lastSeen: 0 }) as unknown as UnifiedModel

describe("what Ollama's clients are told that a model can", () => {
  it.each([
    [model({}), ["completion", "tools"]],
    [model({ model_type: "vlm" }), ["completion", "tools", "vision"]],
    [model({ listed_capabilities: ["tool_use", "vision"] }), ["completion", "tools", "vision"]],
    [model({}, ["chat", "reasoning"]), ["completion", "tools", "thinking"]],
    [model({ model_type: "embeddings" }), ["embedding"]]
  ])("follows from the listing (case %#)", (given, told) => {
    expect(capabilitiesOf(given)).toEqual(told)
  })

  it("is thinking too once a server of it has thought", () => {
    const sources = [{ endpoint: { thinking: new Set(["deep"]) }, nativeName: "deep" }]
    expect(capabilitiesOf({ ...model({}), sources } as unknown as UnifiedModel)).toContain("thinking")
    expect(capabilitiesOf({ ...model({}), sources: [{ ...sources[0], nativeName: "flat" }] } as unknown as UnifiedModel)).not.toContain(
      "thinking"
    )
  })

  it("has the length of an embedding where a listing says it", () => {
    const { model_info: info } = showDocument(model({ embedding_length: 64 }), "m", 32_768)
    expect(info).toMatchObject({ "unknown.embedding_length": 64, "unknown.context_length": 32_768 })
    expect(showDocument(model({}), "m", 32_768)["model_info"]).not.toHaveProperty("unknown.embedding_length")
  })
})
