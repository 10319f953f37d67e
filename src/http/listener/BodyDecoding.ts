/**
 * Undoes the content codings of a request's body as it arrives (RFC 9110 8.4), so that its model can be found and backends, few of
 * which know any coding, get it plain. What comes out counts against the limit of bodies: a bomb is refused before it is whole.
 */
import { Transform, type TransformCallback } from "node:stream"
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from "node:zlib"

/** Bytes of one piece that is unpacked. */
const chunkSize = 64 * 1024
/** Codings applied one after another; no honest client uses more. */
const maxCodings = 2

/** `deflate` is zlib's format by the RFC, and the raw one with many clients: the first byte tells them apart (RFC 1950 2.2). */
class Deflated extends Transform {
  #inner: Transform | undefined

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#inner ??= this.#begin(chunk)
    if (this.#inner.write(chunk)) done()
    else this.#inner.once("drain", done)
  }

  override _flush(done: TransformCallback): void {
    if (this.#inner === undefined) done()
    else this.#inner.once("end", () => done()).end()
  }

  override _read(size: number): void {
    this.#inner?.resume()
    super._read(size)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner?.destroy()
    done(error)
  }

  #begin(first: Buffer): Transform {
    const isZlib = ((first[0] ?? 0) & 0x0f) === 8
    const inner = isZlib ? createInflate({ chunkSize }) : createInflateRaw({ chunkSize })
    inner.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) inner.pause()
    })
    inner.on("error", (error) => this.destroy(error))
    return inner
  }
}

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip({ chunkSize }),
  "x-gzip": () => createGunzip({ chunkSize }),
  deflate: () => new Deflated(),
  br: () => createBrotliDecompress({ chunkSize }),
  zstd: () => createZstdDecompress({ chunkSize })
}

/** As `Accept-Encoding` of a 415 names them (RFC 9110 12.5.3). */
export const knownCodings = "gzip, deflate, br, zstd"

/** In the order in which they were applied; `undefined`: one of them is not known. */
export const codingsOf = (contentEncoding: string): ReadonlyArray<string> | undefined => {
  const codings = contentEncoding
    .toLowerCase()
    .split(",")
    .map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity")
  return codings.length <= maxCodings && codings.every((coding) => Object.hasOwn(decoders, coding)) ? codings : undefined
}

/** Told what comes out, then its end or that it was no such thing. Nothing more after `stop`. */
export interface Decoded {
  readonly take: (chunk: Buffer) => void
  readonly complete: () => void
  readonly broken: () => void
}

export class BodyDecoding {
  readonly #codings: ReadonlyArray<string>
  readonly #told: Decoded
  #stages: ReadonlyArray<Transform> = []
  #over = false

  constructor(codings: ReadonlyArray<string>, told: Decoded) {
    this.#codings = codings
    this.#told = told
  }

  write(chunk: Buffer): void {
    if (this.#over || chunk.length === 0) return
    if (this.#stages.length === 0) this.#begin()
    this.#stages[0]?.write(chunk)
  }

  end(): void {
    if (this.#over) return
    if (this.#stages.length === 0) this.#finish()
    else this.#stages[0]?.end()
  }

  stop(): void {
    this.#over = true
    for (const stage of this.#stages) stage.destroy()
  }

  /** The last coding was applied last, and comes off first. */
  #begin(): void {
    const stages = this.#codings.toReversed().map((coding) => (decoders[coding] as () => Transform)())
    for (const [i, stage] of stages.entries()) {
      stage.on("error", () => this.#broken())
      const next = stages[i + 1]
      if (next !== undefined) stage.pipe(next)
    }
    const last = stages[stages.length - 1] as Transform
    last.on("data", (chunk: Buffer) => {
      if (!this.#over) this.#told.take(chunk)
    })
    last.on("end", () => this.#finish())
    this.#stages = stages
  }

  #finish(): void {
    if (this.#over) return
    this.#over = true
    this.#told.complete()
  }

  #broken(): void {
    if (this.#over) return
    this.stop()
    this.#told.broken()
  }
}
