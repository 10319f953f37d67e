/**
 * `traffic.rules`, compiled once for a configuration: which requests may go where, how urgent they are, and how many of them may run.
 * Pure but for what it remembers of endpoints and clients, which are few and come again.
 */
import { isDeepStrictEqual } from "node:util"
import type * as IpNetwork from "effect/net/IpNetwork"
import { inNetworks, parseNetworks } from "../config/Cidr.ts"
import { matchesPattern, patternTest } from "../config/FilterPattern.ts"
import type { RuleConfig } from "../config/OllaConfig.ts"
import type { Endpoint } from "../endpoint/Endpoint.ts"

/** How many requests that a rule is for are under way; the same object for as long as a rule with the same conditions is configured. */
export class RuleLimit {
  /** At most. */
  most: number
  inFlight = 0

  constructor(most: number) {
    this.most = most
  }

  get isFull(): boolean {
    return this.inFlight >= this.most
  }
}

export type Urgency = NonNullable<RuleConfig["class"]>

/** Addresses whose networks are remembered for each rule. */
const mostClients = 1_000

class Rule {
  readonly config: RuleConfig
  readonly limit: RuleLimit | undefined
  readonly #networks: ReadonlyArray<IpNetwork.IpNetwork>
  readonly #clients = new Map<string, boolean>()
  readonly #headers: ReadonlyArray<readonly [name: string, matches: (low: string) => boolean]>
  readonly #models: ReadonlyArray<(low: string) => boolean>

  constructor(config: RuleConfig, limit: RuleLimit | undefined) {
    this.config = config
    this.limit = limit
    this.#networks = parseNetworks(config.match.client)
    this.#headers = Object.entries(config.match.header).map(([name, pattern]) => [name.toLowerCase(), patternTest(pattern)])
    this.#models = config.match.model.map(patternTest)
  }

  /** But for the model. */
  isFor(request: RuledRequest): boolean {
    const { client, key: keys, min_prompt_tokens: least, max_prompt_tokens: most } = this.config.match
    if (client.length > 0 && !this.#isOf(request.client)) return false
    if (keys.length > 0 && !keys.some((pattern) => request.key !== "" && matchesPattern(pattern, request.key))) return false
    for (const [name, matches] of this.#headers) if (!request.headers(name).some((value) => matches(value.toLowerCase()))) return false
    // What has to be counted comes last.
    return (least === undefined || request.promptTokens() >= least) && (most === undefined || request.promptTokens() <= most)
  }

  isForModel(name: string): boolean {
    if (name === "") return false
    const low = name.toLowerCase()
    for (const matches of this.#models) if (matches(low)) return true
    return false
  }

  get isForAllModels(): boolean {
    return this.config.match.model.length === 0
  }

  #isOf(client: string): boolean {
    const known = this.#clients.get(client)
    if (known !== undefined) return known
    const is = inNetworks(this.#networks, client)
    if (this.#clients.size >= mostClients) this.#clients.clear()
    this.#clients.set(client, is)
    return is
  }
}

/** What a rule may ask of a request. */
export interface RuledRequest {
  /** As asked for, lower-cased; empty: none. */
  readonly asked: string
  /** The model that is meant by it. */
  readonly model: string
  /** IP of the client. */
  readonly client: string
  /** Name of its key; empty: nobody is asked for one. */
  readonly key: string
  /** All values of a request header by lower-cased name. */
  readonly headers: (name: string) => ReadonlyArray<string>
  readonly promptTokens: () => number
}

type Labels = Readonly<Record<string, string>>

/** All of them: a label that the endpoint has not got is none of its. */
const bears = (endpoint: Endpoint, labels: Labels): boolean => Object.entries(labels).every((label) => bearsOne(endpoint, label))

const bearsOne = ({ name, type, profile, spec }: Endpoint, [label, pattern]: readonly [string, string]): boolean => {
  if (label === "name") return matchesPattern(pattern, name)
  if (label === "type") return matchesPattern(pattern, type) || (profile !== undefined && matchesPattern(pattern, profile.name))
  const value = Object.hasOwn(spec.labels, label) ? spec.labels[label] : undefined
  return value !== undefined && matchesPattern(pattern, value)
}

interface Place {
  readonly spec: Endpoint["spec"]
  readonly profile: Endpoint["profile"]
  readonly admitted: boolean
  readonly preferred: boolean
}

/** What those rules together say that are for a request: the same object for the same rules. */
export class RuleVerdict {
  readonly #rules: ReadonlyArray<RuleConfig>
  readonly #places = new WeakMap<Endpoint, Place>()
  /** Some endpoints may not be asked. */
  readonly narrows: boolean
  /** Some endpoints are to be asked before others. */
  readonly hasPreference: boolean
  readonly class: Urgency | undefined
  /** Milliseconds; `undefined`: as configured for all. */
  readonly maxWait: number | undefined
  readonly firstTokenTimeout: number | undefined
  readonly limits: ReadonlyArray<RuleLimit>

  constructor(rules: ReadonlyArray<Rule>) {
    this.#rules = rules.map(({ config }) => config)
    const saysAny = (key: "require" | "deny" | "prefer") => this.#rules.some((rule) => Object.keys(rule[key]).length > 0)
    const lastOf = <K extends "class" | "max_wait" | "first_token_timeout">(key: K) =>
      this.#rules.findLast((rule) => rule[key] !== undefined)?.[key]
    this.narrows = saysAny("require") || saysAny("deny")
    this.hasPreference = saysAny("prefer")
    this.class = lastOf("class")
    this.maxWait = lastOf("max_wait")
    this.firstTokenTimeout = lastOf("first_token_timeout")
    this.limits = rules.flatMap(({ limit }) => limit ?? [])
  }

  /** No rule keeps the request from it. */
  admits(endpoint: Endpoint): boolean {
    return !this.narrows || this.#placeOf(endpoint).admitted
  }

  /** A rule wants it before others. */
  prefers(endpoint: Endpoint): boolean {
    return this.hasPreference && this.#placeOf(endpoint).preferred
  }

  #placeOf(endpoint: Endpoint): Place {
    const { spec, profile } = endpoint
    const known = this.#places.get(endpoint)
    if (known !== undefined && known.spec === spec && known.profile === profile) return known
    const place = {
      spec,
      profile,
      admitted: this.#rules.every(
        ({ require, deny }) => bears(endpoint, require) && !Object.entries(deny).some((label) => bearsOne(endpoint, label))
      ),
      preferred: this.#rules.some(({ prefer }) => Object.keys(prefer).length > 0 && bears(endpoint, prefer))
    }
    this.#places.set(endpoint, place)
    return place
  }
}

/** Of a request that no rule is for. */
const silent = new RuleVerdict([])

/** The rules that are for one request, whatever model it ends up with. */
export class RequestRules {
  readonly #book: CompiledRules
  readonly #asked: string
  readonly #model: string
  readonly #rules: ReadonlyArray<number>
  #target: string | undefined
  #verdict: RuleVerdict = silent

  constructor(book: CompiledRules, { asked, model }: RuledRequest, rules: ReadonlyArray<number>) {
    this.#book = book
    this.#asked = asked
    this.#model = model
    this.#rules = rules
  }

  /** `target`: the model that an alias leads to; absent: none does. */
  of(target: string = this.#model): RuleVerdict {
    if (this.#target !== target) {
      this.#target = target
      this.#verdict = this.#book.verdictOf(this.#rules, this.#asked, target)
    }
    return this.#verdict
  }
}

/** Combinations of rules whose verdict is kept. */
const mostVerdicts = 1_000

export class CompiledRules {
  readonly #rules: ReadonlyArray<Rule>
  readonly #verdicts = new Map<string, RuleVerdict>()

  /** `before`: rules with the same conditions go on counting. */
  constructor(configs: ReadonlyArray<RuleConfig>, before?: CompiledRules) {
    const known = [...(before === undefined ? [] : before.#rules)]
    this.#rules = configs.map((config) => {
      if (config.max_concurrent === 0) return new Rule(config, undefined)
      const at = known.findIndex((rule) => rule.limit !== undefined && isDeepStrictEqual(rule.config.match, config.match))
      const [same] = at < 0 ? [] : known.splice(at, 1)
      const limit = same?.limit ?? new RuleLimit(config.max_concurrent)
      limit.most = config.max_concurrent
      return new Rule(config, limit)
    })
  }

  /** Those that are for this request; `undefined`: none is. */
  forRequest(request: RuledRequest): RequestRules | undefined {
    let found: Array<number> | undefined
    for (let index = 0; index < this.#rules.length; index++) {
      if (!(this.#rules[index] as Rule).isFor(request)) continue
      found ??= []
      found.push(index)
    }
    return found === undefined ? undefined : new RequestRules(this, request, found)
  }

  /** Of the rules at these places, those that are for one of the names. */
  verdictOf(places: ReadonlyArray<number>, asked: string, target: string): RuleVerdict {
    let key = ""
    for (const place of places) if (this.#isForModel(place, asked, target)) key += String.fromCharCode(place)
    if (key === "") return silent
    let verdict = this.#verdicts.get(key)
    if (verdict === undefined) {
      verdict = new RuleVerdict(places.filter((place) => this.#isForModel(place, asked, target)).map((place) => this.#rules[place] as Rule))
      if (this.#verdicts.size >= mostVerdicts) this.#verdicts.clear()
      this.#verdicts.set(key, verdict)
    }
    return verdict
  }

  #isForModel(place: number, asked: string, target: string): boolean {
    const rule = this.#rules[place] as Rule
    return rule.isForAllModels || rule.isForModel(asked) || (target !== asked && rule.isForModel(target))
  }
}

/** The rules in force, compiled anew when the configuration is another one. */
export class RuleBook {
  readonly #configured: () => ReadonlyArray<RuleConfig>
  #configs: ReadonlyArray<RuleConfig> = []
  #compiled: CompiledRules | undefined

  constructor(configured: () => ReadonlyArray<RuleConfig>) {
    this.#configured = configured
  }

  /** `undefined`: there are none. */
  get rules(): CompiledRules | undefined {
    const configs = this.#configured()
    if (configs !== this.#configs) {
      this.#configs = configs
      this.#compiled = configs.length === 0 ? undefined : new CompiledRules(configs, this.#compiled)
    }
    return this.#compiled
  }
}
