/** What becomes of an answer whose head is good and whose body does not come, for every engine: nothing of it is handed to the client. */
import type net from "node:net"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import type { Deadlines } from "../../src/proxy/client/Transport.ts"
import type { AnswerTranslator } from "../../src/proxy/Dialect.ts"
import type { Engine } from "../../src/proxy/Engine.ts"
import { ask, Front, failureOf, type RawBackend, rawBackend, withEngine } from "./rig.ts"

const heads = {
  chunked: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
  "of a length": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n",
  "delimited by its end": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
  "of HTTP/1.0": "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
} as const
const bodies: Readonly<Record<keyof typeof heads, string>> = {
  chunked: "5\r\nhello\r\n0\r\n\r\n",
  "of a length": "hello",
  "delimited by its end": "hello",
  "of HTTP/1.0": "hello"
}
const framings = Object.keys(heads) as ReadonlyArray<keyof typeof heads>

/** Says what comes, as it comes. */
const verbatim = (): AnswerTranslator => ({
  head: (head) => head,
  push: (bytes) => ({ bytes }),
  end: () => undefined,
  fail: () => ({ bytes: Buffer.from("broken"), complete: true })
})
const forms = [
  ["relayed", undefined],
  ["translated", verbatim]
] as const

const limits = (some: Partial<Deadlines>): Deadlines => ({
  connect: 2_000,
  tls: 2_000,
  headers: 5_000,
  response: 0,
  firstByte: 0,
  hold: 5_000,
  idle: 5_000,
  keepAlive: 30_000,
  ...some
})

export const firstByteContract = (name: string, make: Effect.Effect<Engine, never, Scope.Scope>): void => {
  describe(`a good head without a body, with ${name}`, () => {
    let front: Front
    let close: () => Promise<void>
    const backends: Array<RawBackend> = []

    beforeAll(async () => {
      const built = await withEngine(make)
      close = built.close
      front = new Front(built.engine)
      await front.start()
    })
    afterEach(async () => {
      for (const backend of backends.splice(0)) await backend.stop()
    })
    afterAll(async () => {
      await front.stop()
      await close()
    })

    /** One request and what it came to. `some`: limits that differ. */
    const serve = async (
      answer: (socket: net.Socket) => void,
      translator: (() => AnswerTranslator) | undefined,
      some: Partial<Deadlines> = {}
    ) => {
      const backend = await rawBackend(answer)
      backends.push(backend)
      front.target = {
        url: `http://127.0.0.1:${backend.port}`,
        timeouts: limits(some),
        needsBody: true,
        translator: translator?.()
      }
      return backend
    }

    for (const [form, translator] of forms)
      describe(form, () => {
        it.each(framings)("is nothing when the connection is reset: %s", async (framing) => {
          await serve((socket) => socket.write(heads[framing], () => setTimeout(() => socket.resetAndDestroy(), 20)), translator)
          const carried = front.carried()
          const answer = await ask(front.port, { method: "POST", body: "{}" })
          const { exit, attempt } = await carried
          expect([failureOf(exit)?.kind, attempt.isCommitted, answer?.status]).toEqual(["truncated", false, 502])
        })

        it.each(framings)("is nothing when the connection ends: %s", async (framing) => {
          await serve((socket) => socket.write(heads[framing], () => setTimeout(() => socket.end(), 20)), translator)
          const carried = front.carried()
          const answer = await ask(front.port, { method: "POST", body: "{}" })
          const { exit, attempt } = await carried
          expect([failureOf(exit)?.kind, attempt.isCommitted, answer?.status]).toEqual(["truncated", false, 502])
        })

        it.each(framings)("is nothing when it stays silent for too long: %s", async (framing) => {
          await serve((socket) => socket.write(heads[framing]), translator, { firstByte: performance.now() + 300, hold: 10_000 })
          const carried = front.carried()
          const answer = await ask(front.port, { method: "POST", body: "{}" })
          const { exit, attempt } = await carried
          expect([failureOf(exit)?.kind, attempt.isCommitted, answer?.status]).toEqual(["first_token_timeout", false, 502])
        })

        it.each(framings)("is sent alone when the body has not come for long enough, and the body follows: %s", async (framing) => {
          await serve(
            (socket) =>
              socket.write(heads[framing], () => {
                headCame.then(() => socket.end(bodies[framing]))
              }),
            translator,
            { hold: 100 }
          )
          let came = (): void => {}
          const headCame = new Promise<void>((resolve) => {
            came = resolve
          })
          const answer = await ask(front.port, { method: "POST", body: "{}", onBytes: () => came() })
          expect([answer?.status, answer?.body.toString(), answer?.complete]).toEqual([200, "hello", true])
        })

        it.each(framings)("waits for its body, and leaves with it: %s", async (framing) => {
          await serve((socket) => socket.write(heads[framing], () => setTimeout(() => socket.end(bodies[framing]), 150)), translator)
          const pieces: Array<string> = []
          const answer = await ask(front.port, {
            method: "POST",
            body: "{}",
            onBytes: (soFar) => pieces.push(soFar.toString("latin1"))
          })
          expect([answer?.status, answer?.body.toString(), answer?.complete]).toEqual([200, "hello", true])
          expect(pieces[0]).toContain("hello")
        })
      })

    it("is a whole answer where it says that it has none", async () => {
      for (const head of [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
      ]) {
        await serve((socket) => socket.write(head), undefined)
        const answer = await ask(front.port, { method: "POST", body: "{}" })
        expect([answer?.status, answer?.body.length, answer?.complete]).toEqual([head.includes("204") ? 204 : 200, 0, true])
      }
    })

    it("is a whole answer where nobody needs a body", async () => {
      await serve((socket) => socket.end(heads["delimited by its end"]), undefined)
      front.target = { ...front.target, needsBody: false }
      const answer = await ask(front.port, { method: "POST", body: "{}" })
      expect([answer?.status, answer?.body.length]).toEqual([200, 0])
    })

    it("lets the backend go when the client leaves", async () => {
      const backend = await serve((socket) => socket.write(heads.chunked), undefined)
      const gone = new Promise((resolve) => backend.events.once("closed", resolve))
      const client = ask(front.port, { method: "POST", body: "{}", onSocket: (socket) => setTimeout(() => socket.destroy(), 100) })
      await gone
      expect(await client).toBeUndefined()
    })
  })
}
