/** The Router over the live fleet: picks the strategy, and owns the one case that waits, a refresh on a miss. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Catalogue } from "../catalogue/Catalogue.ts"
import type { OllaConfig } from "../config/OllaConfig.ts"
import { Settings } from "../config/Settings.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import { Fleet } from "../endpoint/Fleet.ts"
import { Profiles } from "../profile/Profiles.ts"
import { Eligibility, unconstrained } from "./Eligibility.ts"
import { admitted, unsatisfied } from "./Placement.ts"
import { type Decision, type RouteRequest, Router } from "./Router.ts"
import {
  decideAlias,
  decideAliasBlindly,
  decideChain,
  decideWithoutModel,
  discoveryAfter,
  discoveryFirst,
  downTargets,
  type FallbackBehavior,
  optimistic,
  strict
} from "./Routing.ts"

/** After a refresh for a name, the same unknown name starts no other for this long, in milliseconds. */
const rememberMiss = 5_000
/** Names remembered; clients choose them. */
const maxMisses = 1_000

const nobody: Decision = { candidates: [], verdict: undefined }

interface Miss {
  readonly at: number
  readonly refreshed: boolean
}

export const layer: Layer.Layer<Router, never, Settings | Fleet | Catalogue | Profiles> = Layer.effect(
  Router,
  Effect.gen(function* () {
    const settings = yield* Settings
    const fleet = yield* Fleet
    const catalogue = yield* Catalogue
    const profiles = yield* Profiles
    const misses = new Map<string, Miss>()
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const discovers = () => settings.current().discovery.model_discovery.enabled
    const tellOff = Effect.logWarning(
      "Model discovery is off: requests are not routed by model, aliases stand for their first target everywhere",
      { key: "discovery.model_discovery.enabled" }
    )
    if (!discovers()) yield* tellOff
    let discovered = discovers()
    const off = settings.onReplace(() => {
      // What nobody had may be there now.
      misses.clear()
      if (discovered && !discovers()) fork(tellOff)
      discovered = discovers()
    })
    yield* Effect.addFinalizer(() => Effect.sync(off))

    const eligibilityOf = ({ scope, path, inspection, permit }: RouteRequest): Eligibility => {
      const known = path === undefined ? unconstrained.profiles : profiles.forPath(path)
      return new Eligibility(catalogue.snapshot(), fleet.endpoints, { scope, profiles: known, permit }, inspection)
    }

    const remember = (name: string, refreshed: boolean) => {
      if (misses.size >= maxMisses) misses.clear()
      misses.set(name, { at: fleet.now(), refreshed })
    }

    /**
     * Asks all of them at once and waits until the model is found, or else until all have answered: a slow or broken
     * endpoint does not delay a request that another one can serve. False: no list could be read.
     */
    const askAll = Effect.fnUntraced(function* (request: RouteRequest, endpoints: ReadonlyArray<Endpoint>) {
      const found = yield* Deferred.make<boolean>()
      const askOne = Effect.fnUntraced(function* (endpoint: Endpoint) {
        const read = yield* fleet.refreshModels([endpoint])
        if (!read) return false
        yield* catalogue.settled
        if (discoveryFirst(eligibilityOf(request), true) !== undefined) yield* Deferred.succeed(found, true)
        return true
      })
      const all = Effect.forEach(endpoints, askOne, { concurrency: "unbounded" }).pipe(
        Effect.map((reads) => reads.length === 0 || reads.includes(true))
      )
      return yield* Effect.raceFirst(all, Deferred.await(found))
    })

    const refresh = Effect.fnUntraced(function* (
      request: RouteRequest,
      eligibility: Eligibility,
      behavior: FallbackBehavior,
      limit: number
    ) {
      const name = request.inspection.model
      const last = misses.get(name)
      let refreshed = last?.refreshed ?? true
      if (last === undefined || fleet.now() - last.at >= rememberMiss) {
        const done = yield* askAll(request, eligibility.compatible).pipe(Effect.timeoutOption(limit))
        refreshed = Option.getOrElse(done, () => false)
        yield* catalogue.settled
        remember(name, refreshed)
      }
      const now = eligibilityOf(request)
      return told(request, now, discoveryAfter(now, refreshed, behavior))
    })

    /** By the configured strategy; an Effect where it has to ask the backends first. */
    const byStrategy = (
      request: RouteRequest,
      eligibility: Eligibility,
      config: OllaConfig["model_registry"]["routing_strategy"]
    ): Decision | Effect.Effect<Decision> => {
      const { fallback_behavior: behavior, discovery_refresh_on_miss: refreshes, discovery_timeout: limit } = config.options
      switch (config.type) {
        case "strict":
          return strict(eligibility)
        case "optimistic":
          return optimistic(eligibility, behavior)
        case "discovery": {
          const first = discoveryFirst(eligibility, refreshes)
          if (first !== undefined) return first
          return eligibility.deserted ? nobody : refresh(request, eligibility, behavior, limit > 0 ? limit : 2_000)
        }
      }
    }

    /** The decision, with what is to be known of how it came about. */
    const told = (request: RouteRequest, eligibility: Eligibility, decision: Decision): Decision => {
      if (decision.verdict?.action === "rejected") {
        const targets = downTargets(eligibility)
        if (targets.length > 0) return { ...decision, down: targets, ...widening(request, eligibility) }
      }
      return eligibility.widened ? { ...decision, ...widening(request, eligibility) } : decision
    }

    const widening = ({ path = "" }: RouteRequest, { widened }: Eligibility): Pick<Decision, "widened"> =>
      widened ? { widened: { supportedBy: [...profiles.forPath(path)].map(({ name }) => name), total: fleet.endpoints.length } } : {}

    /** Whoever is down or was never read is looked at now: the next request may find it. This one is not held back. */
    const lookAround = (eligibility: Eligibility): void => {
      if (eligibility.inspection.model === "" || !discovers()) return
      for (const endpoint of eligibility.unsettled) fleet.look(endpoint)
    }

    const decideNow = (request: RouteRequest, eligibility: Eligibility): Decision | Effect.Effect<Decision> => {
      if (request.inspection.model === "") return eligibility.deserted ? nobody : decideWithoutModel(eligibility)
      const { model_registry: registry, traffic } = settings.current()
      const chained = traffic.enabled ? chainOf(request, eligibility) : undefined
      if (!discovers()) {
        if (eligibility.deserted) return nobody
        return chained ?? decideAliasBlindly(eligibility) ?? decideWithoutModel(eligibility)
      }
      const alias = chained ?? decideAlias(eligibility, traffic.enabled)
      if (alias !== undefined) return alias
      const decision = byStrategy(request, eligibility, registry.routing_strategy)
      return !Effect.isEffect(decision) && decision.candidates.length === 0 && eligibility.deserted ? nobody : decision
    }

    const chainOf = (request: RouteRequest, preferring: Eligibility): Decision | undefined => {
      let any: Eligibility | undefined
      const anyPath = () => (any ??= request.path === undefined ? preferring : eligibilityOf({ ...request, path: undefined }))
      return decideChain({ preferring, anyPath, rules: request.rules, prompted: request.prompted, discovers: discovers() })
    }

    /** What rules leave. The path is a preference: where they leave nobody of a kind that lists it, others may serve. */
    const placed = (request: RouteRequest, decision: Decision): Decision | Effect.Effect<Decision> => {
      const { rules, path } = request
      const candidates = admitted(decision.candidates, rules)
      if (candidates === decision.candidates) return decision
      if (candidates.length > 0) return { ...decision, candidates }
      if (path !== undefined) return decide({ ...request, path: undefined })
      // Those that it may go to may only be away.
      for (const endpoint of eligibilityOf(request).away) fleet.look(endpoint)
      return unsatisfied(decision.verdict?.strategy ?? settings.current().model_registry.routing_strategy.type)
    }

    const judge = (request: RouteRequest): Decision | Effect.Effect<Decision> => {
      const eligibility = eligibilityOf(request)
      const decision = decideNow(request, eligibility)
      if (Effect.isEffect(decision)) {
        lookAround(eligibility)
        return decision
      }
      if (decision.candidates.length === 0 || decision.verdict?.action === "fallback") lookAround(eligibility)
      return eligibility.widened || decision.verdict?.action === "rejected" ? told(request, eligibility, decision) : decision
    }

    /** A list that has been read is not in the snapshot for some milliseconds: whoever would be refused is judged after them. */
    const decide = (request: RouteRequest): Decision | Effect.Effect<Decision> => {
      const decided = decideAnywhere(request)
      if (request.rules === undefined) return decided
      if (!Effect.isEffect(decided)) return placed(request, decided)
      return Effect.flatMap(decided, (decision) => {
        const left = placed(request, decision)
        return Effect.isEffect(left) ? left : Effect.succeed(left)
      })
    }

    const decideAnywhere = (request: RouteRequest): Decision | Effect.Effect<Decision> => {
      const decision = judge(request)
      if (Effect.isEffect(decision) || decision.verdict?.action !== "rejected" || !catalogue.isBehind()) return decision
      const again = Effect.suspend(() => {
        const judged = judge(request)
        return Effect.isEffect(judged) ? judged : Effect.succeed(judged)
      })
      return Effect.andThen(catalogue.settled, again)
    }
    return { decide }
  })
)
