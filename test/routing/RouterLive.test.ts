import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import { expect } from "vitest"
import { Catalogue } from "../../src/catalogue/Catalogue.ts"
import { decodeConfig } from "../../src/config/ConfigLoading.ts"
import type { OllaConfig } from "../../src/config/OllaConfig.ts"
import { Settings } from "../../src/config/Settings.ts"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import { Fleet } from "../../src/endpoint/Fleet.ts"
import { Profiles } from "../../src/profile/Profiles.ts"
import { type Decision, type RouteRequest, Router } from "../../src/routing/Router.ts"
import { layer } from "../../src/routing/RouterLive.ts"
import type { RequestRules } from "../../src/routing/Rules.ts"
import { type ListedEndpoint, ListedFleet, listed, profiles } from "../catalogue/fakes.ts"

/** A fleet whose backends answer a refresh with these lists, after so many seconds; `undefined`: with a fault. */
class AskedFleet extends ListedFleet {
  readonly asked: Array<string> = []
  readonly answers = new Map<Endpoint, ReadonlyArray<string> | undefined>()
  seconds = 0
  /** Who takes longer than the others. */
  readonly slow = new Map<Endpoint, number>()
  aliases: OllaConfig["model_aliases"] = {}
  /** What brings the snapshot up to date, while it is behind. */
  behind: Effect.Effect<void> | undefined

  readonly refresh = (endpoints: ReadonlyArray<Endpoint>): Effect.Effect<boolean> =>
    Effect.gen({ self: this }, function* () {
      for (const endpoint of endpoints) this.asked.push(endpoint.name)
      yield* Effect.sleep(Math.max(this.seconds, ...endpoints.map((endpoint) => this.slow.get(endpoint) ?? 0)) * 1000)
      let read = true
      for (const endpoint of endpoints as ReadonlyArray<ListedEndpoint>) {
        if (!this.answers.has(endpoint)) continue
        const names = this.answers.get(endpoint)
        if (names === undefined) read = false
        else Object.assign(endpoint, { models: names.map((name) => listed(name)), modelsSyncedAt: 1 })
      }
      return read
    })
}

const world = (fleet: AskedFleet, yaml: string, lines: Array<string> = []) => {
  const { config, diagnostics } = decodeConfig(yaml, "test.yaml", {})
  if (config === undefined) throw new Error(JSON.stringify(diagnostics))
  fleet.aliases = config.model_aliases
  const catalogue: Catalogue["Service"] = {
    snapshot: () => fleet.snapshot({ aliases: config.model_aliases }),
    isBehind: () => fleet.behind !== undefined,
    settled: Effect.suspend(() => fleet.behind ?? Effect.void)
  }
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    const [text, fields] = Array.isArray(message) ? message : [message]
    lines.push(`${logLevel} ${text} ${JSON.stringify(fields ?? {})}`)
  })
  return layer.pipe(
    Layer.provide(
      Layer.mergeAll(
        Settings.layerOf(config),
        Layer.effect(
          Fleet,
          Effect.map(Clock.Clock, (clock) => {
            fleet.clock = () => clock.currentTimeMillisUnsafe()
            return { ...fleet.service, refreshModels: fleet.refresh }
          })
        ),
        Layer.succeed(Catalogue, catalogue),
        Layer.succeed(Profiles, profiles)
      )
    ),
    Layer.provideMerge(Logger.layer([logger]))
  )
}

const asking = (model: string, more: Partial<RouteRequest> = {}): RouteRequest => ({
  scope: undefined,
  path: "/v1/chat/completions",
  inspection: { model, spelling: model, field: model === "" ? "none" : "model", stream: undefined, capabilities: [] },
  ...more
})

const decide = Effect.fnUntraced(function* (request: RouteRequest) {
  const decided = (yield* Router).decide(request)
  return Effect.isEffect(decided) ? yield* decided : decided
})

const brief = ({ candidates, verdict }: Decision) =>
  `${verdict === undefined ? "-" : `${verdict.strategy} ${verdict.action} ${verdict.reason} ${verdict.status}`} [${candidates.map(({ endpoint, nativeName }) => `${endpoint.name}=${nativeName}`).join(" ")}]`

const discovery = (options = "") =>
  `model_registry: { routing_strategy: { type: discovery, options: { discovery_refresh_on_miss: true${options} } } }`

const scopeOf = (name: string, inclusive = false) => {
  const profile = profiles.byName(name)
  if (profile === undefined) throw new Error(name)
  return { label: name, inclusive, profile }
}

describe("the router", () => {
  const fleet = () => {
    const made = new AskedFleet()
    made.with("a", "ollama", ["m"])
    made.with("b", "vllm", ["n"], { status: "offline" })
    return made
  }

  it.effect.each([
    ["strict", "m", "strict routed model_found 200 [a=m]"],
    ["optimistic", "m", "optimistic routed model_found 200 [a=m]"],
    ["discovery", "m", "discovery routed model_found_no_refresh 200 [a=m]"],
    ["no-such-strategy", "m", "strict routed model_found 200 [a=m]"],
    ["strict", "n", "strict rejected model_unavailable 503 []"],
    ["strict", "x", "strict rejected model_unavailable 503 []"],
    ["optimistic", "x", "optimistic rejected model_unavailable_compatible_only 503 []"],
    ["optimistic", "n", "optimistic rejected model_unavailable_compatible_only 503 []"],
    ["discovery", "x", "discovery rejected model_unavailable_no_refresh 503 []"],
    ["strict", "", "- [a=]"]
  ] as const)("with strategy %s answers %j: %s", ([type, model, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking(model))), expected)
    }).pipe(
      Effect.provide(
        world(fleet(), `model_registry: { routing_strategy: { type: ${type}, options: { discovery_refresh_on_miss: false } } }`)
      )
    )
  )

  it.effect.each(["strict", "optimistic"])("with strategy %s says not found only once everybody was read and can be asked", (type) => {
    const made = new AskedFleet()
    made.with("a", "ollama", ["m"])
    const late = made.with("late", "vllm", [], { status: "offline" })
    return Effect.gen(function* () {
      const status = Effect.map(decide(asking("x")), ({ verdict }) => verdict?.status)
      assert.strictEqual(yield* status, 503)
      late.become("healthy")
      assert.strictEqual(yield* status, 503)
      // Read, and without any model.
      Object.assign(late, { modelsSyncedAt: 1_000 })
      assert.strictEqual(yield* status, 404)
      // On a provider's own route the others do not count.
      late.become("offline")
      assert.strictEqual((yield* decide(asking("x", { scope: scopeOf("ollama") }))).verdict?.status, 404)
    }).pipe(Effect.provide(world(made, `model_registry: { routing_strategy: { type: ${type} } }`)))
  })

  it.effect("says not found of what neither others nor a drained endpoint has whose list was read", () => {
    const made = new AskedFleet()
    made.with("a", "ollama", ["m"])
    const drained = made.with("drained", "vllm", ["n"])
    made.service.drain(drained)
    return Effect.gen(function* () {
      assert.strictEqual((yield* decide(asking("x"))).verdict?.status, 404)
      assert.strictEqual((yield* decide(asking("n"))).verdict?.status, 503)
      drained.become("offline")
      assert.strictEqual((yield* decide(asking("x"))).verdict?.status, 503)
    }).pipe(Effect.provide(world(made, "")))
  })

  it.effect.each(["strict", "optimistic", "discovery"])(
    "with strategy %s refuses nobody by a snapshot that lags behind the lists",
    (type) => {
      const made = fleet()
      made.endpoints[1]?.become("healthy")
      made.behind = Effect.sync(() => {
        made.behind = undefined
        made.with("late", "vllm", ["x"])
      })
      return Effect.gen(function* () {
        expect((yield* decide(asking("m"))).candidates).toHaveLength(1)
        expect(made.behind).toBeDefined()
        expect((yield* decide(asking("x"))).candidates.map(({ endpoint }) => endpoint.name)).toEqual(["late"])
      }).pipe(
        Effect.provide(
          world(made, `model_registry: { routing_strategy: { type: ${type}, options: { discovery_refresh_on_miss: false } } }`)
        )
      )
    }
  )

  it.effect("lets the provider's own refusal win where its scope has nobody, for any model, alias and strategy", () =>
    Effect.gen(function* () {
      for (const model of ["m", "n", "x", "", "big"])
        assert.strictEqual(brief(yield* decide(asking(model, { scope: scopeOf("vllm") }))), "- []")
    }).pipe(Effect.provide(world(fleet(), `${discovery(", fallback_behavior: all")}\nmodel_aliases: { big: [m] }`)))
  )

  it.effect("says fallback over nobody when nobody is healthy at all", () => {
    const made = fleet()
    for (const endpoint of made.endpoints) endpoint.become("offline")
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("m"))), "optimistic fallback all_healthy_fallback 200 []")
    }).pipe(Effect.provide(world(made, "model_registry: { routing_strategy: { type: optimistic, options: { fallback_behavior: all } } }")))
  })

  it.effect("has those looked at who may have a model that nobody routable has, and nobody else", () => {
    const made = fleet()
    made.with("drained", "ollama", ["x"])
    made.with("unread", "ollama", [])
    made.service.drain(made.endpoints[2] as (typeof made.endpoints)[number])
    return Effect.gen(function* () {
      yield* decide(asking("m"))
      yield* decide(asking(""))
      expect(made.looked).toEqual([])
      for (const model of ["n", "unknown"]) {
        made.looked.length = 0
        yield* decide(asking(model))
        expect(made.looked).toEqual(["b", "unread"])
      }
    }).pipe(Effect.provide(world(made, "")))
  })

  it.effect("has those looked at that a chain waits for, though a model that it does not lead on to is there", () => {
    const made = fleet()
    return Effect.gen(function* () {
      assert.strictEqual((yield* decide(asking("big"))).candidates.length, 0)
      expect(made.looked).toEqual(["b"])
    }).pipe(Effect.provide(world(made, "model_aliases: { big: { policy: chain, targets: [n, m], on: [failed] } }")))
  })

  it.effect("has those looked at that rules would let it go to, though others have the model", () => {
    const made = fleet()
    const rules = { of: () => ({ admits: ({ name }: Endpoint) => name === "b" }) } as unknown as RequestRules
    return Effect.gen(function* () {
      assert.strictEqual((yield* decide(asking("m", { rules }))).verdict?.reason, "placement_unsatisfied")
      expect(made.looked).toEqual(["b"])
    }).pipe(Effect.provide(world(made, "")))
  })

  it.effect("judges an alias whose targets are down by its own name, and tells the true cause", () => {
    const lines: Array<string> = []
    return Effect.gen(function* () {
      const decision = yield* decide(asking("big"))
      assert.strictEqual(brief(decision), "strict rejected model_unavailable 503 []")
      expect(decision.down).toEqual(["n"])
    }).pipe(Effect.provide(world(fleet(), "model_aliases: { big: [n, nothing] }", lines)))
  })

  it.effect("does not route by model while model discovery is off, but for aliases, and says so at the start", () => {
    const lines: Array<string> = []
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("anything"))), "- [a=]")
      assert.strictEqual(brief(yield* decide(asking("big"))), 'alias routed alias "big" resolved to 1 endpoint(s) 200 [a=first]')
      assert.strictEqual(brief(yield* decide(asking("big", { scope: scopeOf("vllm") }))), "- []")
      expect(lines.filter((line) => line.startsWith("Warn Model discovery is off"))).toHaveLength(1)
    }).pipe(
      Effect.provide(world(fleet(), "discovery: { model_discovery: { enabled: false } }\nmodel_aliases: { big: [first, second] }", lines))
    )
  })

  it.effect("says when nobody is of a kind that knows the path, and who would be", () =>
    Effect.gen(function* () {
      const decision = yield* decide(asking("", { path: "/get_tokenizer_info" }))
      assert.strictEqual(brief(decision), "- [a=]")
      assert.deepStrictEqual(decision.widened, { supportedBy: ["vllm"], total: 2 })
      assert.isUndefined((yield* decide(asking("", { path: "/api/tags" }))).widened)
    }).pipe(Effect.provide(world(fleet(), "")))
  )
})

describe("a refresh on a miss", () => {
  it.effect("finds the model that a backend has got since", () => {
    const fleet = new AskedFleet()
    const a = fleet.with("a", "ollama", ["m"])
    fleet.with("b", "ollama", ["m"], { status: "unhealthy" })
    fleet.answers.set(a, ["m", "new"])
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("new"))), "discovery routed model_found 200 [a=new]")
      // Only those were asked who could serve it.
      assert.deepStrictEqual(fleet.asked, ["a"])
    }).pipe(Effect.provide(world(fleet, discovery())))
  })

  it.effect("is not repeated for the same name for five seconds, and is at once for another", () => {
    const fleet = new AskedFleet()
    const a = fleet.with("a", "ollama", ["m"])
    return Effect.gen(function* () {
      const missing = "discovery rejected model_not_found 404 []"
      assert.strictEqual(brief(yield* decide(asking("x"))), missing)
      yield* TestClock.adjust("4900 millis")
      assert.strictEqual(brief(yield* decide(asking("x"))), missing)
      assert.strictEqual(fleet.asked.length, 1)
      assert.strictEqual(brief(yield* decide(asking("y"))), missing)
      assert.strictEqual(fleet.asked.length, 2)
      // The catalogue answers at once when the model has come by itself.
      a.models = [listed("m"), listed("x")]
      assert.strictEqual(brief(yield* decide(asking("x"))), "discovery routed model_found_no_refresh 200 [a=x]")
      a.models = [listed("m")]
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(brief(yield* decide(asking("x"))), missing)
      assert.strictEqual(fleet.asked.length, 3)
    }).pipe(Effect.provide(world(fleet, discovery())))
  })

  it.effect.each([
    ["none", "discovery rejected discovery_failed_no_fallback 503 []"],
    ["compatible_only", "discovery rejected discovery_failed_compatible_only 503 []"],
    ["all", "discovery fallback discovery_failed_all_fallback 200 [a=]"]
  ] as const)("that fails, or takes too long, ends by fallback %s, and says the same again until the next", ([behavior, expected]) => {
    const fleet = new AskedFleet()
    const a = fleet.with("a", "ollama", ["m"])
    fleet.answers.set(a, undefined)
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("failing"))), expected)
      assert.strictEqual(brief(yield* decide(asking("failing"))), expected)
      assert.strictEqual(fleet.asked.length, 1)
      fleet.answers.set(a, ["m"])
      fleet.seconds = 60
      const slow = yield* Effect.forkChild(decide(asking("slow")))
      yield* TestClock.adjust("2900 millis")
      assert.isUndefined(slow.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(brief(yield* Fiber.join(slow)), expected)
    }).pipe(Effect.provide(world(fleet, discovery(`, discovery_timeout: 3s, fallback_behavior: ${behavior}`))))
  })

  it.effect("does not wait for slow backends once the model is found, and fails only where nobody's list could be read", () => {
    const fleet = new AskedFleet()
    const [quick, hanging, broken] = [
      fleet.with("quick", "ollama", ["m"]),
      fleet.with("hanging", "ollama", []),
      fleet.with("broken", "ollama", [])
    ]
    fleet.slow.set(hanging, 60)
    fleet.answers.set(broken, undefined)
    fleet.answers.set(quick, ["m", "new"])
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("new"))), "discovery routed model_found 200 [quick=new]")
      assert.deepStrictEqual(fleet.asked, ["quick", "hanging", "broken"])
      fleet.slow.delete(hanging)
      fleet.answers.set(hanging, undefined)
      // Two of them have never been read: it may be there.
      assert.strictEqual(brief(yield* decide(asking("nowhere"))), "discovery rejected model_unavailable_after_discovery 503 []")
      fleet.answers.set(quick, undefined)
      assert.strictEqual(brief(yield* decide(asking("elsewhere"))), "discovery rejected discovery_failed_compatible_only 503 []")
    }).pipe(Effect.provide(world(fleet, discovery())))
  })

  it.effect("says that nobody was healthy after it", () => {
    const fleet = new AskedFleet()
    fleet.with("a", "ollama", ["m"], { status: "offline" })
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("m"))), "discovery rejected no_healthy_after_discovery 503 []")
    }).pipe(Effect.provide(world(fleet, discovery())))
  })

  it.effect("tells a model that is nowhere from one that is away", () => {
    const fleet = new AskedFleet()
    fleet.with("a", "ollama", ["m"])
    const b = fleet.with("b", "ollama", ["away"], { status: "offline" })
    return Effect.gen(function* () {
      assert.strictEqual(brief(yield* decide(asking("away"))), "discovery rejected model_unavailable_after_discovery 503 []")
      b.become("healthy")
      assert.strictEqual(brief(yield* decide(asking("nowhere"))), "discovery rejected model_not_found 404 []")
    }).pipe(Effect.provide(world(fleet, discovery())))
  })
})
