/**
 * undici behind the transport's face: for TLS, which the own client leaves to it, as a switch (`OLLA_ENGINE_CLIENT=undici`), and for the
 * `sherpa` engine. Deadlines are looked at by a sweep, as for the own client.
 */
import type { Dispatcher } from "undici"
import { endedUnanswered, type Failure, failure } from "../../exchange/Failure.ts"
import { pairsOf } from "../HeaderLines.ts"
import { hasUnknownCoding } from "../HeaderRules.ts"
import { unsentOf } from "../NodeInternals.ts"
import { idleFor, maxIdle } from "./ConnectionPool.ts"
import { DialError } from "./Dialing.ts"
import type { ResponseHead } from "./ResponseHead.ts"
import { Sweeper, type Watched } from "./Sweeper.ts"
import { afterNextReads, isSafe, type Outgoing, type Relay, type Sent, type Transport, whenTaken } from "./Transport.ts"
import { undiciFailure } from "./UndiciFailure.ts"
import { type KeptLimits, type UndiciLink, UndiciLinks } from "./UndiciLinks.ts"

const asTheOwnClient: KeptLimits = { each: maxIdle, all: Number.POSITIVE_INFINITY, time: idleFor }

export const undiciTransport = (kept: KeptLimits = asTheOwnClient): Transport => {
  const under = new UnderWay(kept)
  return {
    send: (outgoing, fresh, relay) => under.send(outgoing, fresh, relay),
    retire: (origin) => under.links.retire(origin),
    close: () => under.links.close()
  }
}

/** The requests that are under way, and the connections for them. */
class UnderWay implements Watched {
  readonly links: UndiciLinks
  readonly flights = new Set<Flight>()
  readonly #sweeper = new Sweeper(() => {})

  constructor(kept: KeptLimits) {
    this.links = new UndiciLinks(kept)
  }

  send(outgoing: Outgoing, fresh: boolean, relay: Relay): Sent {
    const link = this.links.take(outgoing.origin, outgoing.deadlines, fresh)
    const flight = new Flight(this, link, outgoing, relay)
    this.flights.add(flight)
    this.#sweeper.watch(this)
    flight.start()
    return flight
  }

  /** The coarse clock of reads: a call of `performance.now()` per token would cost more than it tells. */
  get now(): number {
    return this.#sweeper.now
  }

  sweep(now: number): boolean {
    for (const flight of this.flights) flight.sweep(now)
    return this.flights.size > 0
  }
}

/** One request on its way. */
class Flight implements Sent, Dispatcher.DispatchHandler {
  readonly #under: UnderWay
  #link: UndiciLink
  readonly #outgoing: Outgoing
  readonly #relay: Relay
  #reused: boolean
  #controller: Dispatcher.DispatchController | undefined
  #over = false
  #sent = false
  /** undici has written all of the request. */
  #written = false
  #answered = false
  #frames = false
  /** The end of the connection is the end of the answer. */
  #untilClose = false
  #paused = false
  #unsent = 0
  #late = false
  /** The relay has been told that the head waited long enough. */
  #heldOut = false
  /** Begin of the wait that is going on. */
  #since = 0
  payload = 0

  constructor(under: UnderWay, link: UndiciLink, outgoing: Outgoing, relay: Relay) {
    this.#under = under
    this.#link = link
    this.#outgoing = outgoing
    this.#relay = relay
    this.#reused = link.used
  }

  start(): void {
    if (this.#reused && !isSafe(this.#outgoing.method)) afterNextReads(() => this.#dispatch())
    else this.#dispatch()
  }

  #dispatch(): void {
    if (this.#over) return
    if (this.#reused && !this.#link.stands) {
      this.#under.links.drop(this.#link)
      this.#link = this.#under.links.take(this.#outgoing.origin, this.#outgoing.deadlines, true)
      this.#reused = false
    }
    const { method, path, headers, body } = this.#outgoing
    if (this.#reused) this.#relay.onReuse()
    this.#link.onConnect = () => this.#relay.onConnect()
    this.#link.watch?.expect()
    // undici validates requests itself: one that it refuses is a failure of this exchange only.
    try {
      this.#link.client.dispatch(
        {
          method: method as Dispatcher.HttpMethod,
          path,
          headers: pairsOf(headers),
          // Several chunks go out as they are: putting a long prompt together costs more than its writes. undici takes any
          // iterable, which its types do not tell.
          body: body.length === 0 ? null : body.length === 1 ? (body[0] as Buffer) : (body as never)
        },
        this
      )
    } catch (error) {
      this.#fail(failure("internal", String(error)), false)
    }
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#since = performance.now()
    this.#controller?.resume()
  }

  abort(): void {
    if (this.#end()) this.#under.links.drop(this.#link)
  }

  /** As the own client's: a limit must have passed at two looks. The connector has its own limits. */
  sweep(now: number): void {
    if (this.#paused || this.#over) return
    const { headers, response, firstByte, hold, idle } = this.#outgoing.deadlines
    const { socket } = this.#link
    const unsent = this.#answered || socket === undefined ? 0 : unsentOf(socket)
    if (unsent !== this.#unsent) {
      this.#unsent = unsent
      this.#since = now
    }
    const limit = this.#answered ? idle : this.#sent ? headers : 0
    const expired = limit > 0 && now - this.#since >= limit
    const tooLong = !this.#answered && response > 0 && now >= response
    const isMute = this.#sent && this.payload === 0 && firstByte > 0 && now >= firstByte
    if (this.#answered && this.payload === 0 && hold > 0 && !this.#heldOut && now - this.#since >= hold) {
      this.#heldOut = true
      this.#relay.onHeld()
      if (this.#over) return
    }
    const isLate = expired || tooLong || isMute
    if (!isLate || !this.#late) {
      this.#late = isLate
      return
    }
    if (isMute) this.#fail(failure("first_token_timeout", "no first byte of an answer in time"), false)
    else if (tooLong) this.#fail(failure("response_timeout", "no response headers in time"), false)
    else if (this.#answered) this.#fail(failure("idle_timeout", "the backend fell silent", idle), false)
    else this.#fail(failure("header_timeout", "no response headers in time", headers), false)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
  }

  onRequestSent(): void {
    this.#sent = true
    this.#written = true
    this.#since = performance.now()
    const { socket } = this.#link
    if (socket !== undefined) whenTaken(socket, this)
  }

  onSent(): void {
    if (!this.#over) this.#relay.onSent()
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#over) return
    this.#answered = true
    this.#sent = true
    this.#since = performance.now()
    this.#link.watch?.headIn()
    this.#relay.onSent()
    try {
      const head = headOf(controller, status, this.#outgoing.method)
      if (hasUnknownCoding(head.raw) || isCodedTwice(head.raw)) {
        this.#fail(failure("malformed", "the response has an unknown transfer coding, or two"), false)
        return
      }
      this.#untilClose = !head.chunked && head.length < 0
      this.#frames = this.#relay.onHead(head, this.#taken)
      // undici does not say whether more came with the head; if so, it tells before this.
      queueMicrotask(() => {
        if (!this.#over && this.payload === 0) this.#relay.onWait()
      })
    } catch (error) {
      this.#fault(error)
    }
  }

  get #taken(): boolean {
    return this.#written && this.#link.socket?.writableLength === 0
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // undici goes on after a pause with a piece that may be empty, and a frame around nothing is the last one.
    if (this.#over || chunk.length === 0) return
    this.#since = this.#under.now
    this.payload += chunk.length
    try {
      const on = this.#frames
        ? this.#relay.onBytes(framed(chunk), false, this.#relay.wantsPayload ? [chunk] : undefined)
        : this.#relay.onBytes(chunk, false, undefined)
      if (on || this.#over) return
      this.#paused = true
      controller.pause()
    } catch (error) {
      this.#fault(error)
    }
  }

  onResponseEnd(): void {
    if (this.#untilClose && this.#link.watch?.endedWell !== true) {
      this.#fail(failure("truncated", "the connection broke off in an answer that its end delimits"), false)
      return
    }
    if (!this.#end()) return
    this.#under.links.park(this.#link)
    try {
      this.#relay.onEnd(this.payload, this.#taken)
    } catch (error) {
      this.#relay.onFail(failure("internal", String(error)), false, this.payload)
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return
    const why = undiciFailure(error, this.#answered)
    const found = endedUnanswered(why.kind) && this.#reused && this.#link.watch?.heard !== true && !(error instanceof DialError)
    // undici tells before its first write.
    this.#fail(why, found && (isSafe(this.#outgoing.method) || this.#controller === undefined))
  }

  /** A fault of ours inside a relay is that exchange's failure, not the daemon's end. */
  #fault(error: unknown): void {
    this.#fail(failure("internal", error instanceof Error ? (error.stack ?? error.message) : String(error)), false)
  }

  #fail(why: Failure, repeatable: boolean): void {
    if (!this.#end()) return
    this.#under.links.drop(this.#link)
    this.#relay.onFail(why, repeatable, this.payload)
  }

  /** False: it was over already. */
  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#link.onConnect = () => {}
    this.#under.flights.delete(this)
    return true
  }
}

/** One write for the client's socket: frame and payload. */
const framed = (chunk: Buffer): Buffer => {
  const size = `${chunk.length.toString(16)}\r\n`
  const frame = Buffer.allocUnsafe(size.length + chunk.length + 2)
  frame.write(size, 0, "latin1")
  chunk.copy(frame, size.length)
  frame.write("\r\n", frame.length - 2, "latin1")
  return frame
}

const headOf = (controller: Dispatcher.DispatchController, status: number, method: string): ResponseHead => {
  const given = (controller.rawHeaders ?? []) as ReadonlyArray<Buffer | string>
  const raw: Array<string> = []
  let length = -1
  let chunked = false
  for (let i = 0; i + 1 < given.length; i += 2) {
    const name = textOf(given[i] as Buffer | string)
    const value = textOf(given[i + 1] as Buffer | string)
    raw.push(name, value)
    const low = name.toLowerCase()
    if (low === "content-length") length = Number(value)
    else if (low === "transfer-encoding") chunked = true
  }
  const bare = method === "HEAD" || status === 204 || status === 304
  return { status, raw, chunked: chunked && !bare, length: bare ? 0 : chunked ? -1 : length, keep: true, keepFor: -1 }
}

/** undici passes it over. */
const isCodedTwice = (raw: ReadonlyArray<string>): boolean =>
  raw.filter((name, i) => i % 2 === 0 && name.toLowerCase() === "transfer-encoding").length > 1

const textOf = (part: Buffer | string): string => (typeof part === "string" ? part : part.toString("latin1"))
