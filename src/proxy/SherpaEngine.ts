/**
 * The readable engine: undici's own requests, typed streams end to end, and no state but the connections it keeps. Read it
 * top down: ask, wait for the head, relay the body, say how it ended. The `olla` engine does the same in callbacks; one
 * contract suite holds both to one behaviour.
 */
import type { ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Dispatcher } from "undici"
import { type Failure, failure } from "../exchange/Failure.ts"
import { cutAfterFlush, flushHead } from "./ClientSocket.ts"
import { undiciFailure } from "./client/UndiciFailure.ts"
import type { AnswerTranslator, Spoken } from "./Dialect.ts"
import { type Engine, engineOf, type Sending } from "./Engine.ts"
import { pairsOfReply } from "./HeaderLines.ts"
import { hasUnknownCoding, headerValue } from "./HeaderRules.ts"
import { KeptBody } from "./KeptBody.ts"
import { patientClock } from "./Patience.ts"
import { DialError } from "./sherpa/Dialing.ts"
import { gathered } from "./sherpa/Gathering.ts"
import { KeptClients, Ticket } from "./sherpa/KeptClients.ts"
import { TranslatedRelay } from "./TranslatedRelay.ts"

/** Bytes read ahead of the client, where the configuration does not say. */
const defaultBuffer = 8192

/** Owns its connections: closing the scope closes them. */
export const makeSherpaEngine: Effect.Effect<Engine, never, Scope.Scope> = Effect.gen(function* () {
  const connections = yield* Effect.acquireRelease(
    Effect.sync(() => new KeptClients()),
    (kept) => Effect.promise(() => kept.destroy())
  )
  const send = (sending: Sending): Effect.Effect<Spoken | undefined, Failure> =>
    Effect.provideService(
      Effect.catch(attempt(connections, new Ticket(sending, false)), (failed: Failure | Stale) =>
        failed._tag === "Stale" ? attempt(connections, new Ticket(sending, true)) : Effect.fail(failed)
      ) as Effect.Effect<Spoken | undefined, Failure>,
      Clock.Clock,
      patientClock
    )
  return engineOf("sherpa", send, Effect.runForkWith(yield* Effect.context<never>()))
})

type Answer = Dispatcher.ResponseData<Ticket>

/** A kept connection was closed before any byte of an answer: nobody's failure. Cannot happen on a fresh one. */
interface Stale {
  readonly _tag: "Stale"
}

const attempt = (connections: KeptClients, ticket: Ticket): Effect.Effect<Spoken | undefined, Failure | Stale> =>
  Effect.ensuring(
    Effect.flatMap(ask(connections, ticket), (answer) => relay(ticket, answer)),
    Effect.sync(() => ticket.abort())
  )

// ---------------------------------------------------------------------------------------------------------------- ask

const ask = (connections: KeptClients, ticket: Ticket): Effect.Effect<Answer, Failure | Stale> => {
  const { sending } = ticket
  const { headers: limit, response: deadline } = sending.timeouts
  sending.attempt.timings.sent = performance.now()
  const answer = Effect.tryPromise({
    try: (signal) => connections.request({ ...requestOf(ticket), signal }),
    catch: (cause) => whyNoAnswer(ticket, cause)
  })
  const inTime =
    limit <= 0
      ? answer
      : Effect.raceFirst(
          answer,
          Deferred.await(ticket.sent).pipe(
            Effect.andThen(Effect.sleep(limit)),
            Effect.andThen(Effect.fail(failure("header_timeout", "no response headers in time", limit)))
          )
        )
  if (deadline <= 0) return inTime
  return Effect.timeoutOrElse(inTime, {
    duration: Math.max(0, deadline - performance.now()),
    orElse: () => Effect.fail(failure("response_timeout", "no response headers in time"))
  })
}

/** Path, headers and what becomes of the answer are in the ticket. */
const requestOf = (ticket: Ticket): Dispatcher.RequestOptions<Ticket> => {
  const { endpoint, method, body, bufferSize } = ticket.sending
  return {
    origin: `${endpoint.origin.secure ? "https" : "http"}://${endpoint.origin.authority}`,
    path: "/",
    method: method as Dispatcher.HttpMethod,
    body: body.length === 0 ? null : body.length === 1 ? (body[0] as Buffer) : Buffer.concat(body),
    opaque: ticket,
    highWaterMark: bufferSize > 0 ? bufferSize : defaultBuffer
  }
}

const whyNoAnswer = (ticket: Ticket, cause: unknown): Failure | Stale => {
  if (ticket.error === undefined) return failure("internal", String(cause))
  const why = undiciFailure(ticket.error, false)
  const silent = ticket.link?.filter?.heard !== true
  return why.kind === "closed" && ticket.reused && silent && !(ticket.error instanceof DialError) ? { _tag: "Stale" } : why
}

// -------------------------------------------------------------------------------------------------------------- relay

const relay = (ticket: Ticket, answer: Answer): Effect.Effect<Spoken | undefined, Failure> => {
  const { sending } = ticket
  sending.attempt.timings.headers = performance.now()
  if (hasUnknownCoding(ticket.raw)) return Effect.fail(failure("malformed", "the response has an unknown transfer coding"))
  sending.attempt.status = answer.statusCode
  sending.answered()
  const headers = pairsOfReply(sending.reply(ticket.raw))
  const body = bodyOf(ticket, answer)
  return sending.translator === undefined
    ? relayAsItCame(ticket, answer.statusCode, headers, body)
    : relayTranslated(ticket, sending.translator, { status: answer.statusCode, headers }, body)
}

type Body = Stream.Stream<Uint8Array>

/**
 * The answer's bytes as far as they come. It ends well in any case, so that everything that came is delivered; the ticket
 * says afterwards whether that was the end.
 */
const bodyOf = (ticket: Ticket, answer: Answer): Body => {
  const { attempt, timeouts } = ticket.sending
  const bytes = Stream.catch(
    Stream.fromAsyncIterable<Buffer, unknown>(answer.body, (cause) => cause),
    (cause) =>
      Stream.suspend(() => {
        ticket.broke ??= cause instanceof Error ? cause : new Error(String(cause))
        return Stream.empty
      })
  )
  const patient =
    timeouts.idle > 0
      ? Stream.timeoutOrElse(bytes, {
          duration: timeouts.idle,
          orElse: () => {
            ticket.broke = new DialError(failure("idle_timeout", "the backend fell silent", timeouts.idle))
            return Stream.empty
          }
        })
      : bytes
  return Stream.mapArray(patient, (chunks) => {
    if (attempt.timings.firstByte === 0) attempt.timings.firstByte = performance.now()
    return chunks
  })
}

/** How the answer ended, once its bytes are through. */
const ending = (ticket: Ticket): Failure | undefined => {
  const { broke } = ticket
  if (broke === undefined) return undefined
  return undiciFailure(broke, true)
}

const relayAsItCame = (ticket: Ticket, status: number, headers: Array<string>, body: Body): Effect.Effect<undefined, Failure> => {
  const { exchange, attempt, response } = ticket.sending
  const contentType = headerValue(ticket.raw, "content-type")
  const kept = exchange.wantsUsage ? new KeptBody(exchange.kept, ticket.raw) : undefined
  const commit = (length: number | undefined) => {
    if (response.headersSent) return
    if (length !== undefined && headerValue(ticket.raw, "content-length") === "") headers.push("Content-Length", String(length))
    response.writeHead(status, headers)
  }
  const promised = Number(headerValue(ticket.raw, "content-length") || -1)
  const hasBody = exchange.method !== "HEAD" && status !== 204 && status !== 304
  const flush = ticket.sending.flushes(contentType) || !hasBody
  if (flush) {
    commit(undefined)
    flushHead(response)
  }
  const write = (chunks: ReadonlyArray<Uint8Array>) =>
    Effect.suspend(() => {
      commit(undefined)
      // The last bytes go out with the end: nothing is waited for before it, and a corked response would never drain.
      const last = promised > 0 && chunks.reduce((sum, chunk) => sum + chunk.length, attempt.bytes) >= promised
      if (last) response.cork()
      let goOn = true
      for (const chunk of chunks) {
        attempt.bytes += chunk.length
        goOn = response.write(chunk)
      }
      return goOn || last ? Effect.void : drained(response)
    })
  const watched = Stream.tap(body, (chunk) => Effect.sync(() => kept?.push(chunk as Buffer)))
  const finish = Effect.suspend((): Effect.Effect<undefined, Failure> => {
    attempt.timings.lastByte = performance.now()
    const why = ending(ticket)
    if (why !== undefined) {
      if (response.headersSent) cutAfterFlush(response)
      return Effect.fail(why)
    }
    commit(undefined)
    ticket.sending.relayed()
    response.end()
    return Effect.succeed(undefined)
  })
  const written = flush
    ? Stream.runForEachArray(watched, write)
    : Stream.runForEachArray(gathered(watched), (parts) =>
        Effect.suspend(() => {
          const only = parts[0]
          // Whole before the first output: its length is known after all.
          if (only?.whole === true && ticket.broke === undefined) commit(only.bytes.length)
          return write(parts.map(({ bytes }) => bytes))
        })
      )
  return Effect.andThen(written, finish)
}

const relayTranslated = (
  ticket: Ticket,
  translator: AnswerTranslator,
  head: { readonly status: number; readonly headers: ReadonlyArray<string> },
  body: Body
): Effect.Effect<Spoken | undefined, Failure> => {
  const { response } = ticket.sending
  const said = Deferred.makeUnsafe<Spoken | undefined, Failure>()
  const words = new TranslatedRelay(ticket.sending, translator, () => {}, {
    done: (again) => Deferred.doneUnsafe(said, Effect.succeed(again)),
    failed: (why) => Deferred.doneUnsafe(said, Effect.fail(why))
  })
  const translate = Stream.runForEach(body, (chunk) =>
    Effect.suspend(() => (words.push(chunk as Buffer) || response.writableEnded ? Effect.void : drained(response)))
  )
  const finish = Effect.sync(() => {
    const why = ending(ticket)
    if (why === undefined) words.end()
    else words.fail(why)
  })
  return Effect.andThen(
    Effect.sync(() => words.head(head)),
    // The translator may be through before the backend is.
    Effect.raceFirst(Effect.andThen(Effect.andThen(translate, finish), Deferred.await(said)), Deferred.await(said))
  )
}

/** A client that is gone ends the exchange by interruption, not here. */
const drained = (response: ServerResponse): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const onDrain = () => resume(Effect.void)
    response.once("drain", onDrain)
    return Effect.sync(() => response.off("drain", onDrain))
  })
