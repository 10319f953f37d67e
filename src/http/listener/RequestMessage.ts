/**
 * node's request, spared of two things that every proxied request would pay for: the object of its headers, of which node
 * itself looks at one, and a stream's events for a body that is wanted whole anyway.
 */
import { IncomingMessage } from "node:http"
import { getterOf, setConsumed } from "../../proxy/NodeInternals.ts"
import { RequestHead } from "./RequestHead.ts"

/** Takes a body as node's parser hands it out. */
export interface BodyTaker {
  /** The bytes are the taker's to keep. */
  readonly take: (chunk: Buffer) => void
  /** The body is whole. */
  readonly complete: () => void
  /** Nothing good will come any more. May be told more than once, and after `complete`. */
  readonly fail: (problem: "unreadable" | "tooSlow") => void
}

export class RequestMessage extends IncomingMessage {
  #taker: BodyTaker | undefined = undefined
  /** The taker gets the bytes before the stream does. */
  #direct = false

  #head: RequestHead | undefined

  /** Read once, on first need: node asks before anybody else does. */
  get head(): RequestHead {
    this.#head ??= new RequestHead(this)
    return this.#head
  }

  /** Who waits for the body now. */
  get taker(): BodyTaker | undefined {
    return this.#taker
  }

  /** True: the body was given away as a whole, and nobody will read it from the stream. */
  get taken(): boolean {
    return this.#direct
  }

  /** From now on the body is `taker`'s. Called once. */
  collect(taker: BodyTaker): void {
    this.#taker = taker
    this.on("error", broke)
    if (this.readableLength > 0 || this.complete) {
      // It was kept waiting while the daemon started, and the stream holds it by now.
      this.on("data", (chunk: Buffer) => taker.take(chunk)).on("end", () => taker.complete())
      return
    }
    this.#direct = true
    // What node sets where somebody reads: otherwise it would read away what is read already.
    setConsumed(this, true)
  }

  /** What is still to come goes to the stream again. */
  release(): void {
    this.#taker = undefined
    this.removeAllListeners("data")
    if (!this.#direct) return
    this.#direct = false
    setConsumed(this, false)
  }

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (!this.#direct) return super.push(chunk, encoding)
    const taker = this.#taker as BodyTaker
    if (chunk !== null) taker.take(chunk)
    else {
      // It holds the whole body, and node keeps a request until the next one on its connection.
      this.#taker = undefined
      taker.complete()
    }
    return true
  }
}

function broke(this: RequestMessage): void {
  this.taker?.fail("unreadable")
}

const streamEnded = getterOf<RequestMessage, boolean>(IncomingMessage.prototype, "readableEnded")
const allHeaders = getterOf<RequestMessage, IncomingMessage["headers"]>(IncomingMessage.prototype, "headers")

const noExpectation: IncomingMessage["headers"] = {}

/** Of all headers node's server asks for this one, with every request in HTTP/1.1. Whoever else wants one reads `rawHeaders`. */
const expectation = ({ expect }: RequestHead): IncomingMessage["headers"] => (expect === "" ? noExpectation : { expect })

Object.defineProperties(RequestMessage.prototype, {
  readableEnded: {
    get(this: RequestMessage) {
      return this.taken ? this.complete : streamEnded.call(this)
    }
  },
  headers: {
    get(this: RequestMessage) {
      return this.httpVersionMinor === 1 && this.httpVersionMajor === 1 ? expectation(this.head) : allHeaders.call(this)
    }
  }
})
