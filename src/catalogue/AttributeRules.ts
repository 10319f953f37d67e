/** How families, quantisation and capabilities are read off names and fields (models-and-routing.md 3.6 and 4.1). */
import type { ListedModel } from "../profile/ListedModel.ts"
import type { AttributeRules } from "./Unification.ts"

const typeCapabilities: Readonly<Record<string, ReadonlyArray<string>>> = {
  llm: ["text-generation", "chat", "completion"],
  vlm: ["text-generation", "vision", "multimodal", "image-understanding"],
  embeddings: ["embeddings", "similarity", "vector-search"],
  embedding: ["embeddings", "similarity", "vector-search"]
}

const namePatterns: ReadonlyArray<{ readonly pattern: RegExp; readonly capabilities: ReadonlyArray<string> }> = [
  { pattern: /code|coder|codegen|starcoder/i, capabilities: ["code-generation", "programming", "code-completion"] },
  { pattern: /instruct|chat|assistant/i, capabilities: ["instruction-following", "chat"] },
  { pattern: /reasoning|think/i, capabilities: ["reasoning", "logic"] },
  { pattern: /math|mathstral/i, capabilities: ["mathematics", "problem-solving"] },
  { pattern: /vision|vlm|llava|bakllava/i, capabilities: ["vision", "multimodal", "image-understanding"] }
]

const contextThresholds = { extended: 32_000, long: 100_000, ultraLong: 1_000_000 }

const quantizationNames: Readonly<Record<string, string>> = {
  Q4_K_M: "q4km",
  Q4_K_S: "q4ks",
  Q3_K_L: "q3kl",
  Q3_K_M: "q3km",
  Q3_K_S: "q3ks",
  Q5_K_M: "q5km",
  Q5_K_S: "q5ks",
  Q6_K: "q6k",
  Q2_K: "q2k",
  Q4_K_XL: "q4kxl",
  Q4_0: "q4",
  Q4_1: "q4_1",
  Q5_0: "q5",
  Q5_1: "q5_1",
  Q8_0: "q8",
  F16: "f16",
  FP16: "f16",
  F32: "f32",
  FP32: "f32",
  BF16: "bf16",
  GPTQ_4BIT: "gptq4",
  "GPTQ-4BIT": "gptq4",
  AWQ_4BIT: "awq4",
  "AWQ-4BIT": "awq4",
  INT8: "int8",
  INT4: "int4",
  MXFP4: "mxfp4",
  NVFP4: "nvfp4"
}

/** Unmapped spellings, as whole tokens: `IQ4_XS` and `FP8` keep their meaning (B20). */
const quantizationShapes: ReadonlyArray<readonly [RegExp, string]> = [
  [/^q(\d+)_k_([msl])$/, "q$1k$2"],
  [/^q(\d+)_(\d+)$/, "q$1_$2"],
  [/^q(\d+)$/, "q$1"],
  [/^fp?(\d+)$/, "f$1"],
  [/^int(\d+)$/, "int$1"]
]

export const quantization = (text: string): string => {
  const mapped = quantizationNames[text.trim().toUpperCase()]
  if (mapped !== undefined) return mapped
  const low = text.trim().toLowerCase()
  for (const [shape, form] of quantizationShapes) if (shape.test(low)) return low.replace(shape, form)
  return low
}

export const capabilities = (model: ListedModel): ReadonlyArray<string> => {
  const out = new Set(["text-generation"])
  const kind = [model.type, model.details?.type]
    .map((type) => type?.toLowerCase() ?? "")
    .find((type) => typeCapabilities[type] !== undefined)
  if (kind !== undefined) {
    if (kind.startsWith("embedding")) out.delete("text-generation")
    for (const capability of typeCapabilities[kind] ?? []) out.add(capability)
  }
  for (const { pattern, capabilities: added } of namePatterns)
    if (pattern.test(model.name)) for (const capability of added) out.add(capability)
  const context = model.details?.max_context_length ?? 0
  if (context >= contextThresholds.ultraLong) out.add("ultra-long-context")
  if (context >= contextThresholds.long) out.add("long-context")
  else if (context >= contextThresholds.extended) out.add("extended-context")
  return [...out]
}

const version = "(?:[-_.:]?(\\d+(?:\\.\\d+)?))?(?:$|[^a-zA-Z])"
const tail = "(?:[-_.:](.+))?(?:$|[^a-zA-Z])"

/** In order; group 1 is the family, group 2 the variant (models-and-routing.md 4.1). */
const familyPatterns: ReadonlyArray<RegExp> = [
  /^(mistral|mixtral)[-_]?(.+)/,
  /^(llama|gemma|phi|qwen)[-_]?(\d+(?:\.\d+)?)/,
  new RegExp(`^[^/]+/(phi|llama|gemma|qwen|mistral|glm|granite|nemotron|exaone|kimi|minimax|hunyuan|olmo|internlm|smollm)${version}`),
  /^(codellama|starcoder|vicuna|falcon|yi)[-_]?(\d+[bB]?)/,
  new RegExp(`^(gpt-oss)${tail}`),
  /^(gpt)(?:[-_.:]?(2|j|neox))?(?:$|[^a-zA-Z])/,
  ...["deepseek", "devstral|magistral|codestral|ministral"].map((name) => new RegExp(`^(${name})${tail}`)),
  new RegExp(`^(glm)${version}`),
  new RegExp(`^(kimi)${tail}`),
  new RegExp(`^(granite)${version}`),
  new RegExp(`^(nemotron)${tail}`),
  new RegExp(`^(exaone)${version}`),
  ...["hunyuan", "minimax", "seed-oss"].map((name) => new RegExp(`^(${name})${tail}`)),
  ...["olmo", "internlm", "smollm"].map((name) => new RegExp(`^(${name})${version}`)),
  new RegExp(`^(command-r)${tail}`),
  new RegExp(`^(?:[^/]+/)?(forge)${tail}`)
]

const preserved = ["nomic-bert", "deepseek-coder-v2", "kimi"]
const lastResort =
  "llama gemma phi qwen mistral mixtral yi deepseek codellama starcoder vicuna falcon gpt2 gptj gptneox bloom opt mpt".split(" ")

/** Longest name that patterns are tried on: names come from backends. */
const maxName = 256

export const family = (model: ListedModel): { readonly family: string; readonly variant: string } => {
  const stated = model.details?.family ?? model.details?.families?.[0]
  if (stated !== undefined && stated !== "") return { family: stated, variant: "" }
  const name = model.name.trim().toLowerCase().slice(0, maxName)
  const bare = name.slice(name.lastIndexOf("/") + 1)
  const kept = preserved.find((entry) => bare === entry || (bare.startsWith(entry) && /[-_:/.]/.test(bare.charAt(entry.length))))
  if (kept !== undefined) return { family: kept, variant: "" }
  for (const pattern of familyPatterns) {
    const match = pattern.exec(name)
    if (match?.[1] !== undefined && match[1] !== "") return { family: match[1], variant: match[2] ?? "" }
  }
  const token = name.split(/[-_:/]/)[0] ?? ""
  return { family: lastResort.find((word) => token.startsWith(word)) ?? "", variant: "" }
}

export const defaultRules: AttributeRules = { family, quantization, capabilities }
