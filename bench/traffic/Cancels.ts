/**
 * Clients that leave: while they send, while they wait in the queue, for a head or for a token, and while the answer comes. When all are gone
 * every counter is to be back at zero.
 */
import { connect } from "node:net"
import { startOlla, type Target } from "../processes.ts"
import { LiveHost } from "./Hosts.ts"
import type { Random } from "./Random.ts"
import { bodyOf, hostOptions } from "./Trials.ts"

export interface CancelFigures {
  readonly cancels: number
  /** What is not at zero, and how much it is. */
  readonly left: ReadonlyArray<string>
  readonly millis: number
}

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** `yaml`: the proxy's and traffic's keys; the endpoints have two slots each, so that most wait. */
export const cancels = async (random: Random, count: number, yaml: string, parallel = 100): Promise<CancelFigures> => {
  const began = performance.now()
  const hosts = await Promise.all([0, 1, 2].map(() => LiveHost.start({ ...hostOptions, tokens: 40 })))
  // One of them refuses, so that some leave between two attempts.
  hosts[2]?.fault({ _tag: "status", status: 503, delay: 20 })
  const olla = await startOlla(
    hosts.map(({ port }) => port),
    { name: "olla", yaml, endpoint: "check_interval: 5s, max_concurrent: 8" }
  )
  try {
    let left = count
    const client = async () => {
      while (left-- > 0) await leave(olla, random)
    }
    await Promise.all(Array.from({ length: parallel }, client))
    // Backends hear of it at once; the machine may be busy.
    let found: ReadonlyArray<string> = []
    for (let tries = 0; tries < 20; tries++) {
      found = [...(await ofOlla(olla)), ...(await ofHosts(hosts))]
      if (found.length === 0) break
      await pause(100)
    }
    return { cancels: count, left: found, millis: performance.now() - began }
  } finally {
    await olla.stop()
    await Promise.all(hosts.map((host) => host.stop()))
  }
}

/** Sends a request, or a part of it, and goes away after a while. */
const leave = (olla: Target, random: Random): Promise<void> =>
  new Promise((resolve) => {
    const body = bodyOf(random.next() < 0.6)
    const whole = `POST ${olla.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const sent = random.next() < 0.15 ? whole.slice(0, random.below(whole.length)) : whole
    const socket = connect({ port: olla.port, host: "127.0.0.1" }, () => {
      socket.write(sent)
      // Mostly in the first moments, where the phases are short.
      setTimeout(
        () => {
          if (random.next() < 0.5) socket.resetAndDestroy()
          else socket.destroy()
        },
        random.next() < 0.7 ? random.between(0, 60) : random.between(0, 500)
      )
    })
    socket.resume()
    socket.on("error", () => {})
    socket.on("close", () => resolve())
  })

const json = async (olla: Target, path: string): Promise<Record<string, unknown>> =>
  (await fetch(`http://127.0.0.1:${olla.port}${path}`)).json() as Promise<Record<string, unknown>>

interface TrafficDocument {
  readonly queue?: { readonly waiting: number }
  readonly lanes?: ReadonlyArray<{
    readonly endpoint: string
    readonly model: string
    readonly in_flight: number
    readonly outstanding_tokens: number
  }>
}

/** Counters of Olla that are not at zero. */
export const ofOlla = async (olla: Target): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  const say = (what: string, value: number | undefined) => {
    if (value !== undefined && value !== 0) found.push(`${what}: ${value}`)
  }
  const { system } = (await json(olla, "/internal/status")) as { readonly system: { readonly active_connections: number } }
  say("attempts under way", system.active_connections)
  const answer = await fetch(`http://127.0.0.1:${olla.port}/internal/status/traffic`)
  if (answer.ok) {
    const { queue, lanes = [] } = (await answer.json()) as TrafficDocument
    say("waiting", queue?.waiting)
    for (const { endpoint, model, in_flight, outstanding_tokens } of lanes) {
      say(`in flight at ${endpoint} ${model}`, in_flight)
      say(`tokens outstanding at ${endpoint} ${model}`, outstanding_tokens)
    }
  }
  const metrics = await (await fetch(`http://127.0.0.1:${olla.port}/internal/metrics`)).text()
  for (const [, name = "", value] of metrics.matchAll(
    /^(olla_(?:lane_in_flight|queue_waiting|endpoint_active_\w+|active_\w+|in_flight\w*)(?:\{[^}]*\})?) (\S+)$/gm
  ))
    say(name, Number(value))
  return found
}

const ofHosts = async (hosts: ReadonlyArray<LiveHost>): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  for (const [index, host] of hosts.entries()) {
    const counts = await host.counts()
    if (counts !== undefined && counts.active + counts.working > 0)
      found.push(`host ${index}: ${counts.active} answers, ${counts.working} at work`)
  }
  return found
}
