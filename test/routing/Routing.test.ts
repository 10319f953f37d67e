import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { OllaConfig } from "../../src/config/OllaConfig.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { isRoutable, type Status } from "../../src/endpoint/EndpointState.ts"
import { Eligibility } from "../../src/routing/Eligibility.ts"
import type { Decision, Inspection, ProviderScope } from "../../src/routing/Router.ts"
import {
  decideAlias,
  decideAliasBlindly,
  decideWithoutModel,
  discoveryAfter,
  discoveryFirst,
  downTargets,
  type FallbackBehavior,
  optimistic,
  strict
} from "../../src/routing/Routing.ts"
import { ListedFleet, listed, profiles } from "../catalogue/fakes.ts"

const asking = (spelling: string, more: Partial<Inspection> = {}): Inspection => ({
  model: spelling.trim().toLowerCase(),
  spelling,
  field: spelling === "" ? "none" : "model",
  stream: undefined,
  capabilities: [],
  ...more
})

const scopeOf = (name: string, inclusive = false): ProviderScope => {
  const profile = profiles.byName(name)
  if (profile === undefined) throw new Error(name)
  return { label: name, inclusive, profile }
}

interface Asked {
  readonly scope?: ProviderScope
  readonly path?: string
  readonly aliases?: OllaConfig["model_aliases"]
}

const eligibilityOf = (fleet: ListedFleet, inspection: Inspection, { scope, path, aliases = {} }: Asked = {}): Eligibility =>
  new Eligibility(
    fleet.snapshot({ aliases }),
    fleet.endpoints,
    { scope, profiles: path === undefined ? new Set() : profiles.forPath(path) },
    inspection
  )

const brief = ({ candidates, verdict }: Decision) => ({
  to: candidates.map(({ endpoint, nativeName }) => `${endpoint.name}=${nativeName}`),
  said: verdict === undefined ? undefined : `${verdict.strategy} ${verdict.action} ${verdict.reason} ${verdict.status}`
})

/** `here` is on a healthy endpoint, `down` only on one that is offline; `far` is on a healthy one of another kind. */
const fleet = (): ListedFleet => {
  const made = new ListedFleet()
  made.with("up", "ollama", ["here", "Shared"])
  made.with("off", "ollama", ["down", "shared"], { status: "offline" })
  made.with("warm", "ollama", ["shared"], { status: "warming" })
  made.with("other", "vllm", ["far"])
  return made
}

const all = ["up=", "warm=", "other="]

describe("strict", () => {
  it.each([
    ["here", ["up=here"], "strict routed model_found 200"],
    ["SHARED", ["up=Shared", "warm=shared"], "strict routed model_found 200"],
    ["down", [], "strict rejected model_unavailable 503"],
    ["nowhere", [], "strict rejected model_unavailable 503"]
  ])("%s", (model, to, said) => {
    expect(brief(strict(eligibilityOf(fleet(), asking(model))))).toEqual({ to, said })
  })
})

it("a model is not found only where everybody of the route can be asked and was read", () => {
  const made = new ListedFleet()
  made.with("up", "ollama", ["here"])
  const off = made.with("off", "vllm", ["there"], { status: "offline" })
  const said = (scope?: Asked["scope"]) => {
    const eligibility = eligibilityOf(made, asking("nowhere"), scope === undefined ? {} : { scope })
    return [strict(eligibility), optimistic(eligibility, "none"), discoveryAfter(eligibility, true, "none")].map(
      ({ verdict }) => verdict?.status
    )
  }
  expect([said(), said(scopeOf("ollama"))]).toEqual([
    [503, 503, 503],
    [404, 404, 404]
  ])
  off.become("healthy")
  expect(said()).toEqual([404, 404, 404])
  // A new one, that has said nothing yet.
  made.with("new", "vllm", [])
  expect(said()).toEqual([503, 503, 503])
})

describe("optimistic", () => {
  it.each<[string, FallbackBehavior, ReadonlyArray<string>, string]>([
    ["here", "none", ["up=here"], "optimistic routed model_found 200"],
    ["here", "all", ["up=here"], "optimistic routed model_found 200"],
    ["nowhere", "none", [], "optimistic rejected model_unavailable_no_fallback 503"],
    ["nowhere", "compatible_only", [], "optimistic rejected model_unavailable_compatible_only 503"],
    ["nowhere", "all", all, "optimistic fallback model_not_found_fallback 200"],
    ["down", "none", [], "optimistic rejected model_unavailable_no_fallback 503"],
    ["down", "compatible_only", [], "optimistic rejected model_unavailable_compatible_only 503"],
    ["down", "all", all, "optimistic fallback all_healthy_fallback 200"]
  ])("%s with fallback %s", (model, behavior, to, said) => {
    expect(brief(optimistic(eligibilityOf(fleet(), asking(model)), behavior))).toEqual({ to, said })
  })

  it("falls back inside the provider's scope only", () => {
    const eligibility = eligibilityOf(fleet(), asking("nowhere"), { scope: scopeOf("ollama") })
    expect(brief(optimistic(eligibility, "all")).to).toEqual(["up=", "warm="])
  })

  it("falls back to nobody when nobody is there", () => {
    const made = new ListedFleet()
    made.with("a", "ollama", ["m"], { status: "offline" })
    expect(brief(optimistic(eligibilityOf(made, asking("m")), "all"))).toEqual({
      to: [],
      said: "optimistic fallback all_healthy_fallback 200"
    })
  })
})

describe("discovery", () => {
  it.each([
    ["here", false, ["up=here"], "discovery routed model_found_no_refresh 200"],
    ["here", true, ["up=here"], "discovery routed model_found_no_refresh 200"],
    ["down", false, [], "discovery rejected model_unavailable_no_refresh 503"],
    ["nowhere", false, [], "discovery rejected model_unavailable_no_refresh 503"]
  ])("%s, refreshing on a miss: %s", (model, refreshes, to, said) => {
    const decision = discoveryFirst(eligibilityOf(fleet(), asking(model)), refreshes)
    expect(decision && brief(decision)).toEqual({ to, said })
  })

  it("asks for a refresh where it may", () => {
    expect(discoveryFirst(eligibilityOf(fleet(), asking("nowhere")), true)).toBeUndefined()
  })

  it.each<[string, boolean, FallbackBehavior, ReadonlyArray<string>, string]>([
    ["here", true, "none", ["up=here"], "discovery routed model_found 200"],
    ["here", false, "none", ["up=here"], "discovery routed model_found 200"],
    ["nowhere", false, "none", [], "discovery rejected discovery_failed_no_fallback 503"],
    ["nowhere", false, "compatible_only", [], "discovery rejected discovery_failed_compatible_only 503"],
    ["nowhere", false, "all", all, "discovery fallback discovery_failed_all_fallback 200"],
    ["nowhere", true, "none", [], "discovery rejected model_unavailable_after_discovery 503"],
    ["nowhere", true, "compatible_only", [], "discovery rejected model_unavailable_after_discovery 503"],
    ["nowhere", true, "all", all, "discovery fallback all_healthy_after_discovery 200"],
    ["down", true, "none", [], "discovery rejected model_unavailable_after_discovery 503"],
    ["down", true, "compatible_only", [], "discovery rejected model_unavailable_after_discovery 503"],
    ["down", true, "all", all, "discovery fallback all_healthy_after_discovery 200"]
  ])("after a refresh: %s, all read: %s, fallback %s", (model, refreshed, behavior, to, said) => {
    expect(brief(discoveryAfter(eligibilityOf(fleet(), asking(model)), refreshed, behavior))).toEqual({ to, said })
  })

  it("says so when nobody is left after it", () => {
    const made = fleet()
    for (const endpoint of made.endpoints) endpoint.become("offline")
    for (const behavior of ["none", "compatible_only", "all"] as const)
      expect(brief(discoveryAfter(eligibilityOf(made, asking("here")), true, behavior)).said).toBe(
        "discovery rejected no_healthy_after_discovery 503"
      )
  })
})

describe("an alias", () => {
  const aliases = { Big: ["far", "HERE", "shared"], gone: ["down"], unknown: ["nothing"], here: ["far"], self: ["self"] }

  it.each([
    ["big", ["up=here", "warm=shared", "other=far"], 'alias routed alias "Big" resolved to 3 endpoint(s) 200'],
    ["BIG", ["up=here", "warm=shared", "other=far"], 'alias routed alias "Big" resolved to 3 endpoint(s) 200'],
    // It takes precedence over a model of its name.
    ["here", ["other=far"], 'alias routed alias "here" resolved to 1 endpoint(s) 200']
  ])("%s", (name, to, said) => {
    const decision = decideAlias(eligibilityOf(fleet(), asking(name), { aliases }), false)
    expect(decision && brief(decision)).toEqual({ to, said })
  })

  it("may stand for several models of one endpoint, in its own order and each once", () => {
    const pool = { both: ["shared", "HERE", "far", "here"] }
    const decision = decideAlias(eligibilityOf(fleet(), asking("both"), { aliases: pool }), true)
    expect(decision && brief(decision)).toEqual({
      to: ["up=Shared", "up=here", "warm=shared", "other=far"],
      said: 'alias routed alias "both" resolved to 3 endpoint(s) 200'
    })
    expect(decision?.candidates.map(({ target }) => target)).toEqual(["shared", "HERE", "shared", "far"])
  })

  it.each(["gone", "unknown", "self", "far"])("%s is judged as a plain name", (name) => {
    expect(decideAlias(eligibilityOf(fleet(), asking(name), { aliases }), true)).toBeUndefined()
  })

  it("knows why nobody serves it", () => {
    expect(downTargets(eligibilityOf(fleet(), asking("gone"), { aliases }))).toEqual(["down"])
    expect(downTargets(eligibilityOf(fleet(), asking("unknown"), { aliases }))).toEqual([])
  })

  it("is its first target everywhere while nobody lists anything", () => {
    const made = new ListedFleet()
    made.with("a", "ollama", [])
    made.with("b", "ollama", [], { status: "offline" })
    made.with("c", "vllm", [])
    const decision = decideAliasBlindly(eligibilityOf(made, asking("BIG"), { aliases }))
    expect(decision && brief(decision)).toEqual({ to: ["a=far", "c=far"], said: 'alias routed alias "Big" resolved to 2 endpoint(s) 200' })
    expect(decideAliasBlindly(eligibilityOf(made, asking("plain"), { aliases }))).toBeUndefined()
  })
})

describe("without a model", () => {
  it("whoever fits is a candidate, without a verdict", () => {
    expect(brief(decideWithoutModel(eligibilityOf(fleet(), asking(""))))).toEqual({ to: all, said: undefined })
  })

  it("those who can do it are preferred, and nobody is lost when they cannot be had", () => {
    const made = new ListedFleet()
    made.with("plain", "vllm", ["m"])
    const seeing = made.with("seeing", "vllm", ["llava"])
    const wanting = asking("", { capabilities: [["vision"]] })
    expect(brief(decideWithoutModel(eligibilityOf(made, wanting))).to).toEqual(["seeing="])
    seeing.become("offline")
    expect(brief(decideWithoutModel(eligibilityOf(made, wanting))).to).toEqual(["plain="])
  })
})

describe("scope and path", () => {
  const mixed = (): ListedFleet => {
    const made = new ListedFleet()
    made.with("o", "ollama", ["m"])
    made.with("v", "vllm", ["m"])
    made.with("l", "lemonade", ["m"])
    made.with("a", "auto", ["m"])
    return made
  }
  const to = (asked: Asked, made = mixed()) => brief(strict(eligibilityOf(made, asking("m"), asked))).to

  it.each<[string, Asked, ReadonlyArray<string>]>([
    ["nothing restricts", {}, ["o=m", "v=m", "l=m", "a=m"]],
    ["a provider takes its own and auto", { scope: scopeOf("ollama") }, ["o=m", "a=m"]],
    ["openai takes every compatible kind", { scope: scopeOf("openai-compatible", true) }, ["o=m", "v=m", "l=m", "a=m"]],
    ["a path prefers the kinds that know it", { path: "/v1/chat/completions" }, ["o=m", "v=m", "a=m"]],
    ["a native path too", { path: "/api/chat" }, ["o=m", "a=m"]],
    ["an unknown path restricts nothing", { path: "/no/such/path" }, ["o=m", "v=m", "l=m", "a=m"]],
    ["both restrict together", { scope: scopeOf("openai-compatible", true), path: "/get_tokenizer_info" }, ["v=m", "a=m"]]
  ])("%s", (_, asked, expected) => {
    expect(to(asked)).toEqual(expected)
  })

  it("a path that no holder's kind lists keeps no holder from it, whoever else lists it", () => {
    const fleet = new ListedFleet()
    fleet.with("litellm", "litellm", ["other"])
    fleet.with("ollama", "ollama", ["m"])
    fleet.with("vllm", "vllm", ["m"])
    for (const path of ["/no/such/path", "/key/generate", "/v1/rerank", "/api/generate", "/engines/v1/completions"]) {
      const eligibility = eligibilityOf(fleet, asking("other"), { path })
      expect(
        strict(eligibility).candidates.map(({ endpoint }) => endpoint.name),
        path
      ).toEqual(["litellm"])
    }
    const to = (path: string) => strict(eligibilityOf(fleet, asking("m"), { path })).candidates.map(({ endpoint }) => endpoint.name)
    expect([to("/api/generate"), to("/tokenize"), to("/engines/v1/completions")]).toEqual([["ollama"], ["vllm"], ["ollama", "vllm"]])
  })

  it("a path whose kinds the scope lacks restricts nothing", () => {
    const made = new ListedFleet()
    made.with("v", "vllm", ["m"])
    expect(to({ scope: scopeOf("vllm"), path: "/api/chat" }, made)).toEqual(["v=m"])
  })

  it("a model that only another kind has is unavailable in a scope that has endpoints", () => {
    const decision = strict(eligibilityOf(fleet(), asking("far"), { scope: scopeOf("ollama") }))
    expect(brief(decision).said).toBe("strict rejected model_unavailable 503")
  })

  it("an exclusive scope without anybody is deserted, an inclusive one never", () => {
    expect(eligibilityOf(fleet(), asking("here"), { scope: scopeOf("sglang") }).deserted).toBe(true)
    expect(eligibilityOf(fleet(), asking("here"), { scope: scopeOf("openai-compatible", true) }).deserted).toBe(false)
  })
})

describe("names that differ in case only", () => {
  it("go out as the client wrote them where the endpoint has that spelling", () => {
    const made = new ListedFleet()
    made.with("a", "vllm", ["Model", "MODEL"])
    made.with("b", "vllm", ["model"])
    expect(brief(strict(eligibilityOf(made, asking(" MODEL ")))).to).toEqual(["a=MODEL", "b=model"])
    expect(brief(strict(eligibilityOf(made, asking("mOdEl")))).to).toEqual(["a=Model", "b=model"])
  })
})

const kinds = ["ollama", "vllm", "lemonade", "sglang", "auto", "openai-compatible"] as const
const statuses: ReadonlyArray<Status> = ["healthy", "busy", "warming", "offline", "unhealthy", "unknown", "rate_limited"]
const names = ["m", "M", "m:latest", "n", "org/x"] as const

const endpoints = fc.array(
  fc.record({
    type: fc.constantFrom(...kinds),
    status: fc.constantFrom(...statuses),
    models: fc.uniqueArray(fc.tuple(fc.constantFrom(...names), fc.constantFrom(undefined, "d1", "d2")), {
      maxLength: 4,
      selector: ([name]) => name
    })
  }),
  { maxLength: 7 }
)

const populate = (
  of: ReadonlyArray<{ type: string; status: Status; models: ReadonlyArray<readonly [string, string | undefined]> }>
): ListedFleet => {
  const made = new ListedFleet()
  for (const [i, { type, status, models }] of of.entries())
    made.with(
      `e${i}`,
      type,
      models.map(([name, digest]) => listed(name, {}, digest === undefined ? {} : { digest })),
      { status }
    )
  return made
}

const scopes = fc.constantFrom(undefined, scopeOf("ollama"), scopeOf("vllm"), scopeOf("openai-compatible", true))
const paths = fc.constantFrom(undefined, "/v1/chat/completions", "/api/chat", "/api/v1/chat/completions", "/nobody/knows")

describe("whatever the fleet", () => {
  it("a model that a routable endpoint lists is never unroutable, under any case, by any strategy", () => {
    fc.assert(
      fc.property(endpoints, fc.boolean(), (of, upper) => {
        const made = populate(of)
        for (const endpoint of made.endpoints)
          for (const { name } of endpoint.models) {
            if (!isRoutable(endpoint.state.status)) continue
            const eligibility = eligibilityOf(made, asking(upper ? name.toUpperCase() : name))
            for (const decision of [strict(eligibility), optimistic(eligibility, "none"), discoveryFirst(eligibility, false)]) {
              expect(decision?.verdict?.action).toBe("routed")
              expect(decision?.candidates.map((candidate) => candidate.endpoint)).toContain(endpoint)
            }
          }
      })
    )
  })

  it("each candidate is routable, lists the name that it is sent, and stands in configuration order", () => {
    fc.assert(
      fc.property(endpoints, fc.constantFrom(...names, "nobody"), scopes, paths, (of, model, scope, path) => {
        const made = populate(of)
        const { candidates } = strict(
          eligibilityOf(made, asking(model), { ...(scope === undefined ? {} : { scope }), ...(path === undefined ? {} : { path }) })
        )
        for (const { endpoint, nativeName } of candidates) {
          expect(isRoutable(endpoint.state.status)).toBe(true)
          expect(endpoint.models.map(({ name }) => name)).toContain(nativeName)
          // A byte-equal name is never passed over for another.
          if (endpoint.models.some(({ name }) => name === model)) expect(nativeName).toBe(model)
        }
        const places = candidates.map(({ endpoint }) => endpoint.index)
        expect(places).toEqual([...places].sort((a, b) => a - b))
      })
    )
  })

  it("looking at the holders first finds who is compatible and has the model, and where that is nobody, who of the scope has it", () => {
    fc.assert(
      fc.property(endpoints, fc.constantFrom(...names), scopes, paths, (of, model, scope, path) => {
        const made = populate(of)
        const eligibility = eligibilityOf(made, asking(model), {
          ...(scope === undefined ? {} : { scope }),
          ...(path === undefined ? {} : { path })
        })
        const offer = eligibility.snapshot.offer(model)
        const holds = (endpoint: Endpoint) => offer?.holders.some((holder) => holder.endpoint === endpoint) === true
        const preferred = eligibility.compatible.filter(holds)
        const anyPath = eligibilityOf(made, asking(model), scope === undefined ? {} : { scope }).compatible.filter(holds)
        expect(strict(eligibility).candidates.map(({ endpoint }) => endpoint)).toEqual(preferred.length > 0 ? preferred : anyPath)
      }),
      { numRuns: 500 }
    )
  })
})
