/**
 * node's request without two costs that every proxied request would bear: the object of all its headers, of which node itself
 * reads one, and a stream's events for a body that is wanted whole anyway.
 */
import { IncomingMessage } from "node:http"
import { getterOf, setConsumed } from "../../proxy/NodeInternals.ts"
import { RequestHead } from "./RequestHead.ts"

/** Receives a body as node's parser produces it. */
export interface BodyTaker {
  /** The bytes are the taker's to keep. */
  readonly take: (chunk: Buffer) => void
  /** The body is whole. */
  readonly complete: () => void
  /** The body will not be completed. May be told more than once, and after `complete`. */
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

  /** The receiver of the body. */
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
      // The request waited while the daemon started: what has arrived is in the stream by now.
      this.on("data", (chunk: Buffer) => taker.take(chunk)).on("end", () => taker.complete())
      return
    }
    this.#direct = true
    // node sets this when somebody reads; without it node would read the body away a second time.
    setConsumed(this, true)
  }

  /** The rest of the body goes to the stream again. */
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
