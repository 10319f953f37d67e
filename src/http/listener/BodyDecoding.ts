/**
 * Undoes the content codings of a request's body as it arrives (RFC 9110 8.4), so that its model can be found and backends, few of
 * which know any coding, get it plain. What comes out counts against the limit of bodies: a bomb is refused before it is whole.
 */
import type { Transform } from "node:stream"
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from "node:zlib"

/** Bytes of one piece that is unpacked. */
const chunkSize = 64 * 1024
/** Codings applied one after another; no honest client uses more. */
const maxCodings = 4

/** `deflate` is zlib's format by the RFC, and the raw one with many clients: the first byte tells them apart (RFC 1950 2.2). */
const createDeflated = (first: Buffer): Transform =>
  ((first[0] ?? 0) & 0x0f) === 8 ? createInflate({ chunkSize }) : createInflateRaw({ chunkSize })

const decoders: Readonly<Record<string, (first: Buffer) => Transform>> = {
  gzip: () => createGunzip({ chunkSize }),
  "x-gzip": () => createGunzip({ chunkSize }),
  deflate: createDeflated,
  br: () => createBrotliDecompress({ chunkSize }),
  zstd: () => createZstdDecompress({ chunkSize })
}

/** As `Accept-Encoding` of a 415 names them (RFC 9110 12.5.3). */
export const knownCodings = "zstd, br, gzip, deflate"

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
    if (this.#stages.length === 0) this.#begin(chunk)
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

  /** The last coding was applied last, and comes off first. Only the outermost one sees its beginning here; `deflate` inside another is taken for zlib's. */
  #begin(first: Buffer): void {
    const zlibs = Buffer.from([0x78])
    const stages = this.#codings
      .toReversed()
      .map((coding, i) => (decoders[coding] as (first: Buffer) => Transform)(i === 0 ? first : zlibs))
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
