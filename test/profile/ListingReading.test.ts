import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { detectionOf } from "../../src/profile/Detection.ts"
import { type ListingFormat, listingFormats } from "../../src/profile/ListingFormats.ts"
import { readListing } from "../../src/profile/ListingReading.ts"
import { loadProfiles } from "../../src/profile/ProfileLoading.ts"

const profiles = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: undefined, filter: { include: [], exclude: [] } })
const shipped = profiles.all.map(({ name }) => name)
const { probes, judgeListing } = detectionOf(profiles.all)
const now = 1_800_000_000_000
const recorded = (name: string) =>
  readFileSync(new URL(`./recorded/${name}.http`, import.meta.url), "utf8")
    .split(/\r?\n\r?\n/)
    .slice(1)
    .join("\n\n")
const readAll = (format: ListingFormat, value: unknown) => {
  const steps = readListing(format, value, now)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
const models = (format: ListingFormat, body: unknown) => {
  const reading = readAll(format, typeof body === "string" ? (body === "" ? undefined : JSON.parse(body)) : body)
  if (reading._tag === "error") throw new Error(reading.message)
  return reading.models
}

describe("listings recorded from real servers", () => {
  it("give Ollama's models with digest, family and size", () => {
    expect(models("ollama", recorded("ollama-tags"))).toEqual([
      {
        name: "tiny-ollama:latest",
        size: 531177,
        created: 1795450644,
        lastSeen: now,
        details: {
          digest: expect.stringMatching(/^[0-9a-f]{64}$/),
          max_context_length: 4096,
          embedding_length: 64,
          modified_at: 1795450644812,
          parameter_size: "130K",
          quantization_level: "unknown",
          family: "llama",
          families: ["llama"],
          format: "gguf"
        }
      }
    ])
  })

  it("give llama.cpp's model with what its meta knows", () => {
    expect(models("llamacpp", recorded("llamacpp-v1-models"))).toEqual([
      {
        name: "tiny-llama",
        type: "llamacpp",
        size: 520960,
        created: 1795453397,
        lastSeen: now,
        details: { embedding_length: 64, modified_at: 1795453397000, max_context_length: 512, format: "gguf", parameter_count: 130240 }
      }
    ])
  })

  it("give what a llama.cpp router says of a model's names and state", () => {
    const list = {
      data: [
        { id: "a", aliases: ["a", "A-short", "", 7], status: { value: "loaded" } },
        { id: "b", aliases: [], status: { value: "unloaded" } },
        { id: "c", aliases: "none", status: { value: "unloaded", failed: true } },
        { id: "d", status: "loaded" }
      ]
    }
    expect(models("llamacpp", list).map(({ name, aliases, details }) => [name, aliases, details?.state])).toEqual([
      ["a", ["A-short"], "loaded"],
      ["b", undefined, "not-loaded"],
      ["c", undefined, "failed"],
      ["d", undefined, undefined]
    ])
  })
  it("give LiteLLM's models with their owner", () => {
    expect(models("openai", recorded("litellm-v1-models")).map((model) => [model.name, model.type, model.details?.publisher])).toEqual([
      ["test-model", "model", "openai"],
      ["dead", "model", "openai"]
    ])
  })
})

describe("a listing of each kind", () => {
  const entry = { id: "org/m", object: "model", created: 1700000000, owned_by: "someone", parent: "base", max_model_len: 8192 }
  const details = { modified_at: 1700000000000, publisher: "someone", max_context_length: 8192 }
  it.each([
    ["openai", { type: "model", details }],
    ["vllm", { type: "vllm", details: { ...details, parent_model: "base" } }],
    ["sglang", { type: "sglang", details: { ...details, parent_model: "base" } }],
    ["lmdeploy", { type: "lmdeploy", details: { ...details, parent_model: "base" } }],
    ["vllm-mlx", { type: "vllm-mlx", details: { ...details, format: "mlx" } }],
    ["llamacpp", { type: "llamacpp", details: { ...details, format: "gguf" } }],
    ["docker-model-runner", { type: "docker-model-runner", details }]
  ] as const)("%s is read by its own rules", (format, expected) => {
    expect(models(format, { data: [entry] })).toEqual([{ name: "org/m", created: 1700000000, lastSeen: now, ...expected }])
  })

  it.each([
    [{ max_model_len: 1, context_length: 2 }, 1],
    [{ context_length: 2, meta: { n_ctx: 4 } }, 2],
    [{ context_window: 3 }, 3],
    [{ meta: { n_ctx: 4, n_ctx_train: 5 } }, 4],
    [{ meta: { n_ctx_train: 5 } }, 5],
    [{ max_model_len: "many" }, undefined]
  ])("takes the context length by whatever name a server gives it: %j", (fields, length) => {
    for (const format of listingFormats.filter((one) => one !== "ollama" && one !== "lmstudio"))
      expect(models(format, { data: [{ id: "m", ...fields }] })[0]?.details?.max_context_length).toBe(length)
  })

  it.each([
    ["vllm", "vllm"],
    ["sglang", "sglang"],
    ["lmdeploy", "lmdeploy"],
    ["vllm-mlx", "vllm"],
    ["llamacpp", "llamacpp"],
    ["docker-model-runner", "docker"]
  ] as const)("%s: the owner %s is no publisher", (format, owner) => {
    expect(models(format, { data: [{ id: "m", owned_by: owner }] })[0]?.details?.publisher).toBeUndefined()
  })

  it("lm-studio is read with type, publisher, state and context", () => {
    const body = {
      data: [
        {
          id: "m",
          object: "model",
          type: "vlm",
          publisher: "p",
          arch: "qwen2",
          compatibility_type: "gguf",
          quantization: "Q4_K_M",
          state: "loaded",
          max_context_length: 131072
        }
      ]
    }
    expect(models("lmstudio", body)).toEqual([
      {
        name: "m",
        type: "model",
        lastSeen: now,
        details: {
          type: "vlm",
          publisher: "p",
          parent_model: "p",
          quantization_level: "Q4_K_M",
          family: "qwen2",
          families: ["qwen2"],
          format: "gguf",
          state: "loaded",
          max_context_length: 131072
        }
      }
    ])
  })

  it.each([
    ["oga-npu", "onnx"],
    ["llamacpp", "gguf"],
    ["flm", "gguf"],
    ["other", undefined]
  ])("lemonade: recipe %s has format %s", (recipe, format) => {
    const details = models("lemonade", { data: [{ id: "m", checkpoint: "amd/M-onnx", recipe, downloaded: true, owned_by: "x" }] })[0]
      ?.details
    expect(details).toMatchObject({ checkpoint: "amd/M-onnx", recipe, publisher: "amd", state: "available" })
    expect(details?.format).toBe(format)
  })
})

describe("odd listings", () => {
  it.each(listingFormats)("%s: missing and null lists are no models, an empty body is no list", (format) => {
    expect(readAll(format, undefined)).toEqual({ _tag: "error", message: "the body is empty" })
    for (const body of ["{}", '{"data":null,"models":null}', '{"error":"x"}']) expect(models(format, body)).toEqual([])
  })

  it.each(listingFormats)("%s: what is no object fails the list", (format) => {
    for (const value of [[], 3, "x", null]) expect(readAll(format, value)).toEqual({ _tag: "error", message: "not a JSON object" })
  })

  it("skips odd entries and odd fields, keeps the rest", () => {
    const body = {
      data: [null, 3, { id: "" }, { id: 5 }, { id: "a", created: 1700000000.7, owned_by: 4, max_model_len: "x" }, { id: "a" }]
    }
    expect(models("vllm", body)).toEqual([
      { name: "a", type: "vllm", created: 1700000000, lastSeen: now, details: { modified_at: 1700000000000 } },
      { name: "a", type: "vllm", lastSeen: now }
    ])
  })
})

describe("whatever a server answers", () => {
  const entry = fc.oneof(
    fc.json().map((text) => JSON.parse(text) as unknown),
    fc.dictionary(fc.constantFrom("id", "name", "created", "owned_by", "details", "meta", "parent", "type", "size"), fc.jsonValue())
  )
  const values = fc.oneof(
    fc.jsonValue(),
    fc.record({ data: fc.array(entry, { maxLength: 200 }), models: fc.array(entry) }, { requiredKeys: [] })
  )
  it.each(listingFormats)("%s: it is read or refused, and names are texts", (format) => {
    fc.assert(
      fc.property(values, (value) => {
        const reading = readAll(format, value)
        if (reading._tag === "ok") for (const { name } of reading.models) expect(name).not.toBe("")
        else expect(reading.message).toBe("not a JSON object")
      })
    )
  })
  it("a judge proves one of the kinds, or nothing", () => {
    fc.assert(
      fc.property(values, (value) => {
        for (const judge of [judgeListing, ...probes.map((probe) => probe.judge)])
          expect([undefined, ...shipped]).toContain(judge(value)?.profile.name)
      })
    )
  })
})

describe("auto detection", () => {
  const judge = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    probes.find((probe) => probe.path === path)?.judge(body, (name) => headers[name])?.profile.name
  const judgedListing = (body: unknown) => judgeListing(body)?.profile.name
  it("asks first who also answers the paths of others", () => {
    expect(probes.map((probe) => probe.path)).toEqual([
      "/engines/v1/models",
      "/api/tags",
      "/api/v0/models",
      "/api/v1/models",
      "/health/liveliness",
      "/v1/models"
    ])
  })

  it("knows LiteLLM by its own words alone", () => {
    expect(judge("/health/liveliness", "I'm alive!")).toBe("litellm")
    for (const other of [undefined, "alive", { status: "ok" }, []]) expect(judge("/health/liveliness", other)).toBeUndefined()
  })

  it("knows Ollama by its tags, and llama.cpp's tags not for Ollama's", () => {
    expect(judge("/api/tags", JSON.parse(recorded("ollama-tags")))).toBe("ollama")
    expect(judge("/api/tags", { models: [], data: [] })).toBeUndefined()
  })

  it.each([
    ["/api/v0/models", { data: [] }, "lm-studio"],
    ["/engines/v1/models", { data: [] }, "docker-model-runner"],
    ["/api/v1/models", { data: [{ recipe: "x" }] }, "lemonade"],
    ["/api/v1/models", { data: [{ id: "x" }] }, undefined],
    ["/v1/models", { data: [{ owned_by: "sglang" }] }, "sglang"],
    ["/v1/models", { data: [{ owned_by: "vllm-mlx" }] }, "vllm-mlx"],
    ["/v1/models", { data: [{ meta: {} }] }, "llamacpp"],
    ["/v1/models", { data: [], models: [] }, "llamacpp"],
    ["/v1/models", { data: [{ owned_by: "somebody" }] }, "openai-compatible"],
    ["/v1/models", {}, undefined]
  ])("%s with %j proves %s", (path, body, profile) => {
    expect(judge(path, body)).toBe(profile)
  })

  it("judges an explicit listing by the same evidence", () => {
    expect(judgedListing(JSON.parse(recorded("llamacpp-v1-models")))).toBe("llamacpp")
    expect(judgedListing(JSON.parse(recorded("ollama-tags")))).toBe("ollama")
    expect(judgedListing({ data: [{ id: "x", compatibility_type: "gguf" }] })).toBe("lm-studio")
  })

  it("knows by a header what the list does not tell", () => {
    expect(judge("/v1/models", { data: [] }, { server: "llama.cpp" })).toBe("llamacpp")
    expect(judge("/v1/models", { data: [] }, { server: "uvicorn" })).toBe("openai-compatible")
  })

  it("takes a kind of the user's by the proofs in its file", () => {
    const folder = mkdtempSync(join(tmpdir(), "olla-"))
    mkdirSync(join(folder, "profiles"))
    writeFileSync(
      join(folder, "profiles", "cedar.yaml"),
      "name: cedar\nextends: vllm\ndetection:\n  proofs:\n    - {path: /v1/models, place: 5, lists: [data], header: x-cedar, anywhere: true}\n"
    )
    const set = loadProfiles({ cwd: "/nonexistent", env: {}, configFolder: folder, filter: { include: [], exclude: [] } })
    const detection = detectionOf(set.all)
    const asked = (headers: Readonly<Record<string, string>>) =>
      detection.probes.find(({ path }) => path === "/v1/models")?.judge({ data: [{ owned_by: "vllm" }] }, (name) => headers[name])?.profile
        .name
    expect([asked({}), asked({ "x-cedar": "1" })]).toEqual(["vllm", "cedar"])
    expect(set.diagnostics).toEqual([])
  })
})
