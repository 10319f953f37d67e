import { describe, expect, it } from "vitest"
import type { UnifiedModel } from "../../src/catalogue/ModelOffer.ts"
import { capabilitiesOf } from "../../src/http/OllamaDocuments.ts"

const model = (metadata: object, capabilities: ReadonlyArray<string> = ["chat"]) => ({ metadata, capabilities }) as unknown as UnifiedModel

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
})
