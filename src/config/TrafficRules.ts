/** Rules over the keys of `traffic`, and which of them do nothing because something else is off. */
import { checkCidr } from "./Cidr.ts"
import type { Diagnostic } from "./Diagnostic.ts"
import { checkPattern, matchesPattern } from "./FilterPattern.ts"
import { type OllaConfig, policyOf, type RuleConfig } from "./OllaConfig.ts"
import { allKeys } from "./SchemaTree.ts"
import { failoverStatuses, isFailoverStatus } from "./TrafficSchema.ts"

const error = (path: string, message: string): Diagnostic => ({ severity: "error", path, message })
const warning = (path: string, message: string): Diagnostic => ({ severity: "warning", path, message })

export const trafficRules = (config: OllaConfig): ReadonlyArray<Diagnostic> => {
  const { traffic, proxy, discovery } = config
  const out: Array<Diagnostic> = []
  if (proxy.load_balancer === "adaptive" && !traffic.enabled)
    out.push(
      error(
        "proxy.load_balancer",
        'proxy.load_balancer must be priority, round-robin or least-connections where traffic.enabled is false, got "adaptive"'
      )
    )
  for (const [index, status] of traffic.failover.statuses.entries())
    if (!isFailoverStatus(status))
      out.push(error(`traffic.failover.statuses[${index}]`, `traffic.failover.statuses must be ${failoverStatuses}, got ${status}`))
  const labelled = traffic.enabled ? [...discovery.static.endpoints, ...discovery.dns].map(({ labels }) => labels) : []
  for (const [index, rule] of traffic.rules.entries())
    out.push(...judgeRule(rule, `traffic.rules[${index}]`), ...judgePlaces(rule, `traffic.rules[${index}]`, labelled))
  for (const [list, entries] of [
    ["discovery.static.endpoints", discovery.static.endpoints],
    ["discovery.dns", discovery.dns]
  ] as const)
    for (const [index, { labels }] of entries.entries())
      for (const name of ["name", "type"].filter((each) => Object.hasOwn(labels, each)))
        out.push(warning(`${list}[${index}].labels.${name}`, `label "${name}" has no effect: it is the endpoint's own ${name}`))
  return out
}

type Labels = Readonly<Record<string, string>>

const bears = (labels: Labels, [name, pattern]: readonly [string, string]): boolean =>
  Object.hasOwn(labels, name) && matchesPattern(pattern, labels[name] as string)

/**
 * A rule whose labels leave no endpoint turns away whatever it is for; one that prefers what nobody bears does nothing. `name` and
 * `type` are not judged: both may be found out only when the endpoint is asked.
 */
const judgePlaces = ({ require, deny, prefer }: RuleConfig, at: string, endpoints: ReadonlyArray<Labels>): ReadonlyArray<Diagnostic> => {
  const own = (labels: Labels) => Object.entries(labels).filter(([name]) => name !== "name" && name !== "type")
  const [wanted, refused, better] = [own(require), own(deny), own(prefer)]
  const out: Array<Diagnostic> = []
  const required = endpoints.filter((labels) => wanted.every((label) => bears(labels, label)))
  if (endpoints.length > 0 && required.every((labels) => refused.some((label) => bears(labels, label)))) {
    const key = `${at}.${required.length === 0 ? "require" : "deny"}`
    out.push(warning(key, `${key} leaves no endpoint: what the rule is for gets 503 placement_unsatisfied; ${known(endpoints)}`))
  }
  if (better.length > 0 && endpoints.length > 0 && !endpoints.some((labels) => better.every((label) => bears(labels, label))))
    out.push(warning(`${at}.prefer`, `${at}.prefer has no effect: no endpoint has these labels; ${known(endpoints)}`))
  return out
}

const known = (endpoints: ReadonlyArray<Labels>): string => {
  const all = [...new Set(endpoints.flatMap((labels) => Object.entries(labels).map(([name, value]) => `${name}: ${value}`)))]
  if (all.length === 0) return "no endpoint has labels"
  return `labels there are: ${all.slice(0, 8).join(", ")}${all.length > 8 ? ", ..." : ""}`
}

/** What a header's name may be made of. */
const headerName = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/

const judgeRule = ({ match, require, deny, prefer }: RuleConfig, at: string): ReadonlyArray<Diagnostic> => {
  const out: Array<Diagnostic> = []
  const judgePattern = (path: string, key: string, pattern: string): void => {
    const problem = checkPattern(pattern)
    if (problem !== undefined) out.push(error(path, `${key} must be a glob such as "*70b*", got "${pattern}": ${problem}`))
  }
  for (const [index, pattern] of match.model.entries()) judgePattern(`${at}.match.model[${index}]`, `${at}.match.model`, pattern)
  for (const [index, pattern] of match.key.entries()) judgePattern(`${at}.match.key[${index}]`, `${at}.match.key`, pattern)
  for (const [index, network] of match.client.entries()) {
    const problem = checkCidr(network)
    if (problem !== undefined)
      out.push(
        error(`${at}.match.client[${index}]`, `${at}.match.client must be a network such as 10.9.0.0/16, got "${network}": ${problem}`)
      )
  }
  for (const [name, pattern] of Object.entries(match.header)) {
    const path = `${at}.match.header.${name}`
    if (!headerName.test(name)) out.push(error(path, `${at}.match.header must be names of headers, got "${name}"`))
    judgePattern(path, path, pattern)
  }
  for (const [key, labels] of Object.entries({ require, deny, prefer }))
    for (const [name, pattern] of Object.entries(labels)) judgePattern(`${at}.${key}.${name}`, `${at}.${key}.${name}`, pattern)
  const { min_prompt_tokens: least = 0, max_prompt_tokens: most } = match
  if (most !== undefined && most < least)
    out.push(
      error(`${at}.match.max_prompt_tokens`, `${at}.match.max_prompt_tokens must be at least min_prompt_tokens (${least}), got ${most}`)
    )
  return out
}

const trafficKeys = [...new Set(allKeys().map(({ path }) => path.replace(/\[\].*$/, "")))].filter((path) => path.startsWith("traffic."))

/** Of an endpoint, what only limits and rules look at. */
const endpointKeys = ["max_concurrent", "max_resident", "labels"]

/** One warning for each key that is set although nothing asks for it. `isSet`: by file or variable, to something else than its default. */
export const idleTrafficKeys = (config: OllaConfig, isSet: (path: string) => boolean): ReadonlyArray<Diagnostic> =>
  [...(config.traffic.enabled ? idleParts(config) : allOff(config))].flatMap(([path, why]) =>
    isSet(path) ? [{ severity: "warning" as const, message: "A key has no effect", detail: `${path}: ${why}`, path, fields: { why } }] : []
  )

function* allOff({ discovery, model_aliases }: OllaConfig): Generator<readonly [path: string, why: string]> {
  const why = "traffic.enabled is false"
  for (const path of trafficKeys) if (path !== "traffic.enabled") yield [path, why]
  for (const [list, { length }] of [
    ["discovery.static.endpoints", discovery.static.endpoints],
    ["discovery.dns", discovery.dns]
  ] as const)
    for (let index = 0; index < length; index++) for (const key of endpointKeys) yield [`${list}[${index}].${key}`, why]
  for (const [name, alias] of Object.entries(model_aliases))
    if (policyOf(alias)?.policy === "chain") yield [`model_aliases.${name}.policy`, `${why}, so the targets are a pool`]
}

function* idleParts({ traffic, proxy, model_aliases }: OllaConfig): Generator<readonly [path: string, why: string]> {
  const { failover, ejection, queue, hedge, rules } = traffic
  if (failover.max_attempts === 1) yield ["traffic.failover.budget_percent", "traffic.failover.max_attempts is 1, so nothing is repeated"]
  if (ejection.failures === 0)
    for (const key of ["duration", "max_duration", "max_percent"]) yield [`traffic.ejection.${key}`, "traffic.ejection.failures is 0"]
  if (queue.max_wait === 0 && queue.hold === 0 && !rules.some((rule) => (rule.max_wait ?? 0) > 0))
    for (const key of ["max_waiting", "max_waiting_per_client"])
      yield [`traffic.queue.${key}`, "traffic.queue.max_wait is 0, so nothing waits"]
  if (hedge.percent === 0) yield ["traffic.hedge.kinds", "traffic.hedge.percent is 0"]
  else for (const key of ["percent", "kinds"]) yield [`traffic.hedge.${key}`, "no request is sent to a second endpoint yet"]
  if (proxy.load_balancer !== "adaptive") yield ["traffic.prefix.memory", `proxy.load_balancer is ${proxy.load_balancer}, not adaptive`]
  for (const [name, alias] of Object.entries(model_aliases))
    if (policyOf(alias)?.policy === "pool") yield [`model_aliases.${name}.on`, `the policy of "${name}" is pool, not chain`]
}
