/** Every way for an answer to break off, in every framing, plain and within TLS: the client must see it. Each engine's own test file runs this suite. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import net from "node:net"
import { join } from "node:path"
import tls from "node:tls"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { AnswerTranslator } from "../../src/proxy/Dialect.ts"
import type { Engine } from "../../src/proxy/Engine.ts"
import type { FakeFields } from "../balancing/fakes.ts"
import { ask, Front, failureOf, withEngine } from "./rig.ts"

const pem = (file: string) => readFileSync(join(import.meta.dirname, "..", "endpoint", "tls", file), "utf8")
const trusting: FakeFields["tls"] = {
  ca: pem("ca.pem"),
  cert: undefined,
  key: undefined,
  serverName: "backend.test",
  rejectUnauthorized: true
}

const data = "data: partial\n\n"
const frame = `${data.length.toString(16)}\r\n${data}\r\n`
/** What comes before the break. */
const framings = {
  "a length": `HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${data}`,
  "whole chunks": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${frame}`,
  "half a chunk": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n${data}`,
  "the end of the connection": `HTTP/1.1 200 OK\r\n\r\n${data}`,
  "the end of the connection (HTTP/1.0)": `HTTP/1.0 200 OK\r\n\r\n${data}`
} as const
type Framing = keyof typeof framings

/** What the backend does then. `end` is the good end of what nothing but the connection delimits. */
type Break = "end" | "reset" | "end without TLS's own"
const breaks = (secure: boolean): ReadonlyArray<Break> => (secure ? ["end", "reset", "end without TLS's own"] : ["end", "reset"])

const kinds = ["flows", "is gathered", "is translated"] as const
const versions = ["1.1", "1.0"] as const

const parrot: AnswerTranslator = {
  head: ({ status }) => ({ status, headers: [] }),
  push: (bytes) => ({ bytes: Buffer.from(bytes) }),
  end: () => undefined,
  fail: () => undefined
}

const isByConnection = (framing: Framing): boolean => framing.startsWith("the end")

const cases = [false, true].flatMap((secure) =>
  breaks(secure).flatMap((how) =>
    (Object.keys(framings) as ReadonlyArray<Framing>).flatMap((framing) =>
      kinds.flatMap((kind) => versions.map((version) => ({ secure, how, framing, kind, version })))
    )
  )
)

export const brokenAnswers = (name: string, make: Effect.Effect<Engine, never, Scope.Scope>): void => {
  describe(`${name}: an answer that breaks off`, () => {
    let front: Front
    let close: () => Promise<void>
    let plain: net.Server
    let secured: net.Server
    const raws: Array<net.Socket> = []
    let now: (typeof cases)[number]
    let seen = () => {}

    /** `socket`: what is spoken on; `raw`: the connection beneath. */
    const answer = (socket: net.Socket, raw: net.Socket) => {
      socket.on("error", () => {})
      socket.once("data", async () => {
        const arrived = new Promise<void>((resolve) => {
          seen = resolve
        })
        socket.write(framings[now.framing])
        // A reset would overtake what has not been read.
        if (now.kind !== "is gathered") await arrived
        else await new Promise((resolve) => setTimeout(resolve, 20))
        if (now.how === "end") socket.end()
        else if (now.how === "reset") raw.resetAndDestroy()
        else raw.destroy()
      })
    }

    beforeAll(async () => {
      const built = await withEngine(make)
      close = built.close
      front = new Front(built.engine)
      await front.start()
      plain = net.createServer((socket) => answer(socket, socket)).listen(0, "127.0.0.1")
      secured = net
        .createServer((raw) => {
          raws.push(raw)
          raw.on("error", () => {})
          const socket = new tls.TLSSocket(raw, { isServer: true, cert: pem("server.pem"), key: pem("server.key") })
          answer(socket, raw)
        })
        .listen(0, "127.0.0.1")
      await Promise.all([once(plain, "listening"), once(secured, "listening")])
    })
    afterAll(async () => {
      await front.stop()
      await close()
      for (const raw of raws) raw.destroy()
      plain.close()
      secured.close()
    })

    it.each(cases)("is seen: TLS $secure, $how, in $framing, where it $kind, by an HTTP/$version client", async (given) => {
      now = given
      const { secure, how, framing, kind, version } = given
      const { port } = (secure ? secured : plain).address() as net.AddressInfo
      front.target = {
        url: `${secure ? "https" : "http"}://127.0.0.1:${port}`,
        tls: secure ? trusting : undefined,
        flushes: () => kind === "flows",
        translator: kind === "is translated" ? parrot : undefined
      }
      const ended = front.carried()
      const got = await ask(front.port, { version, onBytes: (soFar) => soFar.includes("partial") && seen() })
      const { exit } = await ended
      if (how === "end" && isByConnection(framing)) {
        expect([got?.body.toString(), Exit.isSuccess(exit), got?.reset]).toEqual([data, true, false])
        expect(version === "1.0" || got?.complete).toBe(true)
        return
      }
      expect(failureOf(exit)?.kind).toBe("truncated")
      // Nothing had been sent where everything was being gathered: that is an error of its own.
      const cut = got?.status === 502 || (version === "1.0" ? got?.reset : got?.complete === false)
      expect(cut).toBe(true)
    })
  })
}
