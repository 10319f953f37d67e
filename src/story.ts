/** `olla demo --story <name>`: the daemon over simulated servers in trouble, clients that never stop, and every few seconds what Olla did. */
import { decodeConfig } from "./config/ConfigLoading.ts"
import { isBreakKey, listenToKeys } from "./demo.ts"
import { type SimulatedBackend, startBackend } from "./simulator/Backend.ts"
import { type Story, type StoryHost, stories } from "./simulator/Stories.ts"
import { run, type ServeOptions } from "./startup.ts"
import { StoryLoad, type Tally } from "./storyLoad.ts"
import type { Log } from "./telemetry/LogSink.ts"

/** Milliseconds between two reports. */
const reportEvery = 4_000
/** Rules that follow what happened at once; the story's clients seem to come from several addresses. */
const usual = `
server:
  rate_limits: {trust_proxy_headers: true, trusted_proxy_cidrs: [127.0.0.0/8, "::1/128"], global_requests_per_minute: 0, per_ip_requests_per_minute: 0}
`

export const storyYaml = (story: Story, urls: ReadonlyArray<string>, which: "own" | "other"): string => {
  const endpoints = story.hosts.map(
    ({ name, kind, keys }, index) =>
      `      - { url: "${urls[index]}", name: ${name}, type: ${kind}, check_interval: 2s, check_timeout: 1s${keys === undefined || which === "other" ? "" : `, ${keys}`} }`
  )
  return `discovery:\n  static:\n    endpoints:\n${endpoints.join("\n")}\n${story[which]}\n${usual}`
}

/** Of the log only what is wrong: the reports say the rest. */
export const storyLog = (log: Log): Log => ({
  ...log,
  table: () => {},
  write: (level, message, fields = {}, detail = false, summary) => {
    if (level === "warn" || level === "error") {
      if (fields["request_id"] === undefined || message.startsWith("Lane")) log.write(level, message, fields, detail, summary)
    }
  }
})

const average = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
const p95 = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * 0.95))] ?? 0
const inSeconds = (millis: number): string => `${(millis / 1000).toFixed(millis < 9_950 ? 2 : 1)} s`
const listed = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}`)
    .join(", ")

/** What a group of clients got. */
export const tallyLine = (name: string, { good, bad, firstToken, queued, again }: Tally): string => {
  const failures = [...bad].map(([status, count]) => `${count} ${status === 0 ? "broken off" : `with ${status}`}`)
  const whole = bad.size === 0 ? `${good} answers` : `${good} answers, FAILED: ${failures.join(", ")}`
  const waited = Math.max(0, ...queued)
  const parts = [
    `${name}: ${whole}`,
    ...(firstToken.length === 0 ? [] : [`first token ${inSeconds(average(firstToken))}, p95 ${inSeconds(p95(firstToken))}`]),
    ...(waited > 0 ? [`waited in line ${inSeconds(average(queued))}`] : []),
    ...(again === 0 ? [] : [`${again} tried again elsewhere`])
  ]
  return parts.join("; ")
}

interface LaneDocument {
  readonly endpoint: string
  readonly model: string
  readonly state: string
  readonly until?: string
  readonly reason?: string
}

/** Lanes that are not simply open. */
const lanesLine = (lanes: ReadonlyArray<LaneDocument>): string | undefined => {
  const told = lanes
    .filter(({ state }) => state !== "open" && state !== "slow_start")
    .map(({ endpoint, state, until, reason }) => {
      const left = until === undefined ? 0 : Date.parse(until) - Date.now()
      return `${endpoint} is ${state}${reason === undefined ? "" : ` (${reason})`}${left > 0 ? ` for ${Math.ceil(left / 1000)} s more` : ""}`
    })
  return told.length === 0 ? undefined : told.join(", ")
}

class Player {
  readonly #story: Story
  readonly #backends: ReadonlyMap<string, SimulatedBackend>
  readonly #port: number
  readonly #say: (text: string) => void
  readonly #configure: (which: "own" | "other") => void
  readonly #timers: ReadonlyArray<NodeJS.Timeout>
  /** Of this round's events. */
  #events: ReadonlyArray<NodeJS.Timeout> = []
  readonly #load: StoryLoad
  readonly #began = performance.now()
  readonly #totals = new Map<string, { promptTokens: number; cachedTokens: number; loads: number }>()

  constructor(
    story: Story,
    backends: ReadonlyMap<string, SimulatedBackend>,
    port: number,
    say: (text: string) => void,
    configure: (which: "own" | "other") => void
  ) {
    this.#story = story
    this.#backends = backends
    this.#port = port
    this.#say = say
    this.#configure = configure
    this.#load = new StoryLoad(port, story.clients)
    this.#round()
    this.#timers = [setInterval(() => void this.#report(), reportEvery), setInterval(() => this.#round(), story.round * 1_000)]
  }

  stop(): void {
    for (const timer of [...this.#timers, ...this.#events]) clearTimeout(timer)
    this.#load.stop()
  }

  #round(): void {
    const host = (name: string): SimulatedBackend => this.#backends.get(name) as SimulatedBackend
    this.#events = this.#story.events.map(({ at, say, does, configuration }) =>
      setTimeout(() => {
        does?.(host)
        if (configuration !== undefined) this.#configure(configuration)
        this.#say(`\n${this.#time()}  -- ${say} --\n`)
      }, at * 1_000)
    )
  }

  #time(): string {
    return `${String(Math.round((performance.now() - this.#began) / 1_000)).padStart(4)} s`
  }

  async #report(): Promise<void> {
    const { clients } = this.#story
    const tallies = clients.map(({ name }) => [name, this.#load.take(name)] as const)
    const lines = tallies.map(([name, tally]) => tallyLine(name, tally))
    const endpoints = new Map([...this.#backends.keys()].map((name) => [name, 0]))
    const picks = new Map<string, number>()
    for (const [, { byEndpoint, byPick }] of tallies) {
      for (const [name, count] of byEndpoint) endpoints.set(name, (endpoints.get(name) ?? 0) + count)
      for (const [name, count] of byPick) picks.set(name, (picks.get(name) ?? 0) + count)
    }
    lines.push(`by ${listed(endpoints)}${picks.size === 0 ? "" : `; picked for: ${listed(picks)}`}`)
    for (const watch of this.#story.watches) lines.push(this.#watched(watch))
    const traffic = await this.#traffic()
    if (traffic !== undefined) lines.push(traffic)
    this.#say(lines.map((line, index) => `${index === 0 ? this.#time() : "      "}  ${line}\n`).join(""))
  }

  /** What the servers themselves know. */
  #watched(what: Story["watches"][number]): string {
    const told: Array<string> = []
    for (const [name, { machine }] of this.#backends) {
      if (machine === undefined) continue
      const before = this.#totals.get(name) ?? { promptTokens: 0, cachedTokens: 0, loads: 0 }
      const now = { promptTokens: machine.totals.promptTokens, cachedTokens: machine.totals.cachedTokens, loads: machine.memory.loads }
      this.#totals.set(name, now)
      if (what === "cache") {
        const asked = now.promptTokens - before.promptTokens
        const known = asked === 0 ? 0 : (100 * (now.cachedTokens - before.cachedTokens)) / asked
        told.push(`${name} had read ${known.toFixed(0)} % of ${Math.round(asked / 1000)}k tokens before`)
      } else if (what === "models") {
        const loads = now.loads - before.loads
        told.push(`${name} has ${machine.memory.listed.join(", ") || "nothing"}${loads === 0 ? "" : ` (${loads} loaded)`}`)
      } else told.push(`${name} ${machine.running.size} of ${machine.slots} places taken, ${machine.waiting.length} wait there`)
    }
    return told.join("; ")
  }

  async #traffic(): Promise<string | undefined> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}/internal/status/traffic`).catch(() => undefined)
    if (answer?.ok !== true) {
      await answer?.body?.cancel()
      return undefined
    }
    const { lanes = [], queue } = (await answer.json()) as {
      readonly lanes?: ReadonlyArray<LaneDocument>
      readonly queue?: { readonly waiting: number }
    }
    const waiting = queue === undefined || queue.waiting === 0 ? [] : [`${queue.waiting} wait in line`]
    const out = lanesLine(lanes)
    const told = [...(out === undefined ? [] : [out]), ...waiting]
    return told.length === 0 ? undefined : told.join("; ")
  }
}

const startHost = ({ kind, models, machine, name }: StoryHost): Promise<SimulatedBackend> =>
  startBackend({ kind, models, machine, quiet: true, tokens: 60, text: `This is ${name}. ` })

const introduction = (name: string, story: Story, port: number): string => `
The story "${name}". ${story.about}

${story.own
  .split("\n")
  .map((line) => `  ${line}`)
  .join("\n")}

A round takes ${story.round} s, the last ${story.round - Math.max(...story.events.filter(({ configuration }) => configuration === "other").map(({ at }) => at))} of them without it, for comparison.
Look from another terminal:  curl http://127.0.0.1:${port}/internal/status/traffic
                             node dist/main.js status --watch${port === 40_114 ? "" : ` --url http://127.0.0.1:${port}`}
q or Ctrl-C ends it. There are also: ${Object.keys(stories)
  .filter((other) => other !== name)
  .join(", ")}.
`

/** `name`: one of `stories`. */
export const tellStory = async (name: string, options: ServeOptions): Promise<number> => {
  const story = stories[name] as Story
  const port = Number(options.env["OLLA_SERVER_PORT"] ?? "40114")
  const say = (text: string): void => void process.stderr.write(text)
  const backends = new Map<string, SimulatedBackend>()
  for (const host of story.hosts) backends.set(host.name, await startHost(host))
  const urls = [...backends.values()].map(({ url }) => url)
  let which: "own" | "other" = "own"
  const loaded = () => decodeConfig(storyYaml(story, urls, which), `${name}.yaml`, options.env)
  const configure = (next: "own" | "other"): void => {
    if (next === which) return
    which = next
    void fetch(`http://127.0.0.1:${port}/internal/reload`, { method: "POST", headers: { "x-olla-action": "1" } }).then(
      async (answer) => {
        if (!answer.ok) say(`the reload was refused: ${await answer.text()}\n`)
      },
      () => {}
    )
  }
  let player: Player | undefined
  let unlisten = () => {}
  // Nobody is waited for who only plays a part.
  const end = () => player?.stop()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end)
  try {
    return await run(loaded(), options, {
      log: storyLog,
      again: loaded,
      whenReady: () => {
        say(introduction(name, story, port))
        player = new Player(story, backends, port, say, configure)
        const keys = {
          press: async (key: string) => {
            if (isBreakKey(key)) process.kill(process.pid, "SIGINT")
            return undefined
          }
        }
        unlisten = listenToKeys(keys, say)
      }
    })
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, end)
    end()
    unlisten()
    await Promise.all([...backends.values()].map((backend) => backend.stop()))
  }
}
