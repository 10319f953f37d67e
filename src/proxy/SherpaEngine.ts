/**
 * The readable engine: effects and typed streams end to end, and no state but the connections it keeps. Read it top down: ask,
 * relay the body, say how it ended. The `olla` engine does the same in callbacks; one contract suite holds both to one behaviour.
 */
import type { ServerResponse } from "node:http"
import { performance } from "node:perf_hooks"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { endedBehindHead, type Failure } from "../exchange/Failure.ts"
import { headerValue } from "../exchange/RawHeaders.ts"
import { cutAfterFlush } from "./ClientSocket.ts"
import type { ResponseHead } from "./client/ResponseHead.ts"
import type { Transport } from "./client/Transport.ts"
import type { KeptLimits } from "./client/UndiciLinks.ts"
import { undiciTransport } from "./client/UndiciTransport.ts"
import type { AnswerHead, AnswerTranslator, Spoken } from "./Dialect.ts"
import { type Engine, engineOf, type Sending } from "./Engine.ts"
import { pairsOfReply } from "./HeaderLines.ts"
import { KeptBody } from "./KeptBody.ts"
import { flushHead } from "./NodeInternals.ts"
import { Conversation, type Repeatable } from "./sherpa/Conversation.ts"
import { endWithin, type Standing, silenceEvery, TranslatedWriting } from "./TranslatedWriting.ts"

/** Bytes read ahead of the client, where the configuration does not say. */
const defaultBuffer = 8192

/** Idle connections kept. */
const kept: KeptLimits = { each: 5, all: 20, time: 90_000 }

/** Closing the scope closes its connections. */
export const sherpaTransport: Effect.Effect<Transport, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => undiciTransport(kept)),
  (opened) => Effect.sync(() => opened.close())
)

/** With connections of its own. */
export const makeSherpaEngine: Effect.Effect<Engine, never, Scope.Scope> = Effect.flatMap(sherpaTransport, (transport) =>
  sherpaEngineOver(transport)
)

export const sherpaEngineOver = Effect.fnUntraced(function* (transport: Transport) {
  const send = (sending: Sending): Effect.Effect<Spoken | undefined, Failure> =>
    Effect.catch(attempt(transport, sending, false), (failed) =>
      // On a fresh connection nothing is repeatable.
      failed._tag === "Repeatable" ? (attempt(transport, sending, true) as Attempted<Failure>) : Effect.fail(failed)
    )
  return engineOf("sherpa", send, Effect.runForkWith(yield* Effect.context<never>()))
})

type Attempted<E> = Effect.Effect<Spoken | undefined, E>

const attempt = (transport: Transport, sending: Sending, fresh: boolean): Attempted<Failure | Repeatable> =>
  Effect.suspend(() => {
    const { attempt, endpoint, method, path, headers, body, bodySize, timeouts, bufferSize } = sending
    const at = performance.now()
    attempt.start(at, fresh)
    const conversation = new Conversation(bufferSize > 0 ? bufferSize : defaultBuffer, attempt)
    const outgoing = { origin: endpoint.origin, method, path, headers, body, bodySize, deadlines: timeouts, readSize: bufferSize, at }
    return Effect.ensuring(
      Effect.flatMap(conversation.ask(transport, outgoing, fresh), (head) => relay(sending, conversation, head, fresh)),
      Effect.sync(() => conversation.abort())
    )
  })

const relay = (sending: Sending, conversation: Conversation, head: ResponseHead, repeated: boolean): Attempted<Failure> => {
  const { attempt } = sending
  attempt.timings.headers = performance.now()
  attempt.status = head.status
  sending.answered()
  const headers = pairsOfReply(sending.reply(head.raw))
  const translator = sending.translatorOf(head.status, head.length)
  const answer = { status: head.status, headers, ...partsOf(head, sending) }
  return translator === undefined
    ? relayAsItCame(sending, conversation, head, answer, repeated)
    : relayTranslated(sending, translator, answer, conversation)
}

/** How the body of an answer is waited for. */
interface Waiting {
  /** The head goes out with its first byte. */
  readonly holds: boolean
  /** Without a body it is no answer. */
  readonly isNothingAlone: boolean
}

const partsOf = ({ status, chunked, length }: ResponseHead, { timeouts, needsBody }: Sending): Waiting => {
  const isGood = status >= 200 && status <= 299
  return { holds: isGood && timeouts.hold > 0 && length !== 0, isNothingAlone: isGood && needsBody && !chunked && length < 0 }
}

const relayAsItCame = (
  sending: Sending,
  conversation: Conversation,
  head: ResponseHead,
  { headers, holds, isNothingAlone }: Waiting & { readonly headers: Array<string> },
  repeated: boolean
): Attempted<Failure> => {
  const { exchange, attempt, response } = sending
  const usage = exchange.wantsUsage || head.status >= 400 ? new KeptBody(exchange.kept, head.raw) : undefined
  let isTaken = false
  const tellTaken = () => {
    if (isTaken || !conversation.isBodyTaken) return
    isTaken = true
    sending.bodyTaken(!repeated)
  }
  const commit = (length: number | undefined) => {
    if (response.headersSent) return
    attempt.isCommitted = true
    tellTaken()
    if (length !== undefined && head.length < 0) headers.push("Content-Length", String(length))
    response.writeHead(head.status, headers)
  }
  const flows = head.length === 0 || sending.flushes(headerValue(head.raw, "content-type"))
  const letGo = () => {
    commit(undefined)
    flushHead(response)
  }
  if (!flows) conversation.gather()
  else if (holds) conversation.onHeldOut = letGo
  else {
    commit(undefined)
    conversation.onHeadAlone = letGo
  }
  const write = (parts: ReadonlyArray<Buffer>) =>
    Effect.suspend(() => {
      attempt.bytesCame()
      const size = sizeOf(parts)
      // Whole before the first output: its length is known after all.
      commit(conversation.isComplete ? size : undefined)
      // The last bytes go out with the end: nothing is waited for before it, and a corked response would never drain.
      const last = conversation.isComplete || (head.length > 0 && attempt.bytes + size >= head.length)
      if (last) response.cork()
      attempt.bytes += size
      let goOn = true
      for (const part of parts) {
        usage?.push(part)
        attempt.lastPiece = part
        goOn = response.write(part)
      }
      return goOn || last ? Effect.void : drained(response)
    })
  return Effect.matchEffect(Stream.runForEachArray(conversation.body, write), {
    onFailure: (why) => {
      attempt.timings.lastByte = performance.now()
      if (attempt.isCommitted) cutAfterFlush(response)
      return Effect.fail(why)
    },
    onSuccess: () => {
      attempt.timings.lastByte = performance.now()
      if (isNothingAlone && !attempt.isCommitted) return Effect.fail(endedBehindHead)
      commit(0)
      tellTaken()
      sending.relayed()
      response.end()
      return Effect.succeed(undefined)
    }
  })
}

/** The pieces of an answer, and `undefined` for each second that passes meanwhile. */
const withSeconds = (body: Stream.Stream<Buffer, Failure>): Stream.Stream<Buffer | undefined, Failure> =>
  Stream.merge(
    body,
    Stream.map(Stream.drop(Stream.tick(silenceEvery), 1), () => undefined),
    { haltStrategy: "left" }
  )

/** What ends a translation before the backend's answer has ended. */
type Stop = Extract<Standing, { readonly _tag: "again" | "failed" }>

const relayTranslated = (
  sending: Sending,
  translator: AnswerTranslator,
  { status, headers, isNothingAlone }: AnswerHead & Waiting,
  conversation: Conversation
): Attempted<Failure> => {
  const { attempt, response } = sending
  const { body } = conversation
  const writing = new TranslatedWriting(sending, translator)
  conversation.onHeldOut = () => void writing.held()
  const complete = Deferred.makeUnsafe<void>()
  const step = (take: () => Standing): Effect.Effect<void, Stop> =>
    Effect.suspend(() => {
      const standing = take()
      switch (standing._tag) {
        case "open":
          return Effect.void
        case "full":
          return drained(response)
        case "complete":
          // Read on to the backend's end, so that its connection can be used again.
          return Effect.asVoid(Deferred.succeed(complete, undefined))
        default:
          return Effect.fail(standing)
      }
    })
  const piece = (bytes: Buffer | undefined) =>
    step(() => {
      if (bytes === undefined) return writing.silent()
      attempt.bytesCame()
      return writing.push(bytes)
    })
  const pieces = translator.silent === undefined ? body : withSeconds(body)
  const whole = Effect.andThen(
    step(() => writing.head({ status, headers })),
    Stream.runForEach(pieces, piece)
  )
  const answer = Effect.matchEffect(whole, {
    onSuccess: () => step(() => (isNothingAlone && attempt.timings.firstByte === 0 ? writing.fail(endedBehindHead) : writing.end())),
    onFailure: (why) => (why._tag === "Failure" ? step(() => writing.fail(why)) : Effect.fail(why))
  })
  const tooLate = Effect.andThen(Deferred.await(complete), Effect.sleep(endWithin))
  return Effect.matchEffect(Effect.raceFirst(answer, tooLate), {
    onSuccess: () => Effect.succeed(undefined),
    onFailure: (stop) => (stop._tag === "again" ? Effect.succeed(stop.spoken) : Effect.fail(stop.why))
  })
}

const sizeOf = (parts: ReadonlyArray<Buffer>): number => parts.reduce((sum, part) => sum + part.length, 0)

/** A client that is gone ends the exchange by interruption, not here. */
const drained = (response: ServerResponse): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const onDrain = () => resume(Effect.void)
    response.once("drain", onDrain)
    return Effect.sync(() => response.off("drain", onDrain))
  })
