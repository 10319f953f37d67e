/** The clients of a story: each asks, reads to the end, pauses, and asks again, for ever. What came of it is kept until somebody takes it. */
import { Agent, request } from "node:http"
import type { StoryClients } from "./simulator/Stories.ts"

/** Of one group of clients since it was last taken. */
export interface Tally {
  good: number
  /** Answers that were none, by status; 0: it broke off. */
  readonly bad: Map<number, number>
  /** Milliseconds to the first token, and those of it that it waited in Olla. */
  readonly firstToken: Array<number>
  readonly queued: Array<number>
  readonly byEndpoint: Map<string, number>
  readonly byPick: Map<string, number>
  /** Answers that took more than one attempt. */
  again: number
}

export const newTally = (): Tally => ({
  good: 0,
  bad: new Map(),
  firstToken: [],
  queued: [],
  byEndpoint: new Map(),
  byPick: new Map(),
  again: 0
})

const count = <K>(counts: Map<K, number>, key: K): void => void counts.set(key, (counts.get(key) ?? 0) + 1)

/** Milliseconds after a refusal: nobody asks a thousand times a second. */
const afterRefusal = 500

export class StoryLoad {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })
  readonly #tallies = new Map<string, Tally>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #on = true

  constructor(port: number, groups: ReadonlyArray<StoryClients>) {
    this.#port = port
    for (const [index, group] of groups.entries()) {
      this.#tallies.set(group.name, newTally())
      for (let client = 0; client < group.count; client++) this.#ask(group, `10.0.${index}.1`, client, 0)
    }
  }

  /** What there was since the last call. */
  take(name: string): Tally {
    const tally = this.#tallies.get(name) ?? newTally()
    this.#tallies.set(name, newTally())
    return tally
  }

  stop(): void {
    this.#on = false
    for (const timer of this.#timers) clearTimeout(timer)
    this.#agent.destroy()
  }

  /** `address`: where the clients of the group seem to come from: shares are fair between addresses. */
  #ask(group: StoryClients, address: string, client: number, turn: number): void {
    if (!this.#on) return
    const began = performance.now()
    const body = JSON.stringify(group.ask(client, turn))
    let status = 0
    let isWhole = false
    const asked = request(
      {
        agent: this.#agent,
        host: "127.0.0.1",
        port: this.#port,
        path: "/v1/chat/completions",
        method: "POST",
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body), "x-forwarded-for": address }
      },
      (answer) => {
        status = answer.statusCode ?? 0
        const tally = this.#tallies.get(group.name) ?? newTally()
        const { headers } = answer
        if (status === 200) {
          count(tally.byEndpoint, String(headers["x-olla-endpoint"] ?? "?"))
          if (headers["x-olla-pick"] !== undefined) count(tally.byPick, String(headers["x-olla-pick"]))
        }
        if (Number(headers["x-olla-attempts"] ?? 1) > 1) tally.again++
        tally.queued.push(Number.parseInt(String(headers["x-olla-queue-time"] ?? "0"), 10))
        answer.once("data", () => {
          if (status === 200) tally.firstToken.push(performance.now() - began)
        })
        answer.on("data", () => {})
        answer.on("end", () => {
          isWhole = answer.complete && status === 200
        })
        answer.on("error", () => {})
      }
    )
    asked.on("error", () => {})
    asked.on("close", () => {
      if (!this.#on) return
      const tally = this.#tallies.get(group.name)
      if (tally !== undefined && isWhole) tally.good++
      else if (tally !== undefined) count(tally.bad, status === 200 ? 0 : status)
      const timer = setTimeout(
        () => {
          this.#timers.delete(timer)
          this.#ask(group, address, client, turn + 1)
        },
        group.pause * (0.5 + Math.random()) + (isWhole ? 0 : afterRefusal)
      )
      this.#timers.add(timer)
    })
    asked.end(body)
  }
}
