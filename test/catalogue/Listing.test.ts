import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  availabilityOf,
  filtered,
  isOfScope,
  type ListingFilter,
  listedFor,
  modelsOfInventory,
  typeOfCapability
} from "../../src/catalogue/Listing.ts"
import type { UnifiedModel } from "../../src/catalogue/ModelOffer.ts"
import type { WrittenFormat } from "../../src/profile/ListingFormats.ts"
import { kindsThatList } from "../../src/profile/ListingNames.ts"
import { writeListing } from "../../src/profile/ListingWriting.ts"
import type { Profile } from "../../src/profile/Profile.ts"
import { finish, ListedFleet, listed, profiles } from "./fakes.ts"

const profile = (name: string): Profile => {
  const found = profiles.byName(name)
  if (found === undefined) throw new Error(name)
  return found
}

const written = (format: WrittenFormat, models: ReadonlyArray<UnifiedModel>) =>
  finish(writeListing(format, models, { select: (all) => all, kinds: kindsThatList(profiles, format), availabilityOf }))

it("names a merged model on a provider's list by the names of its own endpoints", () => {
  const fleet = new ListedFleet()
  fleet.with("vllm-1", "vllm", ["Llama3"])
  fleet.with("ollama-1", "ollama", [listed("llama3", {}, { digest: "d" }), listed("llama3:8b", {}, { digest: "d" })])
  fleet.with("auto-1", "auto", ["LLAMA3"])
  const idsFor = (kind: string, inclusive = false) => {
    const scope = { inclusive, profile: profile(kind) }
    const { data } = finish(
      writeListing("openai", fleet.snapshot().unified, {
        select: (models) => listedFor(models, scope, { servableOnly: true }),
        names: isOfScope(scope),
        kinds: new Set(),
        availabilityOf
      })
    )
    return (data as ReadonlyArray<{ readonly id: string }>).map(({ id }) => id)
  }
  expect(idsFor("vllm")).toEqual(["LLAMA3", "Llama3"])
  expect(idsFor("ollama")).toEqual(["LLAMA3", "llama3", "llama3:8b"])
  expect(idsFor("openai-compatible", true)).toEqual(["LLAMA3", "Llama3", "llama3", "llama3:8b"])
})

const sample = () => {
  const fleet = new ListedFleet()
  fleet.with("ollama-1", "ollama", [listed("shared", { size: 5 }, { family: "qwen" }), "ollama-only"])
  fleet.with("vllm-1", "vllm", ["shared", "vllm-only"], { status: "busy" })
  fleet.with("lms-1", "lm-studio", [
    listed("seeing", { type: "model" }, { type: "vlm", state: "loaded" }),
    listed("resting", {}, { type: "llm", state: "not-loaded" })
  ])
  fleet.with("down", "ollama", [listed("lost", { size: 5 }), "shared"], { status: "offline" })
  fleet.with("auto-1", "auto", ["anywhere"])
  return fleet
}

const ids = (models: ReadonlyArray<{ readonly id: string }>) => models.map((model) => model.id)

describe("a provider's list", () => {
  const of = (name: string, inclusive = false) =>
    ids(listedFor(sample().snapshot().unified, { profile: profile(name), inclusive }, { servableOnly: true }))

  it("has what its endpoints have and somebody can serve, and what auto endpoints have", () => {
    expect(of("ollama")).toEqual(["anywhere", "ollama-only", "shared"])
    expect(of("vllm")).toEqual(["anywhere", "shared", "vllm-only"])
    expect(of("sglang")).toEqual(["anywhere"])
  })

  it("has every compatible kind's under openai", () => {
    expect(of("openai-compatible", true)).toEqual(["anywhere", "ollama-only", "resting", "seeing", "shared", "vllm-only"])
  })
})

describe("the list of all", () => {
  it("leaves out what nobody can serve, unless asked", () => {
    const { unified } = sample().snapshot()
    expect(ids(listedFor(unified, undefined, { servableOnly: true }))).not.toContain("lost")
    expect(ids(listedFor(unified, undefined, { servableOnly: false }))).toContain("lost")
  })

  it.each<[ListingFilter, ReadonlyArray<string>]>([
    [{}, ["anywhere", "lost", "ollama-only", "resting", "seeing", "shared", "vllm-only"]],
    [{ endpoint: "vllm-1" }, ["shared", "vllm-only"]],
    [{ endpoint: "http://vllm-1/" }, ["shared", "vllm-only"]],
    [{ endpoint: "nobody" }, []],
    [{ family: "qwen" }, ["shared"]],
    [{ type: "vlm" }, ["seeing"]],
    [{ type: "llm" }, ["resting"]],
    [{ ready: true }, ["seeing", "shared"]],
    [{ ready: false }, ["anywhere", "lost", "ollama-only", "resting", "vllm-only"]],
    [{ ready: true, endpoint: "ollama-1" }, ["shared"]],
    [{ endpoint: "", family: "", type: "" }, ["anywhere", "lost", "ollama-only", "resting", "seeing", "shared", "vllm-only"]]
  ])("filtered by %j", (filter, expected) => {
    expect(ids(filtered(sample().snapshot().unified, filter))).toEqual(expected)
  })

  it.each([
    ["Vision", "vlm"],
    ["vector_search", "embeddings"],
    ["completion", "llm"],
    ["dancing", undefined]
  ])("reads the old capability=%s as a type", (capability, type) => {
    expect(typeOfCapability(capability)).toBe(type)
  })

  it("says where a model is, each endpoint once, and offline where it cannot be had", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [listed("m", { size: 1 }, { digest: "d" }), listed("n", {}, { digest: "d", state: "loaded" })])
    fleet.with("b", "ollama", [listed("m", { size: 1 }, { digest: "d" })], { status: "unhealthy" })
    const [model] = fleet.unified()
    expect(model === undefined ? [] : availabilityOf(model)).toEqual([
      { endpoint: "a", state: "loaded" },
      { endpoint: "b", state: "offline" }
    ])
  })
})

describe("without the unifier", () => {
  it("each name of the plain lists is a model, sorted, with what its backends say", () => {
    const fleet = sample()
    const models = modelsOfInventory(fleet.snapshot({ unify: false }).inventory)
    expect(ids(models)).toEqual(["anywhere", "lost", "ollama-only", "resting", "seeing", "shared", "vllm-only"])
    const shared = models.find((model) => model.id === "shared")
    expect(shared?.aliases).toEqual([
      { name: "shared", source: "ollama" },
      { name: "shared", source: "vllm" }
    ])
    expect(shared?.sources.map((source) => source.endpoint.name)).toEqual(["ollama-1", "vllm-1", "down"])
    expect(shared).toMatchObject({ diskSize: 5, family: "qwen" })
  })

  it("a server's own aliases are names of its kind alone", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", ["m"])
    fleet.with("b", "llamacpp", [listed("m", { aliases: ["short"] })])
    const [model] = modelsOfInventory(fleet.snapshot({ unify: false }).inventory)
    expect(model?.aliases).toEqual([
      { name: "m", source: "ollama" },
      { name: "m", source: "llamacpp" },
      { name: "short", source: "llamacpp" }
    ])
  })
})

describe("lists in every format", () => {
  const formats: ReadonlyArray<WrittenFormat> = [
    "unified",
    "openai",
    "ollama",
    "lmstudio",
    "vllm",
    "vllm-mlx",
    "sglang",
    "lmdeploy",
    "lemonade",
    "llamacpp",
    "docker-model-runner"
  ]
  const lists = fc.array(
    fc.tuple(
      fc.constantFrom("ollama", "vllm", "lm-studio", "lemonade"),
      fc.uniqueArray(
        fc.tuple(fc.constantFrom("m", "M", "Zeta", "alpha", "org/x", "ñandú", "😀", "m:latest"), fc.constantFrom(undefined, "d1", "d2")),
        { maxLength: 6, selector: ([name]) => name }
      )
    ),
    { maxLength: 4 }
  )
  const idsOf = (list: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
    ((list["data"] ?? list["models"]) as ReadonlyArray<{ readonly id?: string; readonly name?: string }>).map(
      (entry) => entry.id ?? entry.name ?? ""
    )

  it("ascend by bytes and are the same at each call, whatever was listed", () => {
    fc.assert(
      fc.property(lists, (of) => {
        const fleet = new ListedFleet()
        for (const [i, [type, models]] of of.entries())
          fleet.with(
            `e${i}`,
            type,
            models.map(([name, digest]) => listed(name, {}, digest === undefined ? {} : { digest }))
          )
        const models = listedFor(fleet.snapshot().unified, undefined, { servableOnly: true })
        for (const format of formats) {
          const list = written(format, models)
          const shown = idsOf(list)
          expect(shown).toEqual([...shown].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
          expect(written(format, listedFor(fleet.snapshot().unified, undefined, { servableOnly: true }))).toEqual(list)
        }
        // Every name that somebody lists can be read off the OpenAI list, once; or what it is without a tag that says nothing.
        const names = new Set(fleet.endpoints.flatMap((endpoint) => endpoint.models.map((one) => one.name)))
        const openai = idsOf(written("openai", models))
        const shown = new Set(openai)
        const low = new Set(openai.map((name) => name.toLowerCase()))
        for (const name of names) expect(shown.has(name) || low.has(name.replace(/:latest$/, "").toLowerCase()), name).toBe(true)
        expect([...shown].filter((name) => !names.has(name))).toEqual([])
        expect(openai).toHaveLength(shown.size)
      })
    )
  })
})
