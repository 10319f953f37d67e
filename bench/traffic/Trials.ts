/**
 * Three hosts, one of which turns bad, fifty clients: how many of them notice, and how much is still sent there. The built daemon and real
 * processes; times are real.
 */
import type { BackendOptions, Fault } from "../../src/simulator/Backend.ts"
import { startOlla } from "../processes.ts"
import { startClients } from "./Clients.ts"
import { percentile } from "./Figures.ts"
import { LiveHost } from "./Hosts.ts"

interface Badness {
  readonly fault?: Fault
  /** Of the process. */
  readonly signal?: "SIGKILL" | "SIGSTOP"
}

export const badnesses: Readonly<Record<string, Badness>> = {
  "503 in 5 ms": { fault: { _tag: "status", status: 503, delay: 5 } },
  "200, then a reset": { fault: { _tag: "headOnly" } },
  "accepts and hangs": { signal: "SIGSTOP" },
  "429, Retry-After: 2": { fault: { _tag: "status", status: 429, headers: { "retry-after": "2" } } },
  "kill -9": { signal: "SIGKILL" },
  "slow trickle": { fault: { _tag: "trickle", every: 250 } }
}

export interface TrialFigures {
  readonly requests: number
  readonly failed: number
  /** Of the attempts after the first five seconds, those on the bad host. */
  readonly shareAfter5s: number
  readonly p50: number
  readonly p95: number
  readonly longest: number
  /** Milliseconds from the end of the fault to its first answer; undefined: none came within the time. */
  readonly backAfter: number | undefined
  /** The failures' own words, the first of each kind. */
  readonly words: ReadonlyArray<string>
}

export const hostOptions: BackendOptions = {
  kind: "vllm",
  models: ["test-model"],
  quiet: true,
  tokens: 16,
  machine: { promptTokensPerSecond: 20_000, tokensPerSecond: 200, slots: 64, cacheTokens: 100_000 }
}

export const bodyOf = (stream: boolean): string =>
  JSON.stringify({ model: "test-model", stream, messages: [{ role: "user", content: `Say it. ${"lorem ipsum ".repeat(60)}` }] })

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** `yaml`: what Olla is configured with besides its endpoints; `seconds`: for which the fault lasts, above 5. */
export const trial = async (badness: Badness, yaml: string, seconds: number, backWithin: number): Promise<TrialFigures> => {
  const hosts = await Promise.all([0, 1, 2].map(() => LiveHost.start(hostOptions)))
  const olla = await startOlla(
    hosts.map(({ port }) => port),
    { name: "olla", yaml }
  )
  const bad = hosts[2] as LiveHost
  const load = { port: olla.port, path: olla.path, clients: 50, body: bodyOf, patience: 120_000 }
  const clients = startClients(load)
  const asked = async () =>
    Promise.all(hosts.map(async (host) => (host === bad && badness.signal ? 0 : ((await host.counts())?.asked ?? 0))))
  try {
    await pause(3_000)
    const began = performance.now()
    if (badness.fault !== undefined) bad.fault(badness.fault)
    if (badness.signal !== undefined) bad.signal(badness.signal)
    await pause(5_000)
    const before = await asked()
    const settled = performance.now()
    await pause((seconds - 5) * 1_000)
    const after = await asked()
    const ended = performance.now()
    if (badness.fault !== undefined) bad.fault(undefined)
    if (badness.signal === "SIGSTOP") bad.signal("SIGCONT")
    if (badness.signal === "SIGKILL") await bad.revive()
    let backAfter: number | undefined
    while (backAfter === undefined && performance.now() - ended < backWithin) {
      await pause(50)
      const back = clients.seen.find(({ at, endpoint, good }) => at > ended && endpoint === "b2" && good)
      if (back !== undefined) backAfter = back.at + back.took - ended
    }
    await clients.stop()
    const during = clients.seen.filter(({ at }) => at >= began && at < ended)
    const [good0 = 0, good1 = 0, onBad = 0] = after.map((count, index) => count - (before[index] ?? 0))
    // A stopped process cannot count: what was tried again was tried there first.
    const again = during.filter(({ at }) => at >= settled).reduce((sum, { attempts }) => sum + attempts - 1, 0)
    const attemptsOnBad = badness.signal === undefined ? onBad : again
    const failures = during.filter(({ good }) => !good)
    const took = during.map((each) => each.took)
    return {
      requests: during.length,
      failed: failures.length,
      shareAfter5s: attemptsOnBad / Math.max(1, good0 + good1 + attemptsOnBad),
      p50: percentile(took, 0.5),
      p95: percentile(took, 0.95),
      longest: Math.max(0, ...took),
      backAfter,
      words: [...new Set(failures.map(({ status, text }) => `${status} ${text.trim().slice(0, 120)}`))].slice(0, 3)
    }
  } finally {
    await clients.stop()
    await olla.stop()
    await Promise.all(hosts.map((host) => host.stop()))
  }
}
