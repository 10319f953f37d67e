import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ownerOf, type WritableModel } from "../../src/profile/ListingEntries.ts"
import { listingFormats, type WrittenFormat } from "../../src/profile/ListingFormats.ts"
import { formatNamed, formatNames, kindsThatList } from "../../src/profile/ListingNames.ts"
import { writeListing } from "../../src/profile/ListingWriting.ts"
import { finish, profiles } from "../catalogue/fakes.ts"

const model = (more: Partial<WritableModel>): WritableModel =>
  ({
    id: "m",
    family: "birch",
    variant: "",
    parameterSize: "9b",
    quantization: "q4km",
    families: undefined,
    maxContextLength: 16_384,
    aliases: [],
    sources: [],
    capabilities: [],
    diskSize: 0,
    lastSeen: Date.UTC(2026, 2, 4, 5, 6, 7, 890),
    created: 1_772_500_000,
    metadata: {},
    ...more
  }) as WritableModel

const write = (format: WrittenFormat, models: ReadonlyArray<WritableModel>) =>
  finish(writeListing(format, models, { select: (all) => all, kinds: kindsThatList(profiles, format), availabilityOf: () => [] }))

const alias = (name: string, source: string) => ({ name, source })
const source = (nativeName: string, platform: string, more: object = {}) =>
  ({ nativeName, platform, state: "unknown", diskSize: 0, ...more }) as WritableModel["sources"][number]

describe("a list in the form of", () => {
  it("ollama has the alias, the size on its endpoint, and the details as discovered", () => {
    const birch = model({
      aliases: [alias("birch:9b", "ollama"), alias("birch-9b", "vllm")],
      sources: [source("birch:9b", "ollama", { diskSize: 5_100_000_000 })],
      families: ["birch", "clip"],
      metadata: { digest: "ab12cd", format: "gguf" }
    })
    expect(write("ollama", [birch, model({ aliases: [alias("other", "vllm")] })])).toEqual({
      models: [
        {
          name: "birch:9b",
          model: "birch:9b",
          modified_at: "2026-03-04T05:06:07Z",
          digest: "ab12cd",
          size: 5_100_000_000,
          details: {
            format: "gguf",
            family: "birch",
            families: ["birch", "clip"],
            parameter_size: "9b",
            quantization_level: "Q4_K_M"
          }
        }
      ]
    })
  })
  it("lmstudio has type, publisher, state and context", () => {
    const oak = model({
      family: "oak_vl",
      quantization: "4bit",
      maxContextLength: 65_536,
      aliases: [alias("acme/oak-vl", "lm-studio")],
      sources: [source("acme/oak-vl", "lm-studio", { state: "loaded" })],
      metadata: { type: "model", model_type: "vlm", publisher: "acme" }
    })
    expect(write("lmstudio", [oak, model({ aliases: [alias("x", "ollama")] })])).toEqual({
      object: "list",
      data: [
        {
          id: "acme/oak-vl",
          object: "model",
          type: "vlm",
          publisher: "acme",
          arch: "oak_vl",
          compatibility_type: "gguf",
          quantization: "4bit",
          state: "loaded",
          max_context_length: 65_536
        }
      ]
    })
  })
  it("lmstudio has what its clients read even where nothing is known, and says what is loaded", () => {
    const plain = model({ family: "", quantization: "", maxContextLength: undefined, aliases: [alias("x", "lm-studio")] })
    const loaded = model({
      aliases: [alias("acme/y", "lm-studio")],
      sources: [source("acme/y", "lm-studio", { state: "loading" })],
      metadata: { format: "mlx", loaded_context_length: 4096, listed_capabilities: ["tool_use"] }
    })
    const written = finish(
      writeListing("lmstudio", [plain, loaded], {
        select: (all) => all,
        kinds: kindsThatList(profiles, "lmstudio"),
        availabilityOf: () => [],
        assumedContext: 32_768
      })
    )
    const unknown = { publisher: "unknown", arch: "", compatibility_type: "gguf", quantization: "", state: "not-loaded" }
    const known = {
      publisher: "acme",
      compatibility_type: "mlx",
      state: "loading",
      loaded_context_length: 4096,
      capabilities: ["tool_use"]
    }
    expect(written).toMatchObject({
      data: [
        { id: "acme/y", ...known },
        { id: "x", ...unknown, max_context_length: 32_768 }
      ]
    })
  })
  it.each([
    ["openai", ["a-name", "m"]],
    ["vllm", ["m"]]
  ] as const)("%s: of aliases and models each name once", (format, ids) => {
    const m = model({ aliases: [alias("m", "vllm")] })
    const aliases = [["m", m] as const, ["a-name", m] as const]
    const view = {
      select: (all: ReadonlyArray<WritableModel>) => all,
      kinds: kindsThatList(profiles, format),
      availabilityOf: () => [],
      aliases
    }
    const written = finish(writeListing(format, [m], view)) as { readonly data: ReadonlyArray<{ readonly id: string }> }
    expect(written.data.map(({ id }) => id)).toEqual(ids)
  })
  it.each([
    [["vision"], "vlm"],
    [["embeddings"], "embeddings"],
    [["chat"], "llm"]
  ])("lmstudio: without a type, %j means %s", (capabilities, type) => {
    expect(write("lmstudio", [model({ aliases: [alias("x", "lm-studio")], capabilities })])).toMatchObject({
      data: [{ type, state: "not-loaded" }]
    })
  })

  const elm = model({ aliases: [alias("acme/elm-13b", "vllm")], metadata: { parent_model: "acme/elm" } })
  const plain = {
    id: "acme/elm-13b",
    object: "model",
    owned_by: "acme",
    created: 1_772_500_000,
    max_model_len: 16_384,
    context_length: 16_384
  }
  const permission = {
    group: null,
    id: "modelperm-olla-acme-elm-13b",
    object: "model_permission",
    organization: "*",
    created: 1_772_500_000,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    is_blocking: false
  }
  it.each([
    ["vllm", { ...plain, root: "acme/elm-13b", permission: [permission] }],
    ["lmdeploy", { ...plain, permission: [permission] }],
    ["sglang", { ...plain, root: "acme/elm-13b", parent: "acme/elm" }],
    ["lemonade", { ...plain, checkpoint: "", recipe: "", downloaded: false }],
    ["vllm-mlx", plain],
    ["docker-model-runner", plain],
    ["openai", { ...plain, owned_by: "olla" }]
  ] as const)("%s", (format, entry) => {
    expect(write(format, [elm])).toEqual({ object: "list", data: [entry] })
  })
  it("llamacpp mirrors its data in models", () => {
    expect(write("llamacpp", [elm])).toEqual({ object: "list", data: [plain], models: [plain] })
  })
  it("sglang carries the flags that were discovered", () => {
    const metadata = { radix_cache_size: 7, speculative_decoding: true, frontend_enabled: false, supports_vision: true }
    expect(write("sglang", [model({ metadata })])).toMatchObject({
      data: [{ supports_vision: true, radix_cache_size: 7, spec_decoding: true, frontend_enabled: false }]
    })
  })
  it.each([
    ["available", true],
    ["loaded", true],
    ["unknown", false],
    ["not-loaded", false]
  ])("lemonade: a model that is %s has downloaded %s", (state, downloaded) => {
    const yew = model({
      aliases: [alias("Yew-1B-NPU", "lemonade")],
      sources: [source("Yew-1B-NPU", "lemonade", { state })],
      metadata: { checkpoint: "acme/Yew-1B-onnx", recipe: "oga-npu" }
    })
    expect(write("lemonade", [yew])).toMatchObject({
      data: [{ id: "Yew-1B-NPU", owned_by: "lemonade", checkpoint: "acme/Yew-1B-onnx", recipe: "oga-npu", downloaded }]
    })
  })
  it("a provider names a model by its own alias, else by the first, else by the unified id", () => {
    const both = model({ aliases: [alias("birch:9b", "ollama"), alias("birch-9b", "vllm-mlx")] })
    const idOf = (format: WrittenFormat, one: WritableModel) => (write(format, [one])["data"] as ReadonlyArray<{ id: string }>)[0]?.id
    expect([idOf("vllm-mlx", both), idOf("vllm", both), idOf("vllm", model({}))]).toEqual(["birch-9b", "birch:9b", "m"])
  })
})

describe("every list", () => {
  it.each(["unified", ...listingFormats] as const)("%s is in byte order of its ids, whatever the order of the models", (format) => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 8 }), (ids) => {
        const models = ids.map((id) => model({ id, aliases: [alias(id, "ollama"), alias(id, "lm-studio")] }))
        const list = (given: ReadonlyArray<WritableModel>) => {
          const written = write(format, given)
          return ((written["data"] ?? written["models"]) as ReadonlyArray<{ id?: string; name?: string }>).map(
            (entry) => entry.id ?? entry.name
          )
        }
        const shown = list(models)
        expect(shown).toEqual([...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
        expect(list([...models].reverse())).toEqual(shown)
      }),
      { numRuns: 30 }
    )
  })
})

describe("the name of a form", () => {
  it("is its own word, or a kind's that lists so, by name or prefix", () => {
    const forms = ["", "unified", "openai", "lmstudio", "lm-studio", "lm_studio", "litellm", "omlx", "dmr", "nobody", "auto"]
    expect(forms.map((name) => formatNamed(profiles, name))).toEqual([
      ...["unified", "unified", "openai", "lmstudio", "lmstudio", "lmstudio", "openai", "openai", "docker-model-runner"],
      ...[undefined, undefined]
    ])
  })
  it("is one of those that a refusal lists", () => {
    for (const name of formatNames(profiles)) expect(formatNamed(profiles, name), name).toBeDefined()
  })
})

describe("the owner", () => {
  it.each([
    ["acme/elm-13b", "acme"],
    ["mistralai-x", "mistralai"],
    ["meta-llama-3", "meta"],
    ["Qwen-7b", "Qwen"],
    ["qwen2.5-0.5b", "vllm"],
    ["/models/elm", "vllm"],
    ["/", "vllm"],
    ["elm", "vllm"],
    ["x-google-y", "vllm"],
    ["ggoogle-y", "vllm"],
    ["ai-x", "vllm"],
    ["microsoftresearchandmore-x", "vllm"]
  ])("of %s is %s", (id, owner) => {
    expect(ownerOf(id, "vllm")).toBe(owner)
  })
  it("is never empty", () => {
    fc.assert(fc.property(fc.string(), (id) => ownerOf(id, "vllm") !== ""))
  })
})

it.each([
  ["q4ks", "Q4_K_S"],
  ["q3kl", "Q3_K_L"],
  ["q3km", "Q3_K_M"],
  ["q3ks", "Q3_K_S"],
  ["q5km", "Q5_K_M"],
  ["q5ks", "Q5_K_S"],
  ["q6k", "Q6_K"],
  ["q8", "Q8_0"],
  ["q4", "Q4_0"],
  ["q5", "Q5_0"],
  ["f16", "F16"],
  ["f32", "F32"],
  ["unk", "unknown"],
  ["4bit", "4bit"]
])("the quantisation %s is shown as %s", (quantization, shown) => {
  expect(write("ollama", [model({ quantization, aliases: [alias("a", "ollama")] })])).toMatchObject({
    models: [{ details: { quantization_level: shown } }]
  })
})
