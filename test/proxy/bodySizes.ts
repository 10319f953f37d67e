/** Every size of an answer reaches the client whole, however it is framed, relayed and read. Each engine's own test file runs this suite. */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { AnswerTranslator } from "../../src/proxy/Dialect.ts"
import type { Engine } from "../../src/proxy/Engine.ts"
import { ask, Front, type RawBackend, rawBackend, withEngine } from "./rig.ts"

const largest = 4 * 1024 * 1024
const bytes = randomBytes(largest)

/** Where buffers of Node, undici and ours end. */
const borders = [8, 16, 32, 64, 128].map((kib) => kib * 1024)
const sizes = [0, 1, 2047, 2048, 4096, ...borders.flatMap((border) => [border - 1, border, border + 1]), 100_000, 1_000_000, largest]

const framings = ["length", "chunks", "close", "HTTP/1.0"] as const
const kinds = ["flowing", "gathered", "translated"] as const
interface Shape {
  readonly size: number
  readonly framing: (typeof framings)[number]
  readonly kind: (typeof kinds)[number]
  /** Bytes in one write of the backend. */
  readonly piece: number
  readonly slow: boolean
  readonly version: "1.0" | "1.1"
}

const shape: fc.Arbitrary<Shape> = fc.record({
  size: fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...borders), fc.integer({ min: -40, max: 40 })).map(([border, off]) => border + off) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 200_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 200_000, max: 1_500_000 }) }
  ),
  framing: fc.constantFrom(...framings),
  kind: fc.constantFrom(...kinds),
  piece: fc.constantFrom(1_000, 16_384, 65_536, largest),
  slow: fc.boolean(),
  version: fc.constantFrom("1.0", "1.1")
})

const headOf = ({ framing, size }: Shape): string => {
  if (framing === "HTTP/1.0") return "HTTP/1.0 200 OK\r\n\r\n"
  const framed = { length: `Content-Length: ${size}\r\n`, chunks: "Transfer-Encoding: chunked\r\n", close: "" }[framing]
  return `HTTP/1.1 200 OK\r\n${framed}\r\n`
}

const answer = (socket: Socket, of: Shape): void => {
  const { size, framing, piece } = of
  socket.cork()
  socket.write(headOf(of))
  for (let at = 0; at < size; at += piece) {
    const part = bytes.subarray(at, Math.min(size, at + piece))
    if (framing === "chunks") socket.write(`${part.length.toString(16)}\r\n`)
    socket.write(part)
    if (framing === "chunks") socket.write("\r\n")
  }
  if (framing === "chunks") socket.write("0\r\n\r\n")
  if (framing === "close" || framing === "HTTP/1.0") socket.end()
  socket.uncork()
}

/** Says what it hears. */
const parrot: AnswerTranslator = {
  head: ({ status }) => ({ status, headers: [] }),
  push: (part) => ({ bytes: part }),
  end: () => undefined,
  fail: () => undefined
}

export const bodySizes = (name: string, make: Effect.Effect<Engine, never, Scope.Scope>): void => {
  describe(name, () => {
    let front: Front
    let backend: RawBackend
    let close: () => Promise<void>
    let now: Shape

    beforeAll(async () => {
      const built = await withEngine(make)
      close = built.close
      front = new Front(built.engine)
      await front.start()
      backend = await rawBackend((socket) => answer(socket, now))
    })
    afterAll(async () => {
      await front.stop()
      await close()
      await backend.stop()
    })

    const carries = async (of: Shape): Promise<void> => {
      now = of
      front.target = {
        url: `http://127.0.0.1:${backend.port}`,
        flushes: () => of.kind === "flowing",
        translator: of.kind === "translated" ? parrot : undefined
      }
      const got = await ask(front.port, { version: of.version, slow: of.slow })
      const whole = of.version === "1.0" || got?.complete === true
      expect([of, got?.status, whole, got?.body.length, got?.body.equals(bytes.subarray(0, of.size))]).toEqual([
        of,
        200,
        true,
        of.size,
        true
      ])
    }

    for (const framing of framings)
      it(`carries every size around the borders of buffers, ${framing}`, async () => {
        for (const size of sizes)
          for (const kind of kinds)
            await carries({ size, framing, kind, piece: largest, slow: size > 60_000 && size < 200_000, version: "1.1" })
      })

    it("carries any size in any pieces, in every framing, to quick and slow clients of both versions", async () => {
      await fc.assert(fc.asyncProperty(shape, carries), { numRuns: 150 })
    })
  })
}
