import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { defaultRules } from "../../src/catalogue/AttributeRules.ts"
import type { UnifiedModel } from "../../src/catalogue/ModelOffer.ts"
import { NameMap } from "../../src/catalogue/NameMap.ts"
import { NameReading } from "../../src/catalogue/NameReading.ts"
import { unify } from "../../src/catalogue/Unification.ts"
import { finish, type ListedEndpoint, ListedFleet, listed } from "./fakes.ts"

const blob = (name: string, digest: string, size?: number) => listed(name, size === undefined ? {} : { size }, { digest })

const shape = (models: ReadonlyArray<UnifiedModel>) =>
  models.map((model) => [model.id, model.aliases.map((alias) => alias.name), model.sources.map((source) => source.endpoint.name)])

const fleetOf = (...lists: ReadonlyArray<readonly [name: string, type: string, models: Parameters<ListedFleet["with"]>[2]]>) => {
  const fleet = new ListedFleet()
  for (const [name, type, models] of lists) fleet.with(name, type, models)
  return fleet
}

describe("what merges", () => {
  it("is the same name on several kinds", () => {
    const models = fleetOf(["a", "ollama", ["qwen3:8b"]], ["b", "vllm", ["qwen3:8b"]]).unified()
    expect(shape(models)).toEqual([["qwen3:8b", ["qwen3:8b", "qwen3:8b"], ["a", "b"]]])
    expect(models[0]?.aliases).toEqual([
      { name: "qwen3:8b", source: "ollama" },
      { name: "qwen3:8b", source: "vllm" }
    ])
  })

  it("is a name in another case, by alias", () => {
    expect(shape(fleetOf(["a", "vllm", ["Llama3"]], ["b", "vllm", ["llama3"]]).unified())).toEqual([
      ["Llama3", ["Llama3", "llama3"], ["a", "b"]]
    ])
  })

  it("is one digest under two names", () => {
    expect(shape(fleetOf(["a", "ollama", [blob("m:latest", "sha-1")]], ["b", "ollama", [blob("m:8b", "sha-1")]]).unified())).toEqual([
      ["m:latest", ["m:latest", "m:8b"], ["a", "b"]]
    ])
  })

  it("is two tags of one blob on one endpoint, which keep both names and take the disk once", () => {
    const [model, ...rest] = fleetOf(["a", "ollama", [blob("m:latest", "sha-1", 500), blob("m:8b", "sha-1", 500)]]).unified()
    expect(rest).toEqual([])
    expect(model?.aliases.map((alias) => alias.name)).toEqual(["m:latest", "m:8b"])
    expect(model?.diskSize).toBe(500)
  })

  it("is a name with and without the tag that a kind implies, in either order, and only for that kind", () => {
    expect(shape(fleetOf(["a", "vllm", ["m"]], ["b", "ollama", ["m:latest"]]).unified())).toEqual([["m", ["m", "m:latest"], ["a", "b"]]])
    expect(shape(fleetOf(["b", "ollama", ["M:latest"]], ["a", "vllm", ["m"]]).unified())).toEqual([
      ["M:latest", ["m", "M:latest"], ["b", "a"]]
    ])
    expect(shape(fleetOf(["a", "vllm", ["m:latest"]], ["b", "vllm", ["m"]], ["c", "ollama", ["m:8b"]]).unified())).toHaveLength(3)
  })

  it("is a name that a server takes for a model of its own", () => {
    const big = listed("org/big.gguf", { aliases: ["big"] })
    expect(shape(fleetOf(["a", "llamacpp", [big]], ["b", "vllm", ["Big", "org/big.gguf"]]).unified())).toEqual([
      ["org/big.gguf", ["org/big.gguf", "big", "Big", "org/big.gguf"], ["a", "b", "b"]]
    ])
    const snapshot = fleetOf(["b", "vllm", ["Big"]], ["a", "llamacpp", [big, listed("other", { aliases: ["big"] })]]).snapshot()
    expect(snapshot.offer("BIG")?.holders.map(({ nativeName }) => nativeName)).toEqual(["Big", "org/big.gguf"])
    expect(snapshot.find("big")?.id).toBe("Big")
  })

  it("is never such a name where digests differ", () => {
    const models = fleetOf(["a", "ollama", [blob("m:latest", "sha-1")]], ["b", "ollama", [blob("m", "sha-2")]]).unified()
    expect(shape(models)).toEqual([
      ["m:latest", ["m:latest"], ["a"]],
      ["m", ["m"], ["b"]]
    ])
  })

  it("is a list without digests with one that has them", () => {
    expect(
      shape(fleetOf(["a", "vllm", ["m"]], ["b", "ollama", [blob("m", "sha-1")]], ["c", "ollama", [blob("n", "sha-1")]]).unified())
    ).toEqual([["m", ["m", "m", "n"], ["a", "b", "c"]]])
  })

  it("is never a name that only looks alike", () => {
    const models = fleetOf(["a", "vllm", ["llama3.2", "llama3.2:latest", "meta/llama3.2", "Llama-3.2", "openai/llama3.2"]]).unified()
    expect(models).toHaveLength(5)
  })

  it("is never one name with two digests: the later gets an id of its own and keeps the name", () => {
    const models = fleetOf(
      ["a", "ollama", [blob("m", "sha256:aaaabbbbcccc")]],
      ["b", "ollama", [blob("m", "sha256:ddddeeeeffff")]],
      ["c", "ollama", [blob("m", "short")]]
    ).unified()
    expect(shape(models)).toEqual([
      ["m", ["m"], ["a"]],
      ["m-eeeeffff", ["m"], ["b"]],
      ["m-short", ["m"], ["c"]]
    ])
  })

  it("gives every entry another id, whatever the digests end with", () => {
    const names = ["a", "b", "c", "d"]
    const models = fleetOf(...names.map((name) => [name, "ollama", [blob("m", `sha256:${name}-00000000`)]] as const)).unified()
    expect(new Set(models.map((model) => model.id)).size).toBe(4)
  })

  it("reads the later of two entries that one list has for a name", () => {
    const [model] = fleetOf([
      "a",
      "vllm",
      [listed("m", {}, { max_context_length: 1 }), listed("m", {}, { max_context_length: 2 })]
    ]).unified()
    expect(model?.sources).toHaveLength(1)
    expect(model?.maxContextLength).toBe(2)
  })
})

describe("a unified model", () => {
  it("has the smallest context of all its servers, since a request may go to any", () => {
    const fleet = new ListedFleet()
    for (const [n, length] of [8192, undefined, 4096, 16384].entries())
      fleet.with(`e${n}`, "vllm", [listed("m", {}, length === undefined ? {} : { max_context_length: length })])
    const [one] = fleet.unified()
    expect([one?.maxContextLength, one?.metadata["max_context_length"]]).toEqual([4096, 4096])
  })

  it("fills what the first report lacks, keeps what it says, and adds capabilities up", () => {
    const [model] = fleetOf(
      ["a", "vllm", [listed("qwen3-coder", { created: 1_700_000_000 })]],
      [
        "b",
        "lm-studio",
        [
          listed(
            "qwen3-coder",
            { type: "model" },
            {
              type: "vlm",
              format: "gguf",
              quantization_level: "Q4_K_M",
              max_context_length: 40_000,
              parameter_size: "30B",
              family: "qwen3moe",
              publisher: "unsloth",
              state: "loaded"
            }
          )
        ]
      ],
      ["c", "vllm", [listed("qwen3-coder", {}, { max_context_length: 200_000 })]]
    ).unified()
    expect(model).toMatchObject({
      id: "qwen3-coder",
      family: "qwen",
      variant: "3",
      parameterSize: "30b",
      parameterCount: 30_000_000_000,
      quantization: "q4km",
      format: "gguf",
      maxContextLength: 40_000,
      created: 1_700_000_000
    })
    expect(model?.capabilities).toEqual([...(model?.capabilities ?? [])].sort())
    expect(model?.capabilities).toEqual(expect.arrayContaining(["vision", "code-generation", "extended-context", "long-context"]))
    expect(model?.metadata).toMatchObject({
      publisher: "unsloth",
      model_type: "vlm",
      type: "model",
      platform: "vllm",
      state: "loaded",
      metadata_confidence: 0.8
    })
    expect(model?.sources.map((source) => source.state)).toEqual(["unknown", "loaded", "unknown"])
  })

  it("takes newer metadata before that of an endpoint that has long been away", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [listed("m", { lastSeen: 1_000 }, { state: "old", format: "gguf" })])
    fleet.with("b", "ollama", [listed("m", { lastSeen: 10_000_000 }, { state: "new" })])
    expect(fleet.unified()[0]?.metadata).toMatchObject({ state: "new", format: "gguf" })
  })

  it("is as fresh as its freshest source, also when a list only says the same again", () => {
    const fleet = fleetOf(["a", "ollama", ["m"]], ["b", "ollama", ["m"]])
    const [model] = fleet.unified()
    expect(model?.lastSeen).toBe(1_000_000)
    ;(fleet.endpoints[1] as ListedEndpoint & { modelsSyncedAt: number }).modelsSyncedAt = 2_000_000
    expect(model?.lastSeen).toBe(2_000_000)
  })

  it("leaves the parameter count at 0 where only bytes are known, and takes an exact one", () => {
    const models = fleetOf([
      "a",
      "llamacpp",
      [listed("m", { size: 5_000_000_000 }), listed("n", {}, { parameter_count: 8_030_261_248 })]
    ]).unified()
    expect(models.map((model) => [model.parameterSize, model.parameterCount])).toEqual([
      ["", 0],
      ["8b", 8_030_261_248]
    ])
  })

  it("keeps the date on which it was first seen, unless a backend knows better", () => {
    const firstSeen = new NameMap<number>()
    const run = (lastSeen: number) => {
      const fleet = fleetOf(["a", "ollama", [listed("m", { lastSeen })]])
      return finish(unify({ listings: fleet.listings, reading: new NameReading(defaultRules), firstSeen, freshFor: 60_000 })).models[0]
        ?.created
    }
    expect(run(5_000)).toBe(5)
    expect(run(900_000)).toBe(5)
  })
})

/** Few names and digests, so that they meet; in each list each name once, as most backends have it. */
const model = fc.record({
  name: fc.constantFrom("m", "M", "m:latest", "n", "org/m", "ñ"),
  digest: fc.option(fc.constantFrom("sha256:11111111", "sha256:22222222", "33333333"), { nil: undefined }),
  size: fc.nat(3),
  lastSeen: fc.constantFrom(1_000, 50_000, 9_000_000),
  context: fc.option(fc.constantFrom(100, 40_000), { nil: undefined })
})
const list = fc.uniqueArray(model, { maxLength: 5, selector: (one) => one.name })
const lists = fc.array(fc.tuple(fc.constantFrom("ollama", "vllm", "lm-studio"), list), { minLength: 1, maxLength: 5 })

const populate = (
  of: ReadonlyArray<
    readonly [
      string,
      ReadonlyArray<{ name: string; digest: string | undefined; size: number; lastSeen: number; context: number | undefined }>
    ]
  >
) => {
  const fleet = new ListedFleet()
  for (const [i, [type, models]] of of.entries())
    fleet.with(
      `e${i}`,
      type,
      models.map(({ name, digest, size, lastSeen, context }) =>
        listed(
          name,
          { size, lastSeen },
          { ...(digest === undefined ? {} : { digest }), ...(context === undefined ? {} : { max_context_length: context }) }
        )
      )
    )
  return fleet
}

/** Everything but endpoint objects. */
const flat = (models: ReadonlyArray<UnifiedModel>) =>
  models.map((one) => ({
    ...one,
    diskSize: one.diskSize,
    lastSeen: one.lastSeen,
    metadata: one.metadata,
    sources: one.sources.map((source) => ({ ...source, endpoint: source.endpoint.name }))
  }))

describe("unification", () => {
  it("does not depend on the order in which lists arrived", () => {
    // Lists are read into the endpoints one after the other, in any order, with a catalogue built after each.
    fc.assert(
      fc.property(
        lists.chain((of) => fc.tuple(fc.constant(of), fc.shuffledSubarray([...of.keys()], { minLength: of.length }))),
        ([of, order]) => {
          const whole = populate(of)
          const arriving = populate(of)
          const given = arriving.endpoints.map((endpoint) => endpoint.models)
          for (const endpoint of arriving.endpoints as Array<ListedEndpoint>) endpoint.models = []
          const firstSeen = new NameMap<number>()
          let last: ReadonlyArray<UnifiedModel> = []
          for (const i of order) {
            ;(arriving.endpoints[i] as ListedEndpoint).models = given[i] ?? []
            last = finish(
              unify({ listings: arriving.listings, reading: new NameReading(defaultRules), firstSeen, freshFor: 60_000 })
            ).models
          }
          const without = (models: ReadonlyArray<UnifiedModel>) => flat(models).map((one) => ({ ...one, created: 0 }))
          expect(without(last)).toEqual(without(whole.unified()))
        }
      )
    )
  })

  it("loses no name of any list, invents none, and gives every entry another id", () => {
    fc.assert(
      fc.property(lists, (of) => {
        const fleet = populate(of)
        const models = fleet.unified()
        expect(new Set(models.map((one) => one.id)).size).toBe(models.length)
        const offered = new Set(fleet.endpoints.flatMap((endpoint) => endpoint.models.map((one) => `${endpoint.name} ${one.name}`)))
        const shown = models.flatMap((one) => one.sources.map((source) => `${source.endpoint.name} ${source.nativeName}`))
        expect(new Set(shown)).toEqual(offered)
        expect(shown).toHaveLength(offered.size)
        for (const one of models)
          expect(new Set(one.aliases.map((alias) => alias.name))).toEqual(new Set(one.sources.map((source) => source.nativeName)))
      })
    )
  })

  it("never puts two digests of one name into one entry", () => {
    fc.assert(
      fc.property(lists, (of) => {
        const fleet = populate(of)
        const digestOf = new Map(
          fleet.endpoints.flatMap((endpoint) =>
            endpoint.models.map((one) => [`${endpoint.name} ${one.name}`, one.details?.digest] as const)
          )
        )
        for (const one of fleet.unified()) {
          const digests = new Set(
            one.sources
              .map((source) => digestOf.get(`${source.endpoint.name} ${source.nativeName}`))
              .filter((digest) => digest !== undefined)
          )
          expect(digests.size).toBeLessThanOrEqual(1)
        }
      })
    )
  })
})
