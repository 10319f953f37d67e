import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { buildAttributeRules, defaultRules } from "../../src/catalogue/AttributeRules.ts"
import { parameterSize, parameterText, stateOf } from "../../src/catalogue/ModelAttributes.ts"
import { defaultModelRules } from "../../src/catalogue/ModelRules.ts"
import { listed } from "./fakes.ts"

describe("a family read off a name", () => {
  it.each([
    ["llama3.2:1b", "llama", "3.2"],
    ["mixtral-8x7b", "mixtral", "8x7b"],
    ["microsoft/phi-4-mini", "phi", "4"],
    ["codellama-34b", "codellama", "34b"],
    ["gpt-j-6b", "gpt", "j"],
    ["gpt-oss:20b", "gpt-oss", "20b"],
    ["deepseek-coder", "deepseek", "coder"],
    ["deepseek-coder-v2-lite", "deepseek-coder-v2", ""],
    ["moonshotai/Kimi-K2-Instruct", "kimi", ""],
    ["kimi/llama-3-8b", "llama", "3"],
    ["exaone-4.0-32b", "exaone", "4.0"],
    ["tf/forge-code-2.1-code", "forge", "code-2.1-code"],
    ["devstral-small-2505", "devstral", "small-2505"],
    ["olmo2-13b", "olmo", "2"],
    ["command-r-plus", "command-r", "plus"],
    ["kimichef-70b", "", ""],
    ["glmania-1b", "", ""],
    ["gptx-70b", "", ""],
    ["unknown-model", "", ""],
    ["  Llama3.2:1B  ", "llama", "3.2"],
    // No pattern fits: the first word begins with a known alias, or with a known family.
    ["qwenlong-l1", "qwen", ""],
    ["phi3-vision", "phi", "3"],
    ["internlm2x", "internlm", ""],
    ["bloomz-7b", "bloom", ""],
    ["", "", ""]
  ])("%j is %j / %j", (name, family, variant) => {
    expect(defaultRules.familyOf(name)).toEqual({ family, variant })
  })

  it.each([
    ["model", "llama3.2", "llama", "3.2"],
    ["model", "glm4moe", "glm", "4moe"],
    ["custom-name", "phi3", "phi", ""],
    ["model", "deepseek2", "deepseek", "2"],
    ["kimi-k2", "deepseek2", "kimi", ""],
    ["my-llama", "llama3.1", "llama", "3.1"],
    ["llama3.2:1b", "nothing-known", "llama", "3.2"]
  ])("%j with architecture %j is %j / %j", (name, architecture, family, variant) => {
    expect(defaultRules.familyOf(name, architecture)).toEqual({ family, variant })
  })

  it("is the backend's own word where it has one, without a variant", () => {
    expect(defaultRules.family(listed("llama3.2:1b", {}, { family: "gemma3" }))).toEqual({ family: "gemma3", variant: "" })
    expect(defaultRules.family(listed("llama3.2:1b", {}, { families: ["mllama", "clip"] }))).toEqual({ family: "mllama", variant: "" })
    expect(defaultRules.family(listed("llama3.2:1b", {}, { family: "" }))).toEqual({ family: "llama", variant: "3.2" })
  })

  it("comes quickly from any name", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 3000, unit: fc.constantFrom(..."abkimllama-_.:/0123456789\n") }), (name) => {
        const began = performance.now()
        defaultRules.family(listed(name))
        defaultRules.capabilities(listed(name))
        expect(performance.now() - began).toBeLessThan(1_000)
      }),
      { numRuns: 300 }
    )
  })
})

describe("a parameter size", () => {
  it.each([
    ["7B", "7b", 7_000_000_000],
    ["7", "7b", 7_000_000_000],
    ["12.2B", "12.2b", 12_200_000_000],
    ["1.5 B", "1.5b", 1_500_000_000],
    ["8.0B", "8b", 8_000_000_000],
    ["540M", "540m", 540_000_000],
    ["137.5M", "138m", 137_500_000],
    ["1500M", "1.5b", 1_500_000_000],
    ["2000M", "2b", 2_000_000_000],
    ["8x7B", "8x7b", 56_000_000_000],
    ["8X22b", "8x22b", 176_000_000_000],
    ["NaN", "NaN", 0],
    ["7B-ish", "7B-ish", 0],
    ["", "", 0]
  ])("%j is %j and %d", (text, shown, count) => {
    expect(parameterSize(text)).toEqual({ text: shown, count })
  })

  it.each([
    [8_030_261_248, "8b"],
    [1_235_814_432, "1.2b"],
    [494_032_768, "494m"]
  ])("of exactly %d is shown as %j", (count, text) => {
    expect(parameterText(count)).toBe(text)
  })
})

describe("a quantisation", () => {
  it.each([
    ["Q4_K_M", "q4km"],
    ["q4_k_m", "q4km"],
    ["Q4_0", "q4"],
    ["Q8_0", "q8"],
    ["FP16", "f16"],
    ["BF16", "bf16"],
    ["GPTQ-4BIT", "gptq4"],
    ["MXFP4", "mxfp4"],
    ["Q5_K_L", "q5kl"],
    ["Q6_1", "q6_1"],
    ["Q3", "q3"],
    ["FP8", "f8"],
    ["F64", "f64"],
    ["INT2", "int2"],
    ["IQ4_XS", "iq4_xs"],
    ["TQ1_0", "tq1_0"],
    ["4bit", "4bit"],
    ["Unsloth-Q6", "q6"],
    ["", ""]
  ])("%j is %j", (text, short) => {
    expect(defaultRules.quantization(text)).toBe(short)
  })
})

const capabilities = (...of: Parameters<typeof listed>) => [...defaultRules.capabilities(listed(...of))].sort()

describe("capabilities", () => {
  it.each<[string, Parameters<typeof listed>, ReadonlyArray<string>]>([
    ["begin with text generation", ["mystery"], ["text-generation"]],
    [
      "follow the declared type, record type or detail, whichever is known",
      ["x", { type: "model" }, { type: "vlm" }],
      ["image-understanding", "multimodal", "text-generation", "vision"]
    ],
    ["take text generation from embedders", ["x", {}, { type: "embeddings" }], ["embeddings", "similarity", "vector-search"]],
    ["know the singular too", ["x", { type: "Embedding" }], ["embeddings", "similarity", "vector-search"]],
    [
      "follow the name, in any case",
      ["QwenCoder-Instruct"],
      ["chat", "code-completion", "code-generation", "instruction-following", "programming", "text-generation"]
    ],
    ["see images in names", ["llava:7b"], ["image-understanding", "multimodal", "text-generation", "vision"]],
    ["call 32,000 tokens extended", ["x", {}, { max_context_length: 32_000 }], ["extended-context", "text-generation"]],
    ["call 100,000 long", ["x", {}, { max_context_length: 100_000 }], ["long-context", "text-generation"]],
    ["call a million both", ["x", {}, { max_context_length: 1_000_000 }], ["long-context", "text-generation", "ultra-long-context"]],
    ["say nothing of less", ["x", {}, { max_context_length: 31_999 }], ["text-generation"]]
  ])("%s", (_, of, expected) => {
    expect(capabilities(...of)).toEqual(expected)
  })

  it("give no label whose threshold is missing", () => {
    const built = buildAttributeRules({ ...defaultModelRules, contextThresholds: { long_context: 50_000 } })
    if (built._tag === "error") throw new Error(built.problems.join())
    expect(built.rules.capabilities(listed("x", {}, { max_context_length: 2_000_000 }))).toEqual(["text-generation", "long-context"])
    expect(built.rules.capabilities(listed("x", {}, { max_context_length: 40_000 }))).toEqual(["text-generation"])
  })
})

describe("a publisher", () => {
  it.each([
    ["qwen3:8b", "alibaba"],
    ["Codestral-22B", "mistral"],
    // The longest beginning wins: `gpt-oss` before `gpt2`, `mixtral` before nothing.
    ["gpt-oss:20b", "openai"],
    ["meta-llama/Llama-3", "meta-llama"],
    ["nobody-knows", undefined],
    ["/odd", undefined]
  ])("of %j is %j", (name, publisher) => {
    expect(defaultRules.publisher(listed(name))).toBe(publisher)
  })

  it("is the backend's word where it has one", () => {
    expect(defaultRules.publisher(listed("meta-llama/Llama-3", {}, { publisher: "lmstudio-community" }))).toBe("lmstudio-community")
  })
})

describe("a state", () => {
  it.each([
    ["is the backend's own", listed("x", { size: 1 }, { state: "not-loaded" }), "not-loaded"],
    ["is available with bytes on disk", listed("x", { size: 1 }), "available"],
    ["is unknown otherwise", listed("x"), "unknown"]
  ])("%s", (_, model, state) => {
    expect(stateOf(model)).toBe(state)
  })
})
