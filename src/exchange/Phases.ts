/**
 * What each phase of a request took, from the marks on the exchange and its attempts (docs/observability.md has the table). Pure:
 * marks that were not reached, or that two clocks' ticks put in the wrong order, make no phase negative, and whatever the
 * marks are, the phases and `overhead` add up to `total`.
 */
import type { Attempt, Exchange } from "./Exchange.ts"

/** Milliseconds; what was not reached is 0. */
export interface AttemptPhases {
  /** Leased until a connection was there, TLS included; 0 on a kept one. */
  readonly connect: number
  /** Until the system had taken the request. */
  readonly send: number
  /** Until the answer's headers were in. */
  readonly wait: number
  /** Until the first byte of the body. */
  readonly first: number
  readonly stream: number
  /** All of it. */
  readonly total: number
  /** A connection was opened for it, or tried to be. */
  readonly isNew: boolean
}

export interface Phases {
  /** The client's upload. */
  readonly receive: number
  readonly decide: number
  /** Waiting before each lease for somebody who can take it. */
  readonly queue: number
  /** Of all attempts together. */
  readonly connect: number
  readonly send: number
  readonly wait: number
  readonly first: number
  readonly stream: number
  /** After the last byte came until the client had it. */
  readonly deliver: number
  readonly total: number
  /** What Olla itself made the client wait: `total` without upload, waiting for a slot, delivery and attempts. */
  readonly overhead: number
}

/** A mark that is 0 was not reached; none stands before the one that it follows. */
const after = (mark: number, earlier: number): number => (mark > earlier ? mark : earlier)

/** What was not reached before the attempt's end takes all the time until then. */
export const attemptPhases = ({ timings, ended, isReused }: Attempt): AttemptPhases => {
  const { leased } = timings
  const last = after(ended, leased)
  const within = (mark: number, earlier: number, next: number) => Math.min(mark === 0 && next === 0 ? last : after(mark, earlier), last)
  const connected = within(timings.connected, leased, timings.sent)
  const sent = within(timings.sent, connected, timings.headers)
  const headers = within(timings.headers, sent, timings.firstByte)
  const first = within(timings.firstByte, headers, 0)
  return {
    connect: connected - leased,
    send: sent - connected,
    wait: headers - sent,
    first: first - headers,
    stream: last - first,
    total: last - leased,
    isNew: timings.started > 0 && !isReused
  }
}

export const phasesOf = (exchange: Exchange): Phases => {
  const { accepted, received, routed, settled, ended } = exchange.timings
  const { attempts } = exchange
  const end = after(ended === 0 ? settled : ended, accepted)
  const within = (mark: number, earlier: number) => Math.min(after(mark, earlier), end)
  // A request that ended in its upload spent its whole time there.
  const in_ = received === 0 ? (routed === 0 && attempts.length === 0 ? end : accepted) : within(received, accepted)
  const decided = within(routed, in_)
  let [connect, send, wait, first, stream, tried] = [0, 0, 0, 0, 0, 0]
  let at = decided
  for (const attempt of attempts) {
    const one = attemptPhases(attempt)
    const begins = after(attempt.timings.leased, at)
    const ends = Math.min(after(attempt.ended, begins), end)
    const scale = one.total === 0 ? 0 : Math.max(0, ends - begins) / one.total
    connect += one.connect * scale
    send += one.send * scale
    wait += one.wait * scale
    first += one.first * scale
    stream += one.stream * scale
    tried += one.total * scale
    at = after(ends, at)
  }
  const receive = in_ - accepted
  const total = end - accepted
  // A request that ended while it waited once more was not being delivered.
  const lastWait = exchange.waits.at(-1)
  const delivered = lastWait === undefined ? at : Math.max(at, lastWait.to === 0 ? end : lastWait.to)
  const deliver = attempts.length === 0 ? 0 : Math.max(0, end - delivered)
  const queue = Math.min(waitedWithin(exchange, decided, end), Math.max(0, total - receive - deliver - tried))
  return {
    receive,
    decide: decided - in_,
    queue,
    connect,
    send,
    wait,
    first,
    stream,
    deliver,
    total,
    overhead: Math.max(0, total - receive - queue - deliver - tried)
  }
}

const waitedWithin = ({ waits }: Exchange, from: number, until: number): number => {
  let sum = 0
  for (const wait of waits) sum += Math.max(0, Math.min(wait.to === 0 ? until : wait.to, until) - Math.max(wait.from, from))
  return sum
}
