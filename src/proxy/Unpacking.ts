/** Bodies that came compressed although nobody asked for it. */
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib"

const unpackers: Readonly<Record<string, (bytes: Buffer, options: { readonly maxOutputLength: number }) => Buffer>> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync
}

/** `encoding`: the `Content-Encoding`, empty for none. `undefined`: unknown, broken, or larger than `limit` bytes. */
export const unpacked = (bytes: Buffer, encoding: string, limit: number): Buffer | undefined => {
  if (isPlain(encoding)) return bytes
  try {
    return unpackers[encoding.trim().toLowerCase()]?.(bytes, { maxOutputLength: limit })
  } catch {
    return undefined
  }
}

export const isPlain = (encoding: string): boolean => encoding === "" || encoding.trim().toLowerCase() === "identity"
