/** Coalescing as a stream: nothing before 2 KiB are pending, later steps of 4 KiB, the rest at the end (proxying.md 11.2). */
import * as Stream from "effect/Stream"

const firstStep = 2 * 1024
const laterStep = 4 * 1024

export interface Gathered {
  readonly bytes: Uint8Array
  /** The end came before the first step: this is everything. */
  readonly whole: boolean
}

interface Pending {
  readonly chunks: ReadonlyArray<Uint8Array>
  readonly size: number
  readonly step: number
}

export const gathered = <E, R>(self: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Gathered, E, R> =>
  Stream.mapAccumArray(
    self,
    (): Pending => ({ chunks: [], size: 0, step: firstStep }),
    (pending, chunks): readonly [Pending, ReadonlyArray<Gathered>] => {
      const all = [...pending.chunks, ...chunks]
      const size = chunks.reduce((sum, chunk) => sum + chunk.length, pending.size)
      if (size < pending.step) return [{ ...pending, chunks: all, size }, []]
      return [{ chunks: [], size: 0, step: laterStep }, [{ bytes: Buffer.concat(all), whole: false }]]
    },
    { onHalt: ({ chunks, step }) => (chunks.length === 0 ? [] : [{ bytes: Buffer.concat(chunks), whole: step === firstStep }]) }
  )
