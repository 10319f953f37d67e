/**
 * Whatever becomes of a request for a backend, in whichever phase, on whichever surface and with whichever engine, its observers hear of its end exactly
 * once, and its times are in order. Listener, routes, carrier and engine are the real ones.
 */
import net from "node:net"
import * as Effect from "effect/Effect"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import type { Exchange, Outcome } from "../../../src/exchange/Exchange.ts"
import { ListedFleet } from "../../catalogue/fakes.ts"
import { chunk, type RawBackend, rawBackend, sse } from "../../proxy/rig.ts"
import { type Listening, listen, openRooms, type Rooms } from "../serving.ts"

interface SurfaceCase {
  readonly name: string
  readonly path: string
  readonly kind: string
  readonly body: string
  /** The beginning of a good answer, and its end. */
  readonly begins: string
  readonly ends: string
  /** Nothing is committed before a backend's answer is whole, and a backend's failure is made good by an answer of ours. */
  readonly makesGood: boolean
}

const message = '{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
const surfaces: ReadonlyArray<SurfaceCase> = [
  {
    name: "plain",
    path: "/olla/proxy/v1/chat/completions",
    kind: "vllm",
    body: '{"model":"m","stream":true,"messages":[]}',
    begins: `${sse}${chunk("a")}`,
    ends: `${chunk("b")}0\r\n\r\n`,
    makesGood: false
  },
  {
    name: "translated",
    path: "/olla/anthropic/v1/messages",
    kind: "openai-compatible",
    body: message,
    begins: `${sse}${chunk('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')}`,
    ends: `${chunk('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')}0\r\n\r\n`,
    makesGood: false
  },
  {
    name: "count",
    path: "/olla/anthropic/v1/messages/count_tokens",
    kind: "llamacpp",
    body: message,
    begins: 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{"input_',
    ends: 'tokens":7}',
    makesGood: true
  }
]

type Phase = "upload" | "queued" | "connecting" | "awaiting head" | "relaying" | "finished"
type End = "the client leaves" | "the backend dies" | "a fault of ours" | "a limit passes" | "the daemon stops"

const left = "cancelled 499"
/** By phase and end; of a relayed answer, `made good` is what a surface has that answers itself. Absent: cannot be. */
const table: Readonly<Record<Phase, Partial<Record<End, { readonly usual: string; readonly madeGood?: string }>>>> = {
  upload: {
    "the client leaves": { usual: left },
    "a fault of ours": { usual: "failed 500" },
    "a limit passes": { usual: "rejected 408" },
    "the daemon stops": { usual: left }
  },
  queued: {
    "the client leaves": { usual: left },
    "a fault of ours": { usual: "failed 500" },
    "the daemon stops": { usual: left }
  },
  connecting: {
    "the client leaves": { usual: left },
    "the backend dies": { usual: "failed 502" },
    "a limit passes": { usual: "failed 504" },
    "the daemon stops": { usual: left }
  },
  "awaiting head": {
    "the client leaves": { usual: left },
    "the backend dies": { usual: "failed 502" },
    "a fault of ours": { usual: "failed 500" },
    "a limit passes": { usual: "failed 504" },
    "the daemon stops": { usual: left }
  },
  relaying: {
    "the client leaves": { usual: "cancelled 200 committed", madeGood: "cancelled 200" },
    "the backend dies": { usual: "failed 200 committed", madeGood: "failed 502" },
    "a fault of ours": { usual: "failed 200 committed", madeGood: "failed 500" },
    "a limit passes": { usual: "failed 200 committed", madeGood: "failed 504" },
    "the daemon stops": { usual: "cancelled 200 committed", madeGood: "cancelled 200" }
  },
  finished: {
    "the client leaves": { usual: "completed 200" },
    "the backend dies": { usual: "completed 200" },
    "the daemon stops": { usual: "completed 200" }
  }
}

const said = (outcome: Outcome | undefined): string =>
  outcome === undefined ? "none" : `${outcome._tag} ${outcome.status}${"committed" in outcome && outcome.committed ? " committed" : ""}`

const soon = () => new Promise((resolve) => setImmediate(resolve))

/** Before an attempt begins an engine has no part in an exchange: those phases are looked at with one of them. */
const beforeEngines: ReadonlySet<Phase> = new Set(["upload", "queued"])
const runs = (["olla", "sherpa"] as const).flatMap((engine) => surfaces.map((surface) => ({ engine, surface, name: surface.name })))

describe.each(runs)("on the $name surface, with the $engine engine", ({ engine, surface }) => {
  let backend: RawBackend
  let rooms: Rooms
  let listening: Listening | undefined
  let say: (socket: net.Socket) => void = () => {}
  let breakDecision = () => {}

  const fleet = new ListedFleet()
  beforeAll(async () => {
    backend = await rawBackend((socket) => say(socket))
    fleet.with("plain", surface.kind, ["m"], { url: `http://127.0.0.1:${backend.port}` })
    fleet.with("secure", surface.kind, ["m"], { url: `https://127.0.0.1:${backend.port}` })
    rooms = await openRooms(
      fleet,
      engine,
      "proxy: { response_header_timeout: 300ms, tls_handshake_timeout: 300ms, read_timeout: 300ms }\nserver: { read_timeout: 300ms }\n"
    )
  })
  afterEach(async () => {
    await listening?.stop(0)
    listening = undefined
    for (const socket of backend.sockets.splice(0)) socket.destroy()
    rooms.reset()
    say = () => {}
  })
  afterAll(async () => {
    await backend.stop()
    await rooms.close()
  })

  /** Its one end, and nothing after it for as long as another request takes; its times in order. */
  const endOf = async (): Promise<Exchange> => {
    while (rooms.ended.length === 0) await soon()
    for (let i = 0; i < 5; i++) await soon()
    expect(rooms.ended.length).toBe(1)
    const [exchange] = rooms.ended as [Exchange]
    const { accepted, received, routed, settled, ended: gone } = exchange.timings
    const attempts = exchange.attempts.flatMap(({ timings: { leased, started, connected, sent, headers, firstByte, lastByte } }) => [
      leased,
      ...(connected === leased ? [connected, started] : [started, connected]),
      sent,
      headers,
      firstByte,
      lastByte
    ])
    const reached = [accepted, received, routed, ...attempts, settled].filter((time) => time > 0)
    expect(reached).toEqual([...reached].sort((a, b) => a - b))
    expect(gone).toBeGreaterThan(accepted)
    expect(fleet.endpoints.map(({ inFlight }) => inFlight)).toEqual([0, 0])
    return exchange
  }

  /** Brings a request into its phase; resolves with its client and, where there is one, its backend's socket. */
  const reach = async (
    phase: Phase
  ): Promise<{ readonly client: net.Socket; readonly upstream: net.Socket | undefined; readonly answer: () => string }> => {
    const { hooks } = rooms
    const reached = Promise.withResolvers<net.Socket | undefined>()
    for (const endpoint of fleet.endpoints)
      endpoint.become((endpoint.name === "secure") === (phase === "connecting") ? "healthy" : "offline")
    listening = await listen(rooms)
    const client = net.connect(listening.port, "127.0.0.1")
    let text = ""
    client.on("data", (bytes: Buffer) => {
      text += bytes.toString("latin1")
      if (phase === "relaying" && !surface.makesGood) reached.resolve(backend.sockets.at(-1))
      if (phase === "finished" && text.includes(surface.makesGood ? "tokens" : "\r\n0\r\n\r\n")) reached.resolve(backend.sockets.at(-1))
    })
    client.on("error", () => {})
    const whole = phase !== "upload"
    if (phase === "upload") hooks.admitted = () => setImmediate(() => reached.resolve(undefined))
    if (phase === "queued")
      hooks.decide = () =>
        Effect.callback((resume) => {
          breakDecision = () => resume(Effect.die(new Error("a fault of ours")))
          reached.resolve(undefined)
        })
    if (phase === "connecting") {
      const connections = backend.sockets.length
      const wait = async () => {
        while (backend.sockets.length === connections) await soon()
        reached.resolve(backend.sockets.at(-1))
      }
      void wait()
    }
    say = (socket) => {
      if (phase === "awaiting head") reached.resolve(socket)
      if (phase === "relaying" || phase === "finished") socket.write(surface.begins)
      if (phase === "relaying" && surface.makesGood) setTimeout(() => reached.resolve(socket), 20)
      if (phase === "finished") socket.write(surface.ends)
    }
    const length = Buffer.byteLength(surface.body)
    client.write(
      `POST ${surface.path} HTTP/1.1\r\nHost: front\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${whole ? surface.body : surface.body.slice(0, 9)}`
    )
    return { client, upstream: await reached.promise, answer: () => text }
  }

  const phases = (Object.keys(table) as ReadonlyArray<Phase>).filter((phase) => engine === "olla" || !beforeEngines.has(phase))
  const cases = phases.flatMap((phase) => (Object.keys(table[phase]) as ReadonlyArray<End>).map((end) => [phase, end] as const))

  it.each(cases)("%s: when %s, it has one end", async (phase, end) => {
    const expected = table[phase][end]
    const { hooks } = rooms
    // A fault is laid where the phase ends.
    let armed = false
    if (end === "a fault of ours") {
      hooks.dispatched = ({ kept }) =>
        Object.defineProperty(kept, "head", {
          get: () => {
            if (armed) throw new Error("a fault of ours")
            return undefined
          },
          set: () => {
            if (armed) throw new Error("a fault of ours")
          }
        })
    }
    const { client, upstream, answer } = await reach(phase)
    switch (end) {
      case "the client leaves":
        client.destroy()
        break
      case "the backend dies":
        upstream?.destroy()
        break
      case "a fault of ours":
        armed = true
        if (phase === "queued") breakDecision()
        else if (phase === "upload") {
          hooks.decide = () => {
            throw new Error("a fault of ours")
          }
          client.write(surface.body.slice(9))
        } else upstream?.write(phase === "relaying" ? surface.ends : surface.begins)
        break
      case "a limit passes":
        break
      case "the daemon stops":
        await listening?.stop(0)
        break
    }
    const { outcome } = await endOf()
    expect(said(outcome)).toBe(surface.makesGood ? (expected?.madeGood ?? expected?.usual) : expected?.usual)
    if (surface.makesGood && outcome?._tag === "failed" && (end === "the backend dies" || end === "a limit passes")) {
      while (!answer().includes("tokens")) await soon()
      expect(answer()).toMatch(/^HTTP\/1.1 200 /)
    }
    client.destroy()
  })
})
