/**
 * The contents of `models.yaml`: how attributes are read off model names, and the built-in
 * values, which the shipped `config/models.yaml` repeats word for word (a test holds them equal).
 */

export interface FamilyPattern {
  /** RE2 spelling, matched against the lower-cased name. */
  readonly pattern: string
  /** 1-based capture groups; 0: none. */
  readonly familyGroup: number
  readonly variantGroup: number
  readonly description: string
}

export interface NamePattern {
  /** RE2 spelling, matched ignoring case. */
  readonly pattern: string
  readonly capabilities: ReadonlyArray<string>
}

/** Tokens from which on a label is given; a missing one is never given. */
export interface ContextThresholds {
  readonly extended_context?: number
  readonly long_context?: number
  readonly ultra_long_context?: number
}

/** The ten sections. One that a file leaves out keeps its built-in value, one that it has replaces it entirely. */
export interface ModelRules {
  readonly familyPatterns: ReadonlyArray<FamilyPattern>
  readonly architectureMappings: Readonly<Record<string, string>>
  readonly familyAliases: Readonly<Record<string, string>>
  readonly publisherMappings: Readonly<Record<string, string>>
  readonly quantizationMappings: Readonly<Record<string, string>>
  readonly typeCapabilities: Readonly<Record<string, ReadonlyArray<string>>>
  readonly namePatterns: ReadonlyArray<NamePattern>
  readonly contextThresholds: ContextThresholds
  readonly preserveFamily: ReadonlyArray<string>
  readonly genericNames: ReadonlyArray<string>
}

/** `{ target: "key key" }` to `{ key: target }`, in order. */
const named = (targets: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(targets).flatMap(([target, keys]) => keys.split(" ").map((key) => [key, target])))

const words = (text: string): ReadonlyArray<string> => text.split(" ")

const number = "(?:[-_.:]?(\\d+(?:\\.\\d+)?))?(?:$|[^a-zA-Z])"
const text = "(?:[-_.:](.+))?(?:$|[^a-zA-Z])"

const family = (pattern: string, description: string): FamilyPattern => ({ pattern, familyGroup: 1, variantGroup: 2, description })

const organisations = "phi|llama|gemma|qwen|mistral|glm|granite|nemotron|exaone|kimi|minimax|hunyuan|olmo|internlm|smollm"

export const defaultModelRules: ModelRules = {
  familyPatterns: [
    family("^(mistral|mixtral)[-_]?(.+)", "mistral-7b, mixtral-8x7b"),
    family("^(llama|gemma|phi|qwen)[-_]?(\\d+(?:\\.\\d+)?)", "llama3.2, gemma2, phi-4, qwen2.5"),
    family(`^[^/]+/(${organisations})${number}`, "names with their organisation in front"),
    family("^(codellama|starcoder|vicuna|falcon|yi)[-_]?(\\d+[bB]?)", "families that name their size"),
    family(`^(gpt-oss)${text}`, "gpt-oss:20b"),
    family("^(gpt)(?:[-_.:]?(2|j|neox))?(?:$|[^a-zA-Z])", "gpt2, gpt-j, gpt-neox"),
    family(`^(deepseek)${text}`, "deepseek-coder, deepseek-r1"),
    family(`^(devstral|magistral|codestral|ministral)${text}`, "devstral-small-2505"),
    family(`^(glm)${number}`, "glm-4.5"),
    family(`^(kimi)${text}`, "kimi"),
    family(`^(granite)${number}`, "granite3.1"),
    family(`^(nemotron)${text}`, "nemotron-mini"),
    family(`^(exaone)${number}`, "exaone-4.0"),
    family(`^(hunyuan)${text}`, "hunyuan-a13b"),
    family(`^(minimax)${text}`, "minimax-m1"),
    family(`^(seed-oss)${text}`, "seed-oss-36b"),
    family(`^(olmo)${number}`, "olmo2"),
    family(`^(internlm)${number}`, "internlm3"),
    family(`^(smollm)${number}`, "smollm2"),
    family(`^(command-r)${text}`, "command-r-plus"),
    family(`^(?:[^/]+/)?(forge)${text}`, "forge, with or without its organisation")
  ],
  architectureMappings: named({
    llama: "llama llama2 llama3 llama3.1 llama3.2 llama3.3 llama4",
    gemma: "gemma gemma2 gemma3 gemma4",
    phi: "phi3 phi3.5 phi4",
    mistral: "mistral",
    mixtral: "mixtral",
    qwen: "qwen qwen2 qwen2.5 qwen3 qwen3.5 qwen3.6",
    deepseek: "deepseek",
    yi: "yi",
    starcoder: "starcoder",
    codellama: "codellama",
    vicuna: "vicuna",
    falcon: "falcon",
    gpt2: "gpt2",
    gptj: "gptj",
    gptneox: "gptneox",
    bloom: "bloom",
    opt: "opt",
    mpt: "mpt",
    glm: "glm glm4 glm5 glm4moe",
    granite: "granite granitemoe granitehybrid",
    exaone: "exaone exaone4",
    kimi: "kimi",
    nemotron: "nemotron",
    hunyuan: "hunyuan",
    minimax: "minimax",
    "seed-oss": "seed-oss seed_oss",
    olmo: "olmo olmo2",
    internlm: "internlm internlm2 internlm3",
    smollm: "smollm smollm2 smollm3",
    "command-r": "command-r"
  }),
  familyAliases: named({
    llama: "llama3 llama3.2 llama3.3 llama4",
    gemma: "gemma2 gemma3 gemma4",
    phi: "phi3 phi3.5 phi4",
    qwen: "qwen2 qwen2.5 qwen3 qwen3.5",
    deepseek: "deepseek2 deepseek3 deepseek4",
    mistral: "devstral magistral codestral ministral",
    glm: "glm4 glm4moe",
    granite: "granitemoe granitehybrid",
    exaone: "exaone4",
    "seed-oss": "seed-oss seed_oss",
    olmo: "olmo2",
    internlm: "internlm2 internlm3",
    smollm: "smollm2 smollm3"
  }),
  publisherMappings: named({
    meta: "llama codellama opt",
    google: "gemma",
    microsoft: "phi",
    mistral: "mistral mixtral devstral magistral codestral ministral",
    alibaba: "qwen",
    "01-ai": "yi",
    deepseek: "deepseek",
    bigcode: "starcoder",
    tii: "falcon",
    lmsys: "vicuna",
    bigscience: "bloom",
    openai: "gpt2 gpt-oss",
    eleutherai: "gptj gptneox",
    "zai-org": "glm",
    moonshotai: "kimi",
    ibm: "granite",
    nvidia: "nemotron",
    "lg-ai": "exaone",
    tencent: "hunyuan",
    minimax: "minimax",
    bytedance: "seed-oss",
    allenai: "olmo",
    internlm: "internlm",
    huggingfacetb: "smollm",
    cohere: "command-r",
    tensorfoundry: "forge"
  }),
  quantizationMappings: named({
    q4km: "Q4_K_M",
    q4ks: "Q4_K_S",
    q3kl: "Q3_K_L",
    q3km: "Q3_K_M",
    q3ks: "Q3_K_S",
    q5km: "Q5_K_M",
    q5ks: "Q5_K_S",
    q6k: "Q6_K",
    q2k: "Q2_K",
    q4kxl: "Q4_K_XL",
    q4: "Q4_0",
    q4_1: "Q4_1",
    q5: "Q5_0",
    q5_1: "Q5_1",
    q8: "Q8_0",
    f16: "F16 FP16",
    f32: "F32 FP32",
    bf16: "BF16",
    gptq4: "GPTQ_4BIT GPTQ-4BIT",
    awq4: "AWQ_4BIT AWQ-4BIT",
    int8: "INT8",
    int4: "INT4",
    mxfp4: "MXFP4",
    nvfp4: "NVFP4"
  }),
  typeCapabilities: {
    llm: words("text-generation chat completion"),
    vlm: words("text-generation vision multimodal image-understanding"),
    embeddings: words("embeddings similarity vector-search"),
    embedding: words("embeddings similarity vector-search")
  },
  namePatterns: [
    { pattern: "(code|coder|codegen|starcoder)", capabilities: words("code-generation programming code-completion") },
    { pattern: "(instruct|chat|assistant)", capabilities: words("instruction-following chat") },
    { pattern: "(reasoning|think)", capabilities: words("reasoning logic") },
    { pattern: "(math|mathstral)", capabilities: words("mathematics problem-solving") },
    { pattern: "(vision|vlm|llava|bakllava)", capabilities: words("vision multimodal image-understanding") }
  ],
  contextThresholds: { extended_context: 32_000, long_context: 100_000, ultra_long_context: 1_000_000 },
  preserveFamily: words("nomic-bert deepseek-coder-v2 kimi"),
  genericNames: words("model unknown test temp default")
}
