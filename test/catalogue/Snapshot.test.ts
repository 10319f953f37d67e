import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Inventory } from "../../src/catalogue/Inventory.ts"
import type { ModelOffer } from "../../src/catalogue/ModelOffer.ts"
import { nativeNameFor } from "../../src/catalogue/OfferIndex.ts"
import { emptySnapshot, type Snapshot } from "../../src/catalogue/Snapshot.ts"
import { compareBytes, sortInSteps } from "../../src/profile/NameOrder.ts"
import type { Profile } from "../../src/profile/Profile.ts"
import { finish, type ListedEndpoint, ListedFleet, listed, profiles } from "./fakes.ts"

const held = (offer: ModelOffer | undefined) => offer?.holders.map(({ endpoint, nativeName }) => `${endpoint.name}=${nativeName}`)

const blob = (name: string, digest: string) => listed(name, {}, { digest })

describe("who has a model", () => {
  it("is everybody who lists it in any case, each with its own spelling", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "vllm", ["llama3"])
    fleet.with("b", "vllm", ["Llama3"])
    for (const asked of ["llama3", "LLAMA3", "Llama3"]) expect(held(fleet.snapshot().offer(asked))).toEqual(["a=llama3", "b=Llama3"])
  })

  it("is of any kind that implies a tag with it or without, whatever the kind's name", () => {
    const fleet = new ListedFleet()
    const kind = { ...profiles.byName("vllm"), name: "mine", impliedTag: "Newest" } as Profile
    Object.assign(fleet.with("a", "vllm", ["m"]), { profile: kind })
    Object.assign(fleet.with("b", "vllm", ["n:newest"]), { profile: kind })
    const snapshot = fleet.snapshot()
    expect([held(snapshot.offer("M:newest")), held(snapshot.offer("n"))]).toEqual([["a=m"], ["b=n:newest"]])
  })

  it("is Ollama also with or without :latest, and only Ollama", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", ["m:latest"])
    fleet.with("b", "ollama", ["m"])
    fleet.with("c", "vllm", ["m:latest"])
    fleet.with("d", "ollama", ["m:8b"])
    const snapshot = fleet.snapshot()
    expect(held(snapshot.offer("m"))).toEqual(["a=m:latest", "b=m"])
    expect(held(snapshot.offer("m:latest"))).toEqual(["a=m:latest", "b=m", "c=m:latest"])
    expect(held(snapshot.offer("m:8b"))).toEqual(["d=m:8b"])
    expect(snapshot.offer("m:8b:latest")).toBeUndefined()
  })

  it("is also who has it without a tag that says nothing, or without a wish for more context, where nobody is called so", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "vllm", ["plain", "org/both"])
    fleet.with("b", "lm-studio", ["tagged:latest", "org/both:latest"])
    fleet.with("c", "vllm", ["odd[1m]", "odd"])
    const snapshot = fleet.snapshot({ aliases: { "claude-x": ["plain"] } })
    const found = (name: string) => [snapshot.meant(name), held(snapshot.alias(name)?.offer ?? snapshot.offer(name))]
    expect(found("Plain:latest")).toEqual(["plain", ["a=plain"]])
    expect(found("tagged")).toEqual(["tagged:latest", ["b=tagged:latest"]])
    expect(found("org/both")).toEqual(["org/both", ["a=org/both"]])
    expect(found("org/both:LATEST")).toEqual(["org/both:latest", ["b=org/both:latest"]])
    expect(found("plain[1m]")).toEqual(["plain", ["a=plain"]])
    expect(found("Claude-X[1m]")).toEqual(["claude-x", ["a=plain"]])
    expect(found("claude-x:latest")).toEqual(["claude-x", ["a=plain"]])
    expect(found("tagged[1m]")).toEqual(["tagged:latest", ["b=tagged:latest"]])
    expect(found("odd[1m]")).toEqual(["odd[1m]", ["c=odd[1m]"]])
    for (const name of ["none", "plain:8b", "plain:8b:latest", "[1m]", ":latest", "none[1m]"])
      expect(found(name)).toEqual([name, undefined])
  })

  it("is whoever has the same blob under another name", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [blob("m:latest", "sha-1")])
    fleet.with("b", "ollama", [blob("copy:8b", "sha-1")])
    const snapshot = fleet.snapshot()
    expect(held(snapshot.offer("copy:8b"))).toEqual(["a=m:latest", "b=copy:8b"])
    expect(held(snapshot.offer("m"))).toEqual(["a=m:latest", "b=copy:8b"])
  })

  it("is not linked by digest with the unifier off", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [blob("m", "sha-1")])
    fleet.with("b", "ollama", [blob("n", "sha-1")])
    const snapshot = fleet.snapshot({ unify: false })
    expect(held(snapshot.offer("m"))).toEqual(["a=m"])
    expect(snapshot.unified).toEqual([])
    expect(snapshot.capable([["vision"]])).toBeUndefined()
    expect(snapshot.inventory).toHaveLength(2)
  })

  it("takes the closest of several names of one endpoint: the name, then :latest, then the digest", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [blob("x", "sha-1"), blob("m:latest", "sha-1")])
    fleet.with("b", "ollama", [blob("m:latest", "sha-1"), blob("m", "sha-1")])
    expect(held(fleet.snapshot().offer("m"))).toEqual(["a=m:latest", "b=m"])
  })

  it("keeps the client's own spelling where an endpoint has it, among names that differ in case", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "vllm", ["Model", "model", "MODEL"])
    const offer = fleet.snapshot().offer("model")
    const [holder] = offer?.holders ?? []
    if (offer === undefined || holder === undefined) throw new Error("no offer")
    expect(["model", "MODEL", "Model", "mOdEl"].map((spelling) => nativeNameFor(offer, holder, spelling))).toEqual([
      "model",
      "MODEL",
      "Model",
      "Model"
    ])
  })

  it("is found by the id of a twin with another digest too", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [blob("m", "sha256:aaaaaaaa")])
    fleet.with("b", "ollama", [blob("m", "sha256:bbbbbbbb")])
    const snapshot = fleet.snapshot()
    expect(held(snapshot.offer("m"))).toEqual(["a=m", "b=m"])
    expect(held(snapshot.offer("m-bbbbbbbb"))).toEqual(["b=m"])
  })
})

describe("an alias", () => {
  const fleet = () => {
    const made = new ListedFleet()
    made.with("a", "ollama", ["qwen3:32b", "other"])
    made.with("b", "vllm", ["Qwen3-32B", "qwen3:32b"])
    made.with("c", "vllm", ["unrelated"])
    return made
  }

  it("gives each endpoint the first listed target that it has, in its own spelling", () => {
    const snapshot = fleet().snapshot({ aliases: { Big: ["qwen3-32b", "QWEN3:32B"] } })
    expect(held(snapshot.alias("big")?.offer)).toEqual(["a=qwen3:32b", "b=Qwen3-32B"])
    expect(snapshot.alias("BIG")?.name).toBe("Big")
  })

  it("does not chain, may name itself, and is no model", () => {
    const snapshot = fleet().snapshot({ aliases: { one: ["two"], two: ["other"], other: ["other"] } })
    expect(snapshot.alias("one")?.offer.holders).toEqual([])
    expect(held(snapshot.alias("other")?.offer)).toEqual(["a=other"])
    expect(snapshot.offer("one")).toBeUndefined()
    expect(snapshot.find("two")).toBeUndefined()
  })
})

describe("one model", () => {
  it("is found by id, by any of its names, in any case; the oldest keeps a shared name", () => {
    const fleet = new ListedFleet()
    fleet.with("a", "ollama", [blob("Org/M", "sha256:aaaaaaaa")])
    fleet.with("b", "ollama", [blob("Org/M", "sha256:bbbbbbbb"), blob("n", "sha256:aaaaaaaa")])
    const snapshot = fleet.snapshot()
    expect(snapshot.find("org/m")?.id).toBe("Org/M")
    expect(snapshot.find("N")?.id).toBe("Org/M")
    expect(snapshot.find("Org/M-bbbbbbbb")?.id).toBe("Org/M-bbbbbbbb")
    expect(snapshot.find("org/m-BBBBBBBB")?.id).toBe("Org/M-bbbbbbbb")
    expect(snapshot.find("m")).toBeUndefined()
  })
})

describe("who can do something", () => {
  it("is who has one model with all of it, whatever its spelling", () => {
    const fleet = new ListedFleet()
    const seeing = fleet.with("seeing", "vllm", ["llava"])
    const coding = fleet.with("coding", "vllm", ["coder"])
    const both = fleet.with("both", "vllm", ["llava-coder"])
    fleet.with("apart", "vllm", ["llava-x", "coder-x"])
    const snapshot = fleet.snapshot()
    expect(snapshot.capable([["vision", "image"]])).toEqual(new Set([seeing, both, fleet.endpoints[3]]))
    expect(snapshot.capable([["code", "code_generation"]])).toEqual(new Set([coding, both, fleet.endpoints[3]]))
    expect(snapshot.capable([["vision"], ["code_generation"]])).toEqual(new Set([both]))
    expect(snapshot.capable([["function-calling", "tools"]])).toBeUndefined()
  })
})

describe("the order of lists", () => {
  it("is by bytes, as an encoder would sort them", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), (names) => {
        const wellFormed = names.filter((name) => name.isWellFormed())
        const expected = [...wellFormed].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        expect([...wellFormed].sort(compareBytes)).toEqual(expected)
      })
    )
    expect(["alpha", "Mid", "😀", "\uff5e"].sort(compareBytes)).toEqual(["Mid", "alpha", "\uff5e", "😀"])
  })

  it("is sorted in steps exactly as at once, stably", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 4000 }), (keys) => {
        const items = keys.map((key, at) => ({ key, at }))
        const compare = (a: { key: number }, b: { key: number }) => a.key - b.key
        expect(finish(sortInSteps(items, compare))).toEqual([...items].sort(compare))
      }),
      { numRuns: 30 }
    )
  })

  it("and all else of a snapshot is the same whether it follows others or is built at once", () => {
    const list = fc.uniqueArray(
      fc.record({ name: fc.constantFrom("a", "A", "b", "m", "m:latest", "n", "n-1"), digest: fc.constantFrom("", "sha-1", "sha-2") }),
      { maxLength: 5, selector: (one) => one.name }
    )
    const shown = (snapshot: Snapshot) => ({
      unified: snapshot.unified.map((one) => ({
        id: one.id,
        aliases: one.aliases,
        sources: one.sources.map((source) => `${source.endpoint.name} ${source.nativeName}`)
      })),
      found: ["a", "A", "b", "m", "M:LATEST", "n", "n-1", "m-sha-1", "m-sha-2", "n-sha-2"].map((name) => [
        snapshot.find(name)?.id,
        held(snapshot.offer(name))
      ])
    })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), list), { maxLength: 10 }), (changes) => {
        const fleet = new ListedFleet()
        const endpoints = [fleet.with("x", "vllm", []), fleet.with("y", "ollama", []), fleet.with("z", "ollama", [])]
        const inventories = new Map<number, Inventory>()
        let last = emptySnapshot
        for (const [at, models] of changes) {
          const endpoint = endpoints[at] as ListedEndpoint
          inventories.set(
            at,
            new Inventory(
              endpoint,
              endpoint.profile?.name ?? "",
              models.map((one) => listed(one.name, {}, one.digest === "" ? undefined : { digest: one.digest }))
            )
          )
          const listings = [...inventories].sort(([a], [b]) => a - b).map(([, inventory]) => inventory)
          last = fleet.snapshot({ listings, before: last.unified })
          const copies = listings.map((one) => new Inventory(one.endpoint, one.platform, one.models))
          expect(shown(last)).toEqual(shown(fleet.snapshot({ listings: copies })))
        }
      })
    )
  })

  it("takes over what has not changed", () => {
    const fleet = new ListedFleet()
    fleet.with("x", "vllm", ["a", "b"])
    fleet.with("y", "vllm", ["b", "c"])
    const [x, y] = fleet.listings
    const first = fleet.snapshot({ listings: x && y ? [x, y] : [] })
    const again = fleet.snapshot({ listings: x ? [x] : [], before: first.unified })
    expect(again.find("a")).toBe(first.find("a"))
    expect(again.find("b")?.sources.map(({ endpoint }) => endpoint.name)).toEqual(["x"])
    expect(again.find("c")).toBeUndefined()
  })

  it("is that of the unified list, and of offers by configuration", () => {
    const fleet = new ListedFleet()
    fleet.with("z", "vllm", ["b", "C", "a"])
    fleet.with("a", "ollama", ["A", "b"])
    const snapshot = fleet.snapshot()
    expect(snapshot.unified.map((one) => one.id)).toEqual(["C", "a", "b"])
    expect(snapshot.offer("b")?.holders.map(({ endpoint }) => endpoint.name)).toEqual(["z", "a"])
  })
})
